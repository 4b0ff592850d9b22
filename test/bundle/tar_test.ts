import assert from "node:assert/strict";
import { makeTar } from "../../src/bundle/tar.ts";
import { run } from "../support/run.ts";
import { withTempDir } from "../support/temp_dir.ts";

const encoder = new TextEncoder();

Deno.test("makeTar() makes what tar(1) lists and extracts", () =>
  withTempDir(async (dir) => {
    const texts: Readonly<Record<string, string>> = {
      "b/MANIFEST": "ok\n",
      "b/empty": "",
      "b/block": "x".repeat(512),
      "b/more": "ä".repeat(5000),
      [`b/${"n".repeat(98)}`]: "a long name",
    };
    const files = Object.entries(texts).map(([path, text]) => ({
      path,
      bytes: encoder.encode(text),
    }));
    const tar = makeTar(files, Date.UTC(2026, 0, 2, 3, 4, 5));
    assert.equal(tar.length % 512, 0);
    await Deno.writeFile(`${dir}/x.tar`, tar);
    const args = ["--utc", "--full-time", "-tvf", `${dir}/x.tar`];
    const listed = await run("tar", args);
    assert.deepEqual([listed.code, listed.stderr], [0, ""]);
    const lines = listed.stdout.trimEnd().split("\n");
    assert.equal(lines.length, files.length);
    for (const [index, { path, bytes }] of files.entries()) {
      const words = lines[index]!.split(/\s+/);
      assert.deepEqual(words, [
        ...["-rw-------", "root/root", `${bytes.length}`],
        ...["2026-01-02", "03:04:05", path],
      ]);
    }
    const out = ["--no-same-owner", "-xf", `${dir}/x.tar`, "-C", dir];
    assert.equal((await run("tar", out)).code, 0);
    for (const [path, text] of Object.entries(texts)) {
      assert.equal(await Deno.readTextFile(`${dir}/${path}`), text);
    }
  }));

Deno.test("makeTar() refuses a path that is too long", () => {
  const path = "ä".repeat(51);
  const bytes = new Uint8Array();
  assert.throws(() => makeTar([{ path, bytes }], 0), RangeError);
});
