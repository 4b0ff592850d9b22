const decoder = new TextDecoder();

/**
 * Reads a file below /proc or /sys. The runtime lets only those read there that
 * may do everything; for others grep(1) does it.
 *
 * @throws {Error} when it cannot be read
 */
export async function readKernelFile(path: string): Promise<string> {
  try {
    return await Deno.readTextFile(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotCapable)) throw error;
    const { code, stdout, stderr } = await run("grep", ["-h", "", path]);
    if (code === 0) return stdout;
    throw new Error(`Cannot read "${path}": ${stderr.trim()}`);
  }
}

/**
 * Whether there is a file at a path, wherever it lies: `undefined` when that
 * cannot be told.
 */
export async function isThere(path: string): Promise<boolean | undefined> {
  try {
    await Deno.stat(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    if (!(error instanceof Deno.errors.NotCapable)) return undefined;
  }
  try {
    const { code, stderr } = await run("stat", ["-L", "-c", "%i", path]);
    if (code === 0) return true;
    return /No such file or directory/.test(stderr) ? false : undefined;
  } catch {
    // Programs may be missing.
    return undefined;
  }
}

async function run(
  program: string,
  args: readonly string[],
): Promise<{ code: number; stdout: string; stderr: string }> {
  const { code, stdout, stderr } = await new Deno.Command(program, {
    args: [...args],
    env: { LC_ALL: "C" },
    stdin: "null",
  }).output();
  return {
    code,
    stdout: decoder.decode(stdout),
    stderr: decoder.decode(stderr),
  };
}
