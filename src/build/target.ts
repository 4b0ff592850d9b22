/** A platform that the program is built for. */
export interface Target {
  /** As Rust names it. */
  readonly triple: string;
  /** The npm package with its runtime. */
  readonly npmPackage: string;
  /** Machine in the header of its executables (elf(5), e_machine). */
  readonly elfMachine: number;
  /** Machine as uname(1) tells it. */
  readonly machine: string;
}

export const TARGETS: readonly Target[] = [
  {
    triple: "x86_64-unknown-linux-gnu",
    npmPackage: "@deno/linux-x64-glibc",
    elfMachine: 62,
    machine: "x86_64",
  },
  {
    triple: "aarch64-unknown-linux-gnu",
    npmPackage: "@deno/linux-arm64-glibc",
    elfMachine: 183,
    machine: "aarch64",
  },
];

/** @throws {RangeError} naming the targets that there are */
export function findTarget(triple: string): Target {
  const target = TARGETS.find((target) => target.triple === triple);
  if (target) return target;
  throw new RangeError(
    `Cannot build for ${JSON.stringify(triple)}: there are ${
      TARGETS.map(({ triple }) => triple).join(" and ")
    }`,
  );
}

/**
 * Makes sure that an executable is for a target.
 *
 * @throws {Error} when it is not, or is no executable of Linux
 */
export function checkExecutable(bytes: Uint8Array, target: Target): void {
  const isElf = bytes.length > 20 && bytes[0] === 0x7f && bytes[1] === 0x45 &&
    bytes[2] === 0x4c && bytes[3] === 0x46;
  // Little-endian, as both are.
  const machine = isElf ? bytes[18]! + bytes[19]! * 256 : undefined;
  if (machine === target.elfMachine) return;
  throw new Error(
    `Cannot build for ${target.triple}: the runtime is ${
      isElf ? `for the machine ${machine}` : "no ELF file"
    }, and ${target.elfMachine} is needed`,
  );
}
