import { createHash } from "node:crypto";
import { NetError } from "../base/error.ts";
import type { CommandRunner } from "../system/command.ts";

/** A platform to build for. */
export interface Target {
  /** Rust's name of the platform. */
  readonly triple: string;
  /** The npm package with the platform's runtime. */
  readonly npmPackage: string;
  /** Machine in the header of the platform's executables (elf(5), e_machine). */
  readonly elfMachine: number;
  /** Machine that uname(1) prints. */
  readonly machine: string;
  /** SHA-256 of the runtime in the npm package, by version. */
  readonly runtimes: Readonly<Record<string, string>>;
}

export const TARGETS: readonly Target[] = [
  {
    triple: "x86_64-unknown-linux-gnu",
    npmPackage: "@deno/linux-x64-glibc",
    elfMachine: 62,
    machine: "x86_64",
    runtimes: {
      "2.9.6":
        "bceb5b6a6239b0b010418406d8c77a508f67cf4337d94288f1c19fe71304aab0",
    },
  },
  {
    triple: "aarch64-unknown-linux-gnu",
    npmPackage: "@deno/linux-arm64-glibc",
    elfMachine: 183,
    machine: "aarch64",
    runtimes: {
      "2.9.6":
        "d08d392418df53f4e6e88a08909c0e1bccbf9adcead7232df72b6ad6075ec416",
    },
  },
];

/** @throws {RangeError} naming the known targets */
export function findTarget(triple: string): Target {
  const target = TARGETS.find((target) => target.triple === triple);
  if (target) return target;
  throw new RangeError(
    `Cannot build for ${JSON.stringify(triple)}: the targets are ${
      TARGETS.map(({ triple }) => triple).join(" and ")
    }`,
  );
}

/** Which runtime to read. */
export interface RuntimeOptions {
  readonly target: Target;
  /** Version, such as `2.9.6`. */
  readonly version: string;
  /** An empty folder for the download. */
  readonly dir: string;
  readonly runner: CommandRunner;
  /** SHA-256 of the runtime, for a version whose digest the target does not have. */
  readonly digest?: string | undefined;
}

/**
 * Reads the runtime for a target: this process's own if target and version are
 * the same, else the package from npm's registry. The digest of that is pinned,
 * so that nobody at the registry or in between can exchange it.
 *
 * @throws {NetError} `unavailable` when npm cannot install the package,
 * `failed_precondition` when no digest is known, or it differs
 * @throws {Error} when the runtime is not for the target
 */
export async function findRuntime(
  options: RuntimeOptions,
): Promise<Uint8Array<ArrayBuffer>> {
  const { target, version } = options;
  const isOwn = target.triple === Deno.build.target &&
    version === Deno.version.deno;
  if (isOwn) return await readRuntime(Deno.execPath(), target);
  const { digest = target.runtimes[version] } = options;
  const name = `${target.npmPackage}@${version}`;
  const cannot = `Cannot use the runtime "${name}"`;
  if (digest === undefined) {
    throw new NetError(
      "failed_precondition",
      `${cannot}: its digest is not pinned; compare it with another source, and give it with --runtime-digest`,
    );
  }
  const bytes = await readRuntime(await fetchRuntime(options), target);
  const found = createHash("sha256").update(bytes).digest("hex");
  if (found === digest) return bytes;
  throw new NetError(
    "failed_precondition",
    `${cannot}: its SHA-256 is ${found}, and ${digest} is pinned`,
  );
}

async function readRuntime(
  path: string,
  target: Target,
): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = await Deno.readFile(path);
  checkExecutable(bytes, target);
  return bytes;
}

async function fetchRuntime(
  { target, version, dir, runner }: RuntimeOptions,
): Promise<string> {
  const name = `${target.npmPackage}@${version}`;
  const args = ["install", "--prefix", dir, "--no-save", "--loglevel=error"]
    // npm refuses a package for another platform without --force.
    .concat("--force", "--ignore-scripts", "--no-audit", "--no-fund", name);
  const { code, stdout, stderr } = await runner.run({ program: "npm", args });
  if (code === 0) return `${dir}/node_modules/${target.npmPackage}/deno`;
  throw new NetError(
    "unavailable",
    `Cannot fetch the runtime "${name}" with npm: ${
      (stderr + stdout).trim() || `exit code ${code}`
    }; see "npm view ${target.npmPackage} versions", and name one with --runtime`,
  );
}

/** @throws {Error} when the bytes are no Linux executable for the target */
export function checkExecutable(bytes: Uint8Array, target: Target): void {
  const isElf = bytes.length > 20 && bytes[0] === 0x7f && bytes[1] === 0x45 &&
    bytes[2] === 0x4c && bytes[3] === 0x46;
  // Little-endian, as both targets are.
  const machine = isElf ? bytes[18]! + bytes[19]! * 256 : undefined;
  if (machine === target.elfMachine) return;
  throw new Error(
    `Cannot build for ${target.triple}: the runtime is ${
      isElf ? `for the machine ${machine}` : "no ELF file"
    }, and ${target.elfMachine} is needed`,
  );
}
