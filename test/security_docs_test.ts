import assert from "node:assert/strict";
import { join } from "node:path";
import { GRANTS } from "../src/build/permissions.ts";
import { ROOT } from "./generate.ts";

const PAGE = Deno.readTextFileSync(join(ROOT, "docs/security.md"));

/** The lines of the page from a heading to the next. */
function sectionOf(heading: string): string {
  const [, rest] = PAGE.split(`## ${heading}\n`);
  assert.ok(rest !== undefined, heading);
  return rest.split("\n## ")[0]!;
}

/** The cells of the first table of a section, without its head. */
function rowsOf(section: string): string[][] {
  const rows = section.split("\n").filter((line) => line.startsWith("|"))
    .map((line) => line.split("|").slice(1, -1).map((cell) => cell.trim()));
  return rows.slice(2);
}

/** The tests that the claims refer to: `1. `integration/browser`: its name`. */
function testsOf(section: string): string[] {
  return [...section.matchAll(/^(\d+)\. `([\w/]+)`: (.+)$/gm)]
    .map(([, number, file, name], i) => {
      assert.equal(number, `${i + 1}`);
      return `${file} ${name}`;
    });
}

Deno.test("each claim about an attacker names tests that are there", async (t) => {
  const section = sectionOf("What an attacker can and cannot do");
  const rows = rowsOf(section);
  assert.ok(rows.length > 10);
  const tests = testsOf(section);
  const used = new Set<number>();
  for (const [attacker, ...cells] of rows) {
    await t.step(attacker!, () => {
      assert.equal(cells.length, 2);
      for (const claim of cells.flatMap((cell) => cell.split("; "))) {
        const [, numbers] = /\((\d+(?:, \d+)*)\)$/.exec(claim) ?? [];
        assert.ok(numbers !== undefined, `without a test: ${claim}`);
        for (const number of numbers.split(", ").map(Number)) {
          assert.ok(tests[number - 1] !== undefined, claim);
          used.add(number);
        }
      }
    });
  }
  for (const [i, test] of tests.entries()) {
    await t.step(test, () => {
      assert.ok(used.has(i + 1), "no claim refers to it");
      const [file, ...words] = test.split(" ");
      const source = Deno.readTextFileSync(join(ROOT, `test/${file}_test.ts`));
      const called = /(?:Deno\.test|\.step)\(\s*"((?:[^"\\]|\\.)*)"/g;
      const names = [...source.matchAll(called)].map(([, name]) => name);
      assert.ok(names.includes(words.join(" ")), `not in ${file}_test.ts`);
    });
  }
});

Deno.test("the page names every program that a built agent may run, and no other", () => {
  const section = sectionOf("Rights of the agent on its host");
  const named = rowsOf(section).flatMap(([programs]) =>
    [...programs!.matchAll(/`([^`]+)`/g)].map(([, name]) => name)
  );
  const granted = GRANTS.filter(({ kind }) => kind === "run")
    .flatMap(({ values }) => values);
  assert.deepEqual(named.sort(), [...granted].sort());
});
