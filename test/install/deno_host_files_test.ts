import assert from "node:assert/strict";
import { DenoHostFiles } from "../../src/install/deno_host_files.ts";
import { HELLO, testHostFiles } from "../suite/host_files_suite.ts";
import { withTempDir } from "../support/temp_dir.ts";

Deno.test("DenoHostFiles keeps to its root", async (t) => {
  await withTempDir(async (dir) => {
    const source = `${dir}/program`;
    await Deno.writeTextFile(source, "hello", { mode: 0o600 });
    const root = `${dir}/image`;
    await testHostFiles(t, new DenoHostFiles(`${root}/`), source);
    assert.deepEqual([...Deno.readDirSync(root)], []);
    assert.equal([...Deno.readDirSync(dir)].length, 2);
  });
});

Deno.test("DenoHostFiles reads texts and digests, and names failures", async () => {
  await withTempDir(async (dir) => {
    const files = new DenoHostFiles(dir);
    await Deno.writeTextFile(`${dir}/x`, "hello");
    assert.equal(await files.read("/x"), "hello");
    assert.equal(await files.read("/x/y"), undefined);
    assert.equal(await files.read("/y"), undefined);
    assert.equal(await files.digestOf("hello"), HELLO);
    assert.equal(await files.digestOfFile(`${dir}/x`), HELLO);
    await assert.rejects(files.digestOfFile(`${dir}/y`), {
      code: "unavailable",
      message: /^Cannot read "/,
    });
    const into = {
      kind: "text",
      path: "/x/y",
      mode: 0o600,
      source: "",
    } as const;
    await assert.rejects(files.apply(into), {
      code: "unavailable",
      message: /^Cannot write "/,
    });
    await assert.rejects(files.apply({ kind: "mode", path: "/y", mode: 0 }), {
      code: "unavailable",
    });
  });
});
