import assert from "node:assert/strict";
import {
  formatManifest,
  type Manifest,
  parseManifest,
} from "../../../src/install/plan/manifest.ts";

const MANIFEST: Manifest = {
  version: "1.2.3",
  choices: { prefix: "/usr/local", pluginDir: null },
  entries: [{ path: "/a", sha256: "00" }, { path: "/b", target: "/a" }],
  folders: ["/etc/stellar-net"],
};

Deno.test("parseManifest() reads what formatManifest() writes", () => {
  assert.deepEqual(parseManifest(formatManifest(MANIFEST), "/m"), MANIFEST);
});

Deno.test("parseManifest() refuses what it does not know", async (t) => {
  const value = JSON.parse(formatManifest(MANIFEST));
  const rows: readonly [name: string, text: string, said: RegExp][] = [
    [
      "cut off",
      formatManifest(MANIFEST).slice(0, -4),
      /"\/m" is not JSON; use/,
    ],
    ["later", JSON.stringify({ ...value, format: 2 }), /has the format 2, and/],
    ["no object", "null", /has the format undefined/],
    ["no entries", JSON.stringify({ ...value, entries: 1 }), /is damaged/],
    ["an entry", JSON.stringify({ ...value, entries: [{}] }), /is damaged/],
    ["a null", JSON.stringify({ ...value, entries: [null] }), /is damaged/],
    ["folders", JSON.stringify({ ...value, folders: [1] }), /is damaged/],
    ["no choices", JSON.stringify({ ...value, choices: null }), /is damaged/],
  ];
  for (const [name, text, said] of rows) {
    await t.step(name, () => {
      assert.throws(() => parseManifest(text, "/m"), {
        code: "failed_precondition",
        message: said,
      });
    });
  }
});
