import { fileURLToPath } from "node:url";
import { run } from "../support/run.ts";
import type { HammerOptions, HammerReport } from "./hammer.ts";
import { APART } from "./hammered_host.ts";

const MAIN = fileURLToPath(new URL("main.ts", import.meta.url));

/** Runs the hammer in namespaces of its own; needs root. @throws {Error} when it fails, with its seed */
export async function runHammer(
  options: HammerOptions,
  { timeoutMs }: { readonly timeoutMs: number },
): Promise<HammerReport> {
  const { operations, seed } = options;
  const [command, ...args] = APART;
  const { code, stdout, stderr } = await run(command!, [
    ...[...args, Deno.execPath(), "run", "-A", MAIN],
    ...[String(operations), String(seed)],
  ], { timeoutMs });
  if (code === 0) return JSON.parse(stdout);
  throw new Error(`Cannot finish the hammer with seed ${seed}: ${stderr}`);
}
