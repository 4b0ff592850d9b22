import assert from "node:assert/strict";
import { formatTar, type TarEntry } from "../../src/base/tar.ts";
import { run } from "../support/run.ts";
import { withTempDir } from "../support/temp_dir.ts";

const encoder = new TextEncoder();

const ENTRIES: readonly TarEntry[] = [
  { path: "b", mode: 0o700 },
  { path: "b/empty", mode: 0o600, bytes: new Uint8Array() },
  { path: "b/block", mode: 0o600, bytes: encoder.encode("x".repeat(512)) },
  { path: "b/program", mode: 0o700, bytes: new Uint8Array(513).fill(7) },
  { path: "b/more", mode: 0o600, bytes: encoder.encode("ä".repeat(5000)) },
  {
    path: `b/${"n".repeat(98)}`,
    mode: 0o600,
    bytes: encoder.encode("a long name"),
  },
];
const TIME_MS = Date.UTC(2026, 0, 2, 3, 4, 5);

for (const tar of [["tar"], ["busybox", "tar"]]) {
  Deno.test(`formatTar() makes an archive that "${tar.join(" ")}" extracts`, () =>
    withTempDir(async (dir) => {
      await Deno.writeFile(`${dir}/a.tar`, formatTar(ENTRIES, TIME_MS));
      const [command, ...args] = [...tar, "-xof", "a.tar"];
      const { code, stderr } = await run(command!, args, { cwd: dir });
      assert.deepEqual([code, stderr], [0, ""]);
      for (const { path, mode, bytes } of ENTRIES) {
        const info = await Deno.stat(`${dir}/${path}`);
        assert.equal(info.mode! & 0o777, mode, path);
        assert.equal(info.isDirectory, bytes === undefined, path);
        if (bytes === undefined) continue;
        assert.equal(info.mtime!.getTime(), TIME_MS, path);
        assert.deepEqual(await Deno.readFile(`${dir}/${path}`), bytes, path);
      }
    }));
}

Deno.test("formatTar() writes mode, owner, size and time as tar lists them", () =>
  withTempDir(async (dir) => {
    const tar = formatTar(ENTRIES, TIME_MS);
    assert.equal(tar.length % 512, 0);
    await Deno.writeFile(`${dir}/a.tar`, tar);
    const args = ["--utc", "--full-time", "-tvf", `${dir}/a.tar`];
    const { code, stdout, stderr } = await run("tar", args);
    assert.deepEqual([code, stderr], [0, ""]);
    assert.deepEqual(
      stdout.trimEnd().split("\n").map((line) => line.split(/\s+/)),
      ENTRIES.map(({ path, mode, bytes }) => [
        `${bytes ? "-" : "d"}${mode === 0o700 ? "rwx" : "rw-"}------`,
        ...["root/root", `${bytes?.length ?? 0}`],
        ...["2026-01-02", "03:04:05", bytes ? path : `${path}/`],
      ]),
    );
  }));

Deno.test("formatTar() refuses a path of more than 100 bytes", () => {
  const entry = { path: "ä".repeat(51), mode: 0o600, bytes: new Uint8Array() };
  assert.throws(() => formatTar([entry], 0), RangeError);
});
