import assert from "node:assert/strict";
import { ROOT } from "../generate.ts";
import { FROM_SOURCE } from "../support/refusal.ts";
import { run } from "../support/run.ts";
import { withTempDir } from "../support/temp_dir.ts";

const NOBODY = 65_534;

/** Folders that another user could have prepared, and the refusal of the agent that is started with them. */
const ROWS: readonly [
  what: string,
  prepare: (dir: string) => void,
  says: RegExp,
][] = [
  [
    "that all can write",
    (dir) => {
      Deno.mkdirSync(`${dir}/state`);
      Deno.chmodSync(`${dir}/state`, 0o777);
    },
    /others can write ".*\/state", whose mode is 0777; run chmod go-w/,
  ],
  [
    "of another user in a sticky folder",
    (dir) => {
      Deno.chmodSync(dir, 0o1777);
      Deno.mkdirSync(`${dir}/state`);
      Deno.chownSync(`${dir}/state`, NOBODY, NOBODY);
    },
    /belongs to user 65534, not to user 0; run chown 0/,
  ],
  [
    "whose identity is a link to another user's folder",
    (dir) => {
      Deno.mkdirSync(`${dir}/state`, { mode: 0o700 });
      Deno.mkdirSync(`${dir}/theirs`);
      Deno.chownSync(`${dir}/theirs`, NOBODY, NOBODY);
      Deno.symlinkSync(`${dir}/theirs`, `${dir}/state/identity`);
    },
    /identity" is a link; put the file or folder itself there/,
  ],
  [
    "below a folder that all can write",
    (dir) => {
      Deno.mkdirSync(`${dir}/open/state`, { recursive: true });
      Deno.chmodSync(`${dir}/open`, 0o777);
      Deno.symlinkSync(`${dir}/open/state`, `${dir}/state`);
    },
    /others can write ".*\/open", whose mode is 0777/,
  ],
];

Deno.test("an agent starts with no state folder that another user can exchange or write", async (t) => {
  for (const [what, prepare, says] of ROWS) {
    await t.step(what, () =>
      withTempDir(async (dir) => {
        prepare(dir);
        const { code, stderr } = await run("timeout", [
          ...["20", Deno.execPath(), ...FROM_SOURCE, "agent"],
          ...["--state", `${dir}/state`, "--socket", `${dir}/agent.sock`],
          ...["--routes", "off"],
        ], { cwd: ROOT });
        assert.notEqual(code, 0);
        assert.match(stderr, says);
        const left = await Array.fromAsync(Deno.readDir(`${dir}/state`));
        assert.deepEqual(left.filter(({ name }) => name !== "identity"), []);
      }));
  }
});
