import { basename, join } from "node:path";
import { ROOT } from "../generate.ts";

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
