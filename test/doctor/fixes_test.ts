import assert from "node:assert/strict";
import { join } from "node:path";
import { shell } from "../../src/host/checks/check.ts";
import { ROOT } from "../generate.ts";
import { assertPasteable, PROGRAMS } from "../lab/faults/fault.ts";

/** The folders of the checks. */
const FOLDERS = ["src/doctor", "src/host/checks"];
/** A line for a shell in a source: its text up to the closing backtick, with one level of nested templates. */
const LINE = /shell`((?:[^`$]|\$\{(?:[^{}`]|`[^`]*`|\{[^{}]*\})*\})*)`/g;
const VALUE = /\$\{(?:[^{}`]|`[^`]*`|\{[^{}]*\})*\}/g;
/** A text where a fix may begin: after `fix:`, or as the argument of a function that makes a finding. */
const PROSE = /(?:fix:|[?:,]\s)\s*["'`]([^"'`]+)/g;

/** The sources of the checks, by path. */
async function sources(): Promise<ReadonlyMap<string, string>> {
  const found = new Map<string, string>();
  for (const folder of FOLDERS) {
    for await (const { name } of Deno.readDir(join(ROOT, folder))) {
      const path = `${folder}/${name}`;
      found.set(path, await Deno.readTextFile(join(ROOT, path)));
    }
  }
  return found;
}

Deno.test("every command in the checks can be pasted into a shell", async (t) => {
  let lines = 0;
  for (const [path, text] of await sources()) {
    for (const [, line] of text.matchAll(LINE)) {
      const filled = line!.replaceAll(VALUE, "x").replace(/^x /, "ip ")
        .replace(/^(nsenter --net=x )$/, "$1 true");
      lines++;
      await t.step(`${path}: ${filled}`, () => assertPasteable(filled));
    }
  }
  assert.ok(lines >= 30, `${lines}`);
});

Deno.test("every command in the checks is quoted where a shell needs it", async () => {
  // These take lines that are made elsewhere, each with tests of its own.
  const made =
    /^(?:text|restart|lines?\b|links\.map|changes\.map|planHost|operations\.filter|formatOperation|\[|shell`)/;
  for (const [path, text] of await sources()) {
    for (const [, argument] of text.matchAll(/\bcommand\(\s*([^)]{1,40})/g)) {
      if (argument!.startsWith("lines: string")) continue;
      assert.match(argument!, made, path);
    }
  }
});

Deno.test("no fix is a command in the guise of a text", async () => {
  for (const [path, text] of await sources()) {
    for (const [, prose] of text.matchAll(PROSE)) {
      const [first = ""] = prose!.trim().split(" ");
      const isSentence = prose!.startsWith("nft reads");
      const isCommand = PROGRAMS.has(first) && prose!.includes(" ") &&
        !isSentence;
      assert.ok(!isCommand, `${path}: ${prose}`);
    }
  }
});

Deno.test("shell`` quotes values, and leaves the line as it is", () => {
  const name = "a b$(c)";
  assert.equal(
    shell`ip link set dev ${name} mtu ${1400} && x ${["-6", "y"]}`,
    'ip link set dev "a b\\$(c)" mtu 1400 && x -6 y',
  );
});
