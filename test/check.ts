import { join, relative } from "node:path";
import {
  CONFIG,
  generate,
  PAGE_CONFIG,
  RELEASE_IMAGE,
  ROOT,
  runBuf,
} from "./generate.ts";
import { run, type RunResult } from "./support/run.ts";
import { walkFiles } from "./support/files.ts";
import { withTempDir } from "./support/temp_dir.ts";

/** What has to hold of the source, each with the command that would put it right. */
const CHECKS: readonly {
  readonly name: string;
  readonly run: () => Promise<RunResult>;
  readonly remedy: string;
}[] = [
  { name: "format", run: () => deno("fmt", "--check"), remedy: "deno fmt" },
  { name: "lint", run: () => deno("lint"), remedy: "deno lint --fix" },
  {
    name: "no console in src/",
    run: () => deno("lint", "--rules-include=no-console", "src", "main.ts"),
    remedy: "write to the streams that are passed in, or to the log",
  },
  {
    name: "types",
    run: () => deno("check", ...CONFIG, "main.ts", "src/", "test/"),
    remedy: "see above",
  },
  {
    name: "types of the page",
    run: () => deno("check", "--config", PAGE_CONFIG, "src/ui/page/"),
    remedy: "see above",
  },
  {
    name: "layers",
    run: () => deno("test", "-A", ...CONFIG, "test/layering_test.ts"),
    remedy: "see above",
  },
  { name: "proto lint", run: () => runBuf(["lint"]), remedy: "see above" },
  {
    name: "protos since the last release",
    run: () => runBuf(["breaking", "--against", RELEASE_IMAGE]),
    remedy: "docs/api.md has the policy: add, and change nothing",
  },
  {
    name: "proto format",
    run: () => runBuf(["format", "--diff", "--exit-code"]),
    remedy:
      "deno run -A --config test/deno.json npm:@bufbuild/buf@1.74.0 format --write proto",
  },
  {
    name: "generated code is up to date",
    run: compareGenerated,
    remedy: "deno task generate",
  },
];

function deno(...args: readonly string[]): Promise<RunResult> {
  return run(Deno.execPath(), args, { cwd: ROOT, timeoutMs: 300_000 });
}

/** Generates into a temporary folder and names the files that differ from `src/gen/`. */
async function compareGenerated(): Promise<RunResult> {
  return await withTempDir(async (dir) => {
    const result = await generate(dir);
    if (result.code !== 0) return result;
    const [fresh, kept] = await Promise.all(
      [dir, ROOT].map((root) => readAll(join(root, "src/gen"))),
    );
    const stale = [...new Set([...fresh!.keys(), ...kept!.keys()])]
      .filter((path) => fresh!.get(path) !== kept!.get(path));
    return {
      code: fresh!.size === 0 || stale.length > 0 ? 1 : 0,
      stdout: stale.map((path) => `src/gen/${path} is not up to date\n`)
        .join(""),
      stderr: "",
    };
  });
}

async function readAll(dir: string): Promise<Map<string, string>> {
  const files = await walkFiles(dir);
  return new Map(
    await Promise.all(
      files.map(async (file) =>
        [relative(dir, file), await Deno.readTextFile(file)] as const
      ),
    ),
  );
}

let failed = 0;
for (const check of CHECKS) {
  const { code, stdout, stderr } = await check.run();
  if (code === 0) {
    console.log(`ok      ${check.name}`);
  } else {
    failed++;
    console.log(`${stdout}${stderr}`.trimEnd());
    console.log(`FAILED  ${check.name} (${check.remedy})`);
  }
}
Deno.exit(failed === 0 ? 0 : 1);
