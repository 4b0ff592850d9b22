import assert from "node:assert/strict";
import { makeBundle } from "../../src/bundle/bundle.ts";

const OPTIONS = { folder: "b", about: ["About."], nowMs: 0 };

/** Paths and texts of an archive. */
function filesOf(tar: Uint8Array): Record<string, string> {
  const files: Record<string, string> = {};
  const text = (from: number, length: number) =>
    new TextDecoder().decode(tar.subarray(from, from + length));
  for (let at = 0; tar[at] !== 0;) {
    const size = parseInt(text(at + 124, 11), 8);
    files[text(at, 100).replaceAll("\0", "")] = text(at + 512, size);
    at += 512 + Math.ceil(size / 512) * 512;
  }
  return files;
}

Deno.test("makeBundle() packs the readable parts, and names the failed ones", async () => {
  const { tar, parts, problems } = await makeBundle([
    { path: "a.txt", read: () => Promise.resolve({ text: "A\n" }) },
    { path: "none.txt", read: () => Promise.resolve({ text: "" }) },
    {
      path: "part.txt",
      read: () => Promise.resolve({ text: "a part", problem: "exit code 3" }),
    },
    { path: "bad.txt", read: () => Promise.reject(new Error("no\n such")) },
  ], OPTIONS);
  assert.equal(parts, 4);
  assert.deepEqual(problems, [
    { path: "part.txt", problem: "exit code 3" },
    { path: "bad.txt", problem: "no such" },
  ]);
  assert.deepEqual(filesOf(tar), {
    "b/MANIFEST": "About.\n\nok      a.txt\nok      none.txt\n" +
      "FAILED  part.txt: exit code 3\nFAILED  bad.txt: no such\n",
    "b/a.txt": "A\n",
    "b/none.txt": "",
    "b/part.txt": "a part",
  });
});

Deno.test("makeBundle() takes secrets out of parts and reasons", async () => {
  const { tar, problems } = await makeBundle([
    { path: "a", read: () => Promise.resolve({ text: "token=planted" }) },
    { path: "b", read: () => Promise.reject(new Error("token=planted")) },
  ], OPTIONS);
  assert.ok(!new TextDecoder().decode(tar).includes("planted"));
  assert.deepEqual(problems, [{ path: "b", problem: "token=[redacted]" }]);
});

Deno.test("makeBundle() cuts large parts", async () => {
  const text = "x".repeat(3 << 20);
  const { tar } = await makeBundle(
    [{ path: "a", read: () => Promise.resolve({ text }) }],
    OPTIONS,
  );
  const { "b/a": kept } = filesOf(tar);
  assert.equal(
    kept,
    `${"x".repeat(1 << 20)}\n[cut: it has ${text.length} characters]\n`,
  );
});
