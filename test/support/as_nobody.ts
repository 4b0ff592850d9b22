import { basename, dirname } from "node:path";
import { ROOT } from "../generate.ts";
import { run } from "./run.ts";

/** User and group id of Debian's user nobody. */
export const NOBODY = 65534;

/** What Deno.Command takes. */
export interface CommandLine {
  readonly command: string;
  readonly args: readonly string[];
}

export interface AsNobodyOptions {
  /** The folder it runs in, with the source. Default: the root of the project. */
  readonly source?: string;
}

// Deno, its cache and the checkout may lie where nobody cannot look. They are
// shown in the folder by bind mounts, in a mount namespace of the command's own.
const SCRIPT = `
set -e
dir=$1 deno=$2
mkdir -p "$dir/bin" "$dir/cache" "$dir/source"
mount --bind "$3" "$dir/bin"
mount --bind "$4" "$dir/cache"
mount --bind "$5" "$dir/source"
shift 5
cd "$dir/source"
export HOME="$dir" DENO_DIR="$dir/cache"
exec setpriv --reuid ${NOBODY} --regid ${NOBODY} --clear-groups \\
  --inh-caps=-all "$dir/bin/$deno" "$@"
`;

/**
 * The command that runs Deno on the source as an ordinary user: nobody, or
 * whoever runs the tests when that is not root.
 *
 * @param dir a new folder that nobody can enter; it becomes nobody's
 * @param args what follows `deno`
 */
export async function asNobody(
  dir: string,
  args: readonly string[],
  { source = ROOT }: AsNobodyOptions = {},
): Promise<CommandLine> {
  const deno = Deno.execPath();
  if (Deno.uid() !== 0) return { command: deno, args };
  await Deno.chown(dir, NOBODY, NOBODY);
  const { stdout } = await run(deno, ["info", "--json"]);
  const { denoDir }: { readonly denoDir: string } = JSON.parse(stdout);
  return {
    command: "unshare",
    args: ["--mount", "--propagation", "private", "bash", "-c", SCRIPT, "bash"]
      .concat(dir, basename(deno), dirname(deno), denoDir, source, args),
  };
}
