import type { BuildInfo } from "./build_info.ts";

/**
 * Reads the commit of a checkout, and whether its files have changed since. The
 * commit is null without git and in a folder that is no checkout.
 */
export async function readGitCommit(
  dir: string,
): Promise<Pick<BuildInfo, "commit" | "modified">> {
  const commit = await git(dir, ["rev-parse", "--verify", "HEAD"]);
  if (commit === undefined) return { commit: null, modified: false };
  const status = await git(dir, ["status", "--porcelain"]);
  return { commit, modified: status !== "" };
}

async function git(
  dir: string,
  args: readonly string[],
): Promise<string | undefined> {
  try {
    const { code, stdout } = await new Deno.Command("git", {
      // The checkout may belong to another user.
      args: ["-c", `safe.directory=${dir}`, "-C", dir, ...args],
      env: { LC_ALL: "C" },
      stdin: "null",
    }).output();
    return code === 0 ? new TextDecoder().decode(stdout).trim() : undefined;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}
