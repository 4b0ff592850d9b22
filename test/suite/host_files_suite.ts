import assert from "node:assert/strict";
import type { HostFiles } from "../../src/install/port.ts";
import type { FileOperation } from "../../src/install/plan/item.ts";

/** SHA-256 of `hello`. */
export const HELLO =
  "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

/**
 * What holds of the files of every host.
 *
 * @param files an empty host
 * @param source path of a file that holds `hello`, to be copied
 */
export async function testHostFiles(
  t: Deno.TestContext,
  files: HostFiles,
  source: string,
): Promise<void> {
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
      { kind: "mode", path: "/etc/a/x", mode: 0o4640 },
      [],
      { kind: "file", mode: 0o4640, digest: HELLO },
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
  await t.step("digests", async () => {
    assert.equal(await files.digestOf("hello"), HELLO);
    assert.equal(await files.digestOfFile(source), HELLO);
    await assert.rejects(files.digestOfFile(`${source}/none`));
  });
  await t.step("texts", async () => {
    assert.equal(await files.read("/x"), undefined);
    await files.apply({ ...text, path: "/x", source: "hello" });
    assert.equal(await files.read("/x"), "hello");
    await assert.rejects(files.apply({ kind: "mode", path: "/y", mode: 0 }));
    await files.apply({ kind: "remove", path: "/x" });
  });
}
