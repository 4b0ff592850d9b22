import { basename, join } from "node:path";
import { ROOT } from "../generate.ts";
import { run } from "../support/run.ts";

/** What the hosts of a lab have on their disks, and how this program is started there. */
export interface LabImage {
  /** The command to which arguments are given. */
  readonly program: readonly string[];
  /** Where programs are looked for. */
  readonly path: string;
  /** Added to the environment of what runs on a host. */
  readonly env: Readonly<Record<string, string>>;
  /** The command that runs another one as it would be on such a host. */
  within(line: readonly string[]): readonly string[];
  /** Makes what is missing. */
  build(): Promise<void>;
}

/** Hosts that are as this machine, with the sources of this program. */
export const SOURCES: LabImage = {
  program: [Deno.execPath(), "run", "-A", "--cached-only"]
    .concat(join(ROOT, "main.ts")),
  path: Deno.env.get("PATH") ?? "",
  env: {},
  within: (line) => line,
  build: () => Promise.resolve(),
};

/**
 * Copies the sources as another version of this program, and has the runtime
 * compile them.
 *
 * @param dir a folder that is not there yet
 * @returns the command to which arguments are given
 */
export async function copyAsVersion(
  dir: string,
  version: string,
): Promise<readonly string[]> {
  await Deno.mkdir(dir, { recursive: true });
  const parts = ["main.ts", "deno.json", "deno.lock", "src", "proto"]
    .map((name) => join(ROOT, name));
  await must("cp", ["-r", ...parts, dir]);
  const config = join(dir, "deno.json");
  const text = await Deno.readTextFile(config);
  await Deno.writeTextFile(
    config,
    text.replace(/"version": "[^"]+"/, `"version": "${version}"`),
  );
  const program = [Deno.execPath(), "run", "-A", "--cached-only"]
    .concat(join(dir, "main.ts"));
  // The first start of an agent would take longer.
  await must(Deno.execPath(), ["cache", join(dir, "main.ts")]);
  const said = await must(program[0]!, [...program.slice(1), "version"]);
  if (!said.includes(version)) throw new Error(`It is no ${version}: ${said}`);
  return program;
}

async function must(
  command: string,
  args: readonly string[],
): Promise<string> {
  const { code, stdout, stderr } = await run(command, args);
  if (code === 0) return stdout;
  throw new Error(`Cannot run ${command} ${args.join(" ")}: ${stderr}`);
}

/** What only a machine for development has. */
const DEVELOPMENT = ["deno", "node", "nodejs", "npm", "npx", "corepack"];
const PROGRAM_DIRS = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin"]
  .concat("/usr/bin", "/sbin", "/bin");

/** Shows a host's programs an empty folder in place of the sources, and no runtime. */
const HIDE = 'mount -t tmpfs -o size=4k none "$0"; ' +
  'mount --bind /dev/null "$1"; cd /; shift; exec "$@"';

/**
 * Hosts that have an executable of this program in a folder by itself: neither
 * the sources nor a runtime nor what comes with one.
 *
 * @param dir a folder that is there, for all of it
 */
export function bareImage(executable: string, dir: string): LabImage {
  const program = join(dir, "image", basename(executable));
  const bin = join(dir, "bin");
  return {
    program: [program],
    path: bin,
    env: {
      HOME: "/nonexistent",
      STELLAR_NET_UNPACK: join(dir, "unpacked"),
      // Nothing of it is to be taken from this machine's user.
      DENO_DIR: "/nonexistent",
    },
    within: (line) => ["sh", "-ec", HIDE, ROOT, Deno.execPath(), ...line],
    async build() {
      await Deno.mkdir(join(dir, "image"), { mode: 0o755 });
      await Deno.copyFile(executable, program);
      await Deno.mkdir(bin, { mode: 0o755 });
      await linkPrograms(bin);
    },
  };
}

/** Links to this machine's programs, but for those of development. */
async function linkPrograms(bin: string): Promise<void> {
  const linked = new Set(DEVELOPMENT);
  for (const dir of PROGRAM_DIRS) {
    for await (const { name } of readDir(dir)) {
      if (linked.has(name)) continue;
      linked.add(name);
      await Deno.symlink(join(dir, name), join(bin, name));
    }
  }
}

async function* readDir(dir: string): AsyncGenerator<Deno.DirEntry> {
  try {
    yield* Deno.readDir(dir);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}
