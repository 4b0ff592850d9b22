import assert from "node:assert/strict";
import { join } from "node:path";
import { ROOT } from "../generate.ts";
import { rowOf } from "../lab/faults/fault.ts";
import { HOST_FAULTS, REPAIRED } from "../lab/faults/host_faults.ts";
import { MEMBER_FAULTS } from "../lab/faults/member_faults.ts";

/** The words that tests find in what `doctor` prints. */
const FAULTS = [...HOST_FAULTS, ...Object.values(MEMBER_FAULTS)];

Deno.test("docs/operations.md has the faults that tests cause, in the words of doctor", async () => {
  const page = await Deno.readTextFile(join(ROOT, "docs/operations.md"));
  const [, section = ""] = page.split("## Faults and their fixes\n");
  const rows = section.split("\n## ")[0]!.split("\n")
    .filter((line) => line.startsWith("| "))
    .map((line) => line.split("|").slice(1, -1).map((cell) => cell.trim()));
  assert.deepEqual(rows.slice(2), FAULTS.map(rowOf));
  for (const { name } of REPAIRED) assert.ok(section.includes(name), name);
});

Deno.test("the table has more than forty faults, each with its own name", () => {
  const names = new Set(FAULTS.map(({ name }) => name));
  assert.equal(names.size, FAULTS.length);
  assert.ok(names.size >= 40, `${names.size}`);
});
