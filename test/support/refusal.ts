import assert from "node:assert/strict";
import { ROOT } from "../generate.ts";
import { run } from "./run.ts";

/** How the program failed. */
export interface Refusal {
  readonly code: number;
  /** What it said, without `stellar-net: ` in front. */
  readonly message: string;
}

export interface RefusalOptions {
  /** Added to this process's environment. */
  readonly env?: Readonly<Record<string, string>>;
  /** The command before `deno`, or in place of it. */
  readonly as?: (
    args: readonly string[],
  ) => Promise<{ readonly command: string; readonly args: readonly string[] }>;
}

/** What comes before the program's own arguments when it runs from source. */
export const FROM_SOURCE: readonly string[] = ["run", "-A", "main.ts"];

/**
 * Runs the program from source and sees that it fails as it should: with one
 * line for people on stderr, and nothing on stdout.
 */
export async function runRefused(
  args: readonly string[],
  options: RefusalOptions = {},
): Promise<Refusal> {
  const { env = {}, as = runDeno } = options;
  const line = await as([...FROM_SOURCE, ...args]);
  const { code, stdout, stderr } = await run(line.command, line.args, {
    cwd: ROOT,
    // A start that does not fail would go on for ever.
    timeoutMs: 120_000,
    // Nor is it to touch this machine's network.
    env: { STELLAR_NET_ROUTES: "off", ...env },
  });
  assert.equal(stdout, "");
  const match = /^stellar-net: ([^\n]+)\n$/.exec(stderr);
  assert.ok(match, `this is not one line: ${stderr}`);
  return { code, message: match[1]! };
}

function runDeno(args: readonly string[]) {
  return Promise.resolve({ command: Deno.execPath(), args });
}

/** The paths below a folder, with the contents of files; the same when nothing was written. */
export async function describeTree(
  dir: string,
): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  for await (const entry of Deno.readDir(dir)) {
    const path = `${dir}/${entry.name}`;
    if (entry.isDirectory) {
      found[path] = "a folder";
      Object.assign(found, await describeTree(path));
    } else {
      found[path] = entry.isFile
        ? (await Deno.readFile(path)).toBase64()
        : "another kind of file";
    }
  }
  return found;
}
