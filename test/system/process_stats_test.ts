import assert from "node:assert/strict";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import {
  connectionsPerListener,
  readProcessStats,
} from "../../src/system/process_stats.ts";
import { ROOT } from "../generate.ts";
import { run } from "../support/run.ts";
import { withTempDir } from "../support/temp_dir.ts";

Deno.test("readProcessStats() reads the resources of this process", async () => {
  const before = await readProcessStats();
  assert.ok(before.startedAtMs > Date.now() - 86_400_000);
  assert.ok(before.startedAtMs <= Date.now());
  assert.ok(before.cpuSeconds > 0);
  assert.ok(before.residentBytes > before.heapBytes && before.heapBytes > 0);
  assert.ok(before.openFiles! > 3 && before.openFiles! < before.maxFiles!);
  const files = await Promise.all(
    Array.from({ length: 5 }, () => Deno.open("/dev/null")),
  );
  const { openFiles } = await readProcessStats();
  for (const file of files) file.close();
  assert.equal(openFiles, before.openFiles! + 5);
});

Deno.test("readProcessStats() counts files with grep and stat alone", async () => {
  await withTempDir(async (dir) => {
    const main = join(dir, "main.ts");
    const module = pathToFileURL(join(ROOT, "src/system/process_stats.ts"));
    await Deno.writeTextFile(
      main,
      `import {
  connectionsPerListener,
  readProcessStats,
} from "${module}";
console.log(JSON.stringify(await readProcessStats()));`,
    );
    const { code, stdout, stderr } = await run(Deno.execPath(), [
      "run",
      "--no-prompt",
      "--no-config",
      "--allow-read",
      "--allow-run=grep,stat",
      "--allow-env=PATH",
      main,
    ]);
    assert.equal(code, 0, stderr);
    const { openFiles, maxFiles } = JSON.parse(stdout);
    assert.ok(openFiles > 3 && openFiles < maxFiles, stdout);
  });
});

const ROWS: readonly [limit: string, listeners: number, each: number][] = [
  ["1024", 2, 448],
  ["1024", 1, 896],
  ["100000", 3, 1024],
  ["64", 2, 16],
  ["unlimited", 2, 1024],
];

Deno.test("connectionsPerListener() leaves files to open", async (t) => {
  for (const [limit, listeners, each] of ROWS) {
    await t.step(`${limit} files, ${listeners} listeners`, () => {
      const limits =
        `Limit  Soft Limit  Hard Limit  Units\nMax open files            ${limit}   1048576   files\n`;
      const options = { listeners, most: 1024 };
      assert.equal(connectionsPerListener(limits, options), each);
    });
  }
});

Deno.test("connectionsPerListener() reads this process's own limit", () => {
  const limits = Deno.readTextFileSync("/proc/self/limits");
  assert.match(limits, /^Max open files\s+\S/m);
  const each = connectionsPerListener(limits, { listeners: 2, most: 1024 });
  assert.ok(each >= 16 && each <= 1024);
});
