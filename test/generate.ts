import { dirname, join } from "node:path";
import { run, type RunResult } from "./support/run.ts";

/** The root of the project. */
export const ROOT: string = dirname(import.meta.dirname!);

const BUF = "npm:@bufbuild/buf@1.74.0/buf";

/** Runs buf in `proto/`. Its plugin is a Deno program, so `deno` is put in its path. */
export function runBuf(args: readonly string[]): Promise<RunResult> {
  const deno = Deno.execPath();
  return run(deno, ["run", "-A", BUF, ...args], {
    cwd: join(ROOT, "proto"),
    env: { PATH: `${dirname(deno)}:${Deno.env.get("PATH") ?? ""}` },
  });
}

/** Generates code from the protos into `src/gen/` under a folder. */
export function generate(root: string): Promise<RunResult> {
  // buf.gen.yaml says "../src/gen".
  return runBuf(["generate", "--output", join(root, "proto")]);
}

if (import.meta.main) {
  await Deno.remove(join(ROOT, "src/gen"), { recursive: true });
  const { code, stdout, stderr } = await generate(ROOT);
  console.error(`${stdout}${stderr}`.trim());
  Deno.exit(code);
}
