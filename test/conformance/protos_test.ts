import assert from "node:assert/strict";
import { join } from "node:path";
import { RELEASE_IMAGE, ROOT, runBuf } from "../generate.ts";
import { run } from "../support/run.ts";
import { withTempDir } from "../support/temp_dir.ts";

const IPAM = "stellar/net/v1/ipam.proto";

/** Changes of a proto, and what the check says to each; nothing when it allows them. */
const CHANGES: readonly (readonly [
  what: string,
  from: string,
  to: string,
  says: RegExp,
])[] = [
  ["no change", "string container_id = 2;", "string container_id = 2;", /^$/],
  [
    "a new field",
    "string container_id = 2;",
    "string container_id = 2;\n  string other = 900;",
    /^$/,
  ],
  [
    "another number",
    "string container_id = 2;",
    "string container_id = 900;",
    /field "2".*"container_id".*deleted/,
  ],
  [
    "another name",
    "string container_id = 2;",
    "string container = 2;",
    /Field "2".*"Owner" changed name/,
  ],
  [
    "a call that is gone",
    "rpc Unreserve(UnreserveRequest)",
    "rpc Unkeep(UnreserveRequest)",
    /RPC "Unreserve".*deleted/,
  ],
];

Deno.test("the protos are compared with those of the last release", async (t) => {
  for (const [what, from, to, says] of CHANGES) {
    await t.step(what, () =>
      withTempDir(async (dir) => {
        await run("cp", ["-r", join(ROOT, "proto"), dir]);
        const path = join(dir, "proto", IPAM);
        const text = await Deno.readTextFile(path);
        assert.ok(text.includes(from));
        await Deno.writeTextFile(path, text.replace(from, to));
        const { code, stdout } = await runBuf([
          ...["breaking", join(dir, "proto"), "--against", RELEASE_IMAGE],
        ]);
        assert.match(stdout, says);
        assert.equal(code === 0, stdout === "");
      }));
  }
});
