import assert from "node:assert/strict";
import { settle, tidy } from "../../src/build/settle.ts";
import { withTempDir } from "../support/temp_dir.ts";

/** Makes a folder with a file of some text. */
function makeFolder(path: string, text: string): void {
  Deno.mkdirSync(path);
  Deno.writeTextFileSync(`${path}/file`, text);
}

Deno.test("settle() puts a folder in its place, whatever is there", async (t) => {
  const rows: readonly [name: string, prepare: (path: string) => void][] = [
    ["nothing", () => {}],
    ["a folder", (path) => makeFolder(path, "old")],
    ["a file", (path) => Deno.writeTextFileSync(path, "old")],
    ["a link to a folder", (path) => Deno.symlinkSync("/etc", path)],
  ];
  for (const [name, prepare] of rows) {
    await t.step(name, () =>
      withTempDir((dir) => {
        makeFolder(`${dir}/new`, "new");
        prepare(`${dir}/place`);
        settle(`${dir}/new`, `${dir}/place`, { replace: true });
        assert.equal(Deno.readTextFileSync(`${dir}/place/file`), "new");
        assert.ok(Deno.lstatSync(`${dir}/place`).isDirectory);
        assert.deepEqual([...Deno.readDirSync(dir)].map((e) => e.name), [
          "place",
        ]);
        return Promise.resolve();
      }));
  }
  assert.ok(Deno.statSync("/etc").isDirectory);
});

Deno.test("settle() that may not replace leaves the present folder", () =>
  withTempDir((dir) => {
    makeFolder(`${dir}/new`, "new");
    makeFolder(`${dir}/place`, "old");
    assert.throws(() =>
      settle(`${dir}/new`, `${dir}/place`, { replace: false })
    );
    assert.equal(Deno.readTextFileSync(`${dir}/place/file`), "old");
    assert.equal(Deno.readTextFileSync(`${dir}/new/file`), "new");
    return Promise.resolve();
  }));

Deno.test("tidy() removes old remains, and the oldest programs", () =>
  withTempDir((dir) => {
    const old = new Date(Date.now() - 7_200_000);
    for (const [index, name] of ["a", "b", "c", "d", "e"].entries()) {
      makeFolder(`${dir}/${name}`, "");
      Deno.writeTextFileSync(`${dir}/${name}.stamp`, "");
      Deno.utimeSync(`${dir}/${name}`, index, index);
    }
    for (const name of [".unpack-1", ".unpack-2"]) {
      makeFolder(`${dir}/${name}`, "");
    }
    Deno.utimeSync(`${dir}/.unpack-1`, old, old);
    tidy(`${dir}/a`);
    const names = [...Deno.readDirSync(dir)].map((entry) => entry.name).sort();
    assert.deepEqual(
      names,
      [".unpack-2"].concat(
        ["a", "a.stamp", "c", "c.stamp", "d", "d.stamp", "e", "e.stamp"],
      ),
    );
    return Promise.resolve();
  }));
