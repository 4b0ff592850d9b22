import assert from "node:assert/strict";
import { dirname, join } from "node:path";
import { openDenoKv } from "../../../src/store/deno_kv/deno_kv.ts";
import { openStateFile } from "../../../src/store/deno_kv/state_file.ts";
import { withTempDir } from "../../support/temp_dir.ts";

Deno.test("openStateFile() opens one that is there, and refuses one in use", async () => {
  await withTempDir(async (dir) => {
    const path = join(dir, "state.db");
    const store = await openDenoKv({ path });
    await store.commit({ puts: [{ key: ["k"], value: 1 }] });
    await assert.rejects(openStateFile(path, { missing: "refused" }), {
      code: "unavailable",
      message: /it is in use; stop the agent/,
    });
    await store.close();
    for (const missing of ["refused", "made", "imagined"] as const) {
      const again = await openStateFile(path, { missing });
      assert.equal((await again.get(["k"]))?.value, 1);
      await again.close();
    }
  });
});

Deno.test("openStateFile() makes one only where that is wanted", async () => {
  await withTempDir(async (dir) => {
    const path = join(dir, "state.db");
    const files = () => Array.from(Deno.readDirSync(dir), ({ name }) => name);
    await assert.rejects(openStateFile(path, { missing: "refused" }), {
      code: "not_found",
      message: /state\.db": there is none; name the folder .* with --state$/,
    });
    const imagined = await openStateFile(path, { missing: "imagined" });
    assert.equal(imagined.url, "kv::memory:");
    await imagined.close();
    assert.deepEqual(files(), []);
    const made = await openStateFile(path, { missing: "made" });
    assert.equal(made.url, `kv:${path}`);
    await made.close();
    assert.ok(files().includes("state.db"));
  });
});

Deno.test("openDenoKv() follows no link, and opens no file of another user", async (t) => {
  const NOBODY = 65_534;
  const rows: readonly [
    what: string,
    prepare: (path: string) => void,
    says: RegExp,
  ][] = [
    ...["", "-wal", "-shm", "-journal"].map((
      end,
    ): [string, (path: string) => void, RegExp] => [
      `a link for state.db${end}`,
      (path) => {
        Deno.writeTextFileSync(`${path}.other`, "");
        Deno.symlinkSync(`${path}.other`, path + end);
      },
      new RegExp(`state\\.db${end}" is a link; put the file or folder itself`),
    ]),
    [
      "a link to nothing",
      (path) => Deno.symlinkSync(`${path}.other`, path),
      /is a link/,
    ],
    [
      "another user's file",
      (path) => {
        Deno.writeTextFileSync(path, "");
        Deno.chownSync(path, NOBODY, NOBODY);
      },
      /belongs to user 65534, not to user 0/,
    ],
    [
      "a folder that all can write",
      (path) => Deno.chmodSync(dirname(path), 0o777),
      /others can write/,
    ],
  ];
  for (const [what, prepare, says] of rows) {
    await t.step(what, () =>
      withTempDir(async (dir) => {
        const path = join(dir, "state.db");
        prepare(path);
        const before = Array.from(Deno.readDirSync(dir), ({ name }) => name);
        await assert.rejects(openDenoKv({ path }), {
          code: "failed_precondition",
          message: says,
        });
        const after = Array.from(Deno.readDirSync(dir), ({ name }) => name);
        assert.deepEqual(after.sort(), before.sort());
      }));
  }
});
