import assert from "node:assert/strict";
import { DenoHostFiles } from "../../src/host/deno_host_files.ts";
import type { FileOperation } from "../../src/install/item.ts";
import { withTempDir } from "../support/temp_dir.ts";

const HELLO =
  "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

Deno.test("DenoHostFiles carries operations out below its root, and sees what is there", async (t) => {
  await withTempDir(async (dir) => {
    const source = `${dir}/program`;
    await Deno.writeTextFile(source, "hello", { mode: 0o600 });
    const root = `${dir}/image`;
    const files = new DenoHostFiles(`${root}/`);
    const text = { kind: "text", path: "/etc/a/x", mode: 0o600 } as const;
    const rows: readonly [
      operation: FileOperation,
      made: readonly string[],
      found: unknown,
    ][] = [
      [
        { ...text, source: "hello" },
        ["/etc", "/etc/a"],
        { kind: "file", mode: 0o600, digest: HELLO },
      ],
      [
        { kind: "mode", path: "/etc/a/x", mode: 0o640 },
        [],
        { kind: "file", mode: 0o640, digest: HELLO },
      ],
      [
        { kind: "link", path: "/etc/a/x", target: "/nowhere" },
        [],
        { kind: "link", target: "/nowhere" },
      ],
      [
        { kind: "program", path: "/etc/a/x", mode: 0o755, source },
        [],
        { kind: "file", mode: 0o755, digest: HELLO },
      ],
      [
        { kind: "folder", path: "/etc/b", mode: 0o700 },
        ["/etc/b"],
        { kind: "folder" },
      ],
      [{ kind: "remove_empty", path: "/etc" }, [], { kind: "folder" }],
      [{ kind: "remove_empty", path: "/etc/b" }, [], { kind: "absent" }],
      [{ kind: "remove", path: "/etc/a/x" }, [], { kind: "absent" }],
      [{ kind: "remove", path: "/etc/a/x" }, [], { kind: "absent" }],
      [{ kind: "remove_tree", path: "/etc" }, [], { kind: "absent" }],
      [{ kind: "remove_tree", path: "/etc/a" }, [], { kind: "absent" }],
    ];
    for (const [operation, made, found] of rows) {
      await t.step(`${operation.kind} ${operation.path}`, async () => {
        assert.deepEqual(await files.apply(operation), made);
        const { path } = operation;
        assert.deepEqual((await files.look([path])).get(path), found);
      });
    }
    assert.deepEqual([...Deno.readDirSync(root)], []);
    assert.deepEqual([...Deno.readDirSync(dir)].length, 2);
  });
});

Deno.test("DenoHostFiles reads texts and digests, and says what it cannot do", async () => {
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
