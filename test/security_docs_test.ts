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

Deno.test("each claim about an attacker names tests that are there, or says that there is none", async (t) => {
  const rows = rowsOf(sectionOf("What an attacker can and cannot do"));
  assert.ok(rows.length > 10);
  for (const [attacker, ...cells] of rows) {
    await t.step(attacker!, () => {
      for (const claim of cells.flatMap((cell) => cell.split("; "))) {
        const [, proof] = /\(([^()]+)\)$/.exec(claim) ?? [];
        assert.ok(proof !== undefined, `without a test: ${claim}`);
        if (proof === "no test") continue;
        for (const named of proof.split(", ")) {
          const [, path] = /^`([\w/]+)`$/.exec(named) ?? [];
          assert.ok(path !== undefined, claim);
          assert.ok(
            Deno.statSync(join(ROOT, `test/${path}_test.ts`)).isFile,
          );
        }
      }
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
