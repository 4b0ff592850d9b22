/**
 * Makes a symbolic link. The runtime lets only those do so that may read and
 * write everything; for others ln(1) does it.
 *
 * @throws {Deno.errors.AlreadyExists} when something is there
 * @throws {Error} when it cannot be made
 */
export function makeSymlink(target: string, path: string): void {
  try {
    Deno.symlinkSync(target, path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotCapable)) throw error;
    const { code, stderr } = new Deno.Command("ln", {
      args: ["-sn", "--", target, path],
      env: { LC_ALL: "C" },
      stdin: "null",
    }).outputSync();
    if (code === 0) return;
    const message = new TextDecoder().decode(stderr).trim();
    if (/File exists/.test(message)) {
      throw new Deno.errors.AlreadyExists(message);
    }
    throw new Error(message);
  }
}
