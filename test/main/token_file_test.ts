import assert from "node:assert/strict";
import { NetError } from "../../src/base/error.ts";
import { readTokenFile } from "../../src/main/token_file.ts";
import { createToken, formatToken } from "../../src/security/pki/token.ts";
import { withTempDir } from "../support/temp_dir.ts";

const TOKEN = createToken(`sha256:${"ab".repeat(32)}`);
const SECRET = formatToken(TOKEN);

const ROWS: readonly [
  what: string,
  make: (path: string) => Promise<void>,
  says: RegExp,
][] = [
  ["is not there", async () => {}, /there is no such file; write what /],
  ["is a folder", (path) => Deno.mkdir(path), /it is a folder, not a file; /],
  ["is empty", (path) => write(path, ""), /; write what "stellar-net token/],
  ["was cut", (path) => write(path, SECRET.slice(0, -9)), /; write what "/],
  [
    "others may read",
    (path) => write(path, SECRET, 0o640),
    /its mode is 0640.*; run chmod 600 /,
  ],
];

Deno.test("readTokenFile() reads what token create has printed", () =>
  withTempDir(async (dir) => {
    const path = `${dir}/token`;
    await write(path, `${SECRET}\n`);
    assert.deepEqual(await readTokenFile(path), TOKEN);
  }));

Deno.test("readTokenFile() says what is wrong with a file, and nothing that is in it", async (t) => {
  for (const [what, make, says] of ROWS) {
    await t.step(what, () =>
      withTempDir(async (dir) => {
        const path = `${dir}/token`;
        await make(path);
        await assert.rejects(readTokenFile(path), (error: Error) => {
          assert.ok(error instanceof NetError);
          assert.equal(
            error.code,
            what === "is not there" ? "not_found" : "failed_precondition",
          );
          assert.match(error.message, says);
          assert.ok(error.message.includes(path), error.message);
          assert.ok(!error.message.includes(SECRET.slice(-20, -10)));
          return true;
        });
      }));
  }
});

function write(path: string, text: string, mode = 0o600): Promise<void> {
  return Deno.writeTextFile(path, text, { mode });
}
