import assert from "node:assert/strict";
import { renameChunks } from "../../src/build/rename_chunks.ts";

/** A bundle whose parts import each other in a circle; the bundler's names are given. */
function bundle(
  a: string,
  b: string,
  { text = "" }: { readonly text?: string } = {},
): ReadonlyMap<string, string> {
  return new Map([
    ["main.js", `import("./a-${a}.js");import("./chunk-${b}.js")`],
    [`a-${a}.js`, `import"./chunk-${b}.js";export{}`],
    [`chunk-${b}.js`, `import"./a-${a}.js";"x-ABCDEFGH.js"${text}`],
  ]);
}

Deno.test("renameChunks() names parts by what is in them alone", async () => {
  const one = await renameChunks(bundle("AAAAAAAA", "BBBBBBBB"));
  assert.deepEqual(one, await renameChunks(bundle("12345678", "87654321")));
  const names = [...one.keys()];
  assert.equal(names[0], "main.js");
  assert.match(names[1]!, /^a-[0-9a-f]{12}\.js$/);
  assert.equal(
    one.get("main.js"),
    `import("./${names[1]}");import("./${names[2]}")`,
  );
  assert.ok(one.get(names[2]!)!.includes(`import"./${names[1]}"`));
  assert.ok(one.get(names[2]!)!.includes('"x-ABCDEFGH.js"'));
});

Deno.test("renameChunks() names what imports a changed part anew", async () => {
  const one = await renameChunks(bundle("AAAAAAAA", "BBBBBBBB"));
  const other = await renameChunks(
    bundle("AAAAAAAA", "BBBBBBBB", { text: "//" }),
  );
  const kept = [...one.keys()].filter((name) => other.has(name));
  assert.deepEqual(kept, ["main.js"]);
});
