import assert from "node:assert/strict";
import {
  DenoCommandFollower,
  DenoCommandRunner,
} from "../../../src/system/deno_command.ts";
import { IpRoutes } from "../../../src/routes/ip_routes.ts";
import { hostPrefixes } from "../../../src/routes/plan/kernel_route.ts";
import { makeStateDir } from "../../../src/system/state_dir.ts";
import { formatPrefix } from "../../../src/net/prefix.ts";
import { withTempDir } from "../../support/temp_dir.ts";

Deno.test("DenoCommandRunner runs a program in the C locale and passes its input", async () => {
  const runner = new DenoCommandRunner();
  const args = ["-c", 'cat; printf "$LC_ALL" >&2; exit 3'];
  const output = await runner.run({ program: "sh", args, stdin: "in" });
  const { code, stdout, stderr } = output;
  assert.deepEqual({ code, stdout, stderr }, {
    code: 3,
    stdout: "in",
    stderr: "C",
  });
});

Deno.test("DenoCommandRunner names a program that is not installed", async () => {
  const runner = new DenoCommandRunner();
  await assert.rejects(runner.run({ program: "no-such-program", args: [] }), {
    code: "unavailable",
    message: 'Cannot run "no-such-program": it is not installed',
  });
});

Deno.test("hostPrefixes() sees the loopback of this very host", async () => {
  const runner = new DenoCommandRunner();
  const follower = new DenoCommandFollower();
  const prefixes = hostPrefixes(
    await new IpRoutes({ runner, follower }).read(),
    83,
  );
  const texts = prefixes.map((p) => `${formatPrefix(p.prefix)} ${p.device}`);
  assert.ok(texts.includes("127.0.0.0/8 lo"), texts.join());
});

Deno.test("makeStateDir() makes a folder of its user's own", async () => {
  await withTempDir((dir) => {
    makeStateDir(`${dir}/a/b`);
    makeStateDir(`${dir}/a/b`);
    assert.equal(Deno.statSync(`${dir}/a/b`).mode! & 0o777, 0o700);
    assert.deepEqual([...Deno.readDirSync(`${dir}/a/b`)], []);
    Deno.writeTextFileSync(`${dir}/file`, "");
    assert.throws(() => makeStateDir(`${dir}/file`), {
      code: "unavailable",
      message: /^Cannot use the state folder ".*\/file": it is not a folder; /,
    });
    return Promise.resolve();
  });
});
