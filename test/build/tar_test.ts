import assert from "node:assert/strict";
import { formatTar, type TarEntry } from "../../src/build/tar.ts";
import { run } from "../support/run.ts";
import { withTempDir } from "../support/temp_dir.ts";

const ENTRIES: readonly TarEntry[] = [
  { path: "folder", mode: 0o700 },
  { path: "folder/empty", mode: 0o600, bytes: new Uint8Array() },
  { path: "folder/program", mode: 0o700, bytes: new Uint8Array(513).fill(7) },
];

Deno.test("formatTar() makes archives that tar unpacks", async (t) => {
  const kinds: readonly (readonly string[])[] = [["tar"], ["busybox", "tar"]];
  for (const tar of kinds) {
    await t.step(tar.join(" "), () =>
      withTempDir(async (dir) => {
        await Deno.writeFile(`${dir}/a.tar`, formatTar(ENTRIES));
        const [command, ...args] = [...tar, "-xof", "a.tar"];
        const { code, stderr } = await run(command!, args, { cwd: dir });
        assert.deepEqual([code, stderr], [0, ""]);
        const { mode, mtime } = await Deno.stat(`${dir}/folder/program`);
        assert.equal(mode! & 0o777, 0o700);
        assert.equal(mtime!.getTime(), 0);
        const bytes = await Deno.readFile(`${dir}/folder/program`);
        assert.deepEqual(bytes, ENTRIES[2]!.bytes);
        assert.equal((await Deno.stat(`${dir}/folder/empty`)).size, 0);
      }));
  }
});

Deno.test("formatTar() refuses a path that is too long", () => {
  const entry = { path: "x".repeat(101), mode: 0o600, bytes: new Uint8Array() };
  assert.throws(() => formatTar([entry]), /its path is too long/);
});
