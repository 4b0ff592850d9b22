import { fileURLToPath } from "node:url";
import type { HammerOptions, HammerReport } from "./hammer.ts";
import { APART } from "./hammered_host.ts";

const MAIN = fileURLToPath(new URL("main.ts", import.meta.url));

/**
 * Runs the hammer in namespaces of its own; needs root. Its progress, and the
 * reason why it fails, appear on stderr.
 *
 * @throws {Error} when it fails, with its seed
 */
export async function runHammer(
  { operations, seed }: HammerOptions,
  { timeoutMs }: { readonly timeoutMs: number },
): Promise<HammerReport> {
  const [command, ...args] = APART;
  const child = new Deno.Command(command!, {
    args: [
      ...[...args, Deno.execPath(), "run", "-A", MAIN],
      ...[String(operations), String(seed)],
    ],
    stdin: "null",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  // unshare(1) heeds no other signal while it waits.
  const timer = setTimeout(() => child.kill("SIGKILL"), timeoutMs);
  const { code, stdout } = await child.output();
  clearTimeout(timer);
  if (code === 0) return JSON.parse(new TextDecoder().decode(stdout));
  throw new Error(`Cannot finish the hammer with seed ${seed}: exit ${code}`);
}
