import assert from "node:assert/strict";
import { join } from "node:path";
import { ROOT } from "../generate.ts";
import { listNetns, pidsIn } from "../lab/netns.ts";
import { asNobody } from "../support/as_nobody.ts";
import { run, type RunResult } from "../support/run.ts";
import { withTempDir } from "../support/temp_dir.ts";
import { waitFor } from "../support/wait_for.ts";

/** A lab of this process's own, beside one that a person may look at. */
const ID = `${Deno.pid}-200`;
const ENV = { STELLAR_NET_LAB: ID };
const ARGS = ["run", "-A", join(ROOT, "test/lab/main.ts")];

function lab(...args: string[]): Promise<RunResult> {
  return run(Deno.execPath(), [...ARGS, ...args], { env: ENV });
}

function namespaces(): Promise<string[]> {
  return listNetns(`stn-${ID}-`);
}

async function assertGone(): Promise<void> {
  assert.deepEqual(await namespaces(), []);
  await assert.rejects(
    Deno.stat(`/run/stellar-net-lab/${ID}`),
    Deno.errors.NotFound,
  );
}

Deno.test("lab: a newcomer builds one, looks around and takes it down", async (t) => {
  try {
    await t.step("up shows what is there, and what to do with it", async () => {
      const { stdout, stderr } = await lab(
        ...["up", "--hosts", "2", "--containers", "1"],
      );
      assert.match(
        stdout,
        /^host2 +198\.18\.0\.12 +agent serves over TLS, its subnet: 172/m,
        stderr,
      );
      assert.match(stdout, /^host2\/c1 +172\.16\.\d+\.2 /m);
      assert.match(
        stdout,
        /host1\/c1 pings host2\/c1:\nPING 172\.16\.4\.2[^]*3 received/,
      );
      assert.match(stdout, /Take it down:\n.* down\n$/);
    });
    const rows: readonly [
      args: readonly string[],
      code: number,
      output: RegExp,
    ][] = [
      [["status"], 0, /^host1\/c1 +172\.16\.0\.2 +container of host1$/m],
      [["exec", "host1", "stellar-net", "ip", "list"], 0, /172\.16\.0\.2/],
      [
        ["exec", "host2", "stellar-net", "node", "list"],
        0,
        /^host1 [^]*^host2 /m,
      ],
      [
        ["exec", "host2", "stellar-net", "status"],
        0,
        /the cluster's own certificates/,
      ],
      [["exec", "host2/c1", "ip", "-br", "address"], 0, /^eth0@/m],
      [["exec", "host1", "sh", "-c", "exit 7"], 7, /^$/],
      [["exec", "host3", "true"], 1, /it has host1 to host2/],
      [["exec", "host1/c9", "true"], 1, /it has c1/],
      [["exec", "web"], 2, /"web" is no host or container/],
      [["exec"], 2, /needs the name of a host/],
      [["up"], 1, /one is there already; see .* status/],
      [["up", "--hosts", "many"], 2, /--hosts: "many" is no number/],
      [["up", "--host", "3"], 2, /--host/],
      [["status", "all"], 2, /"all" is too much/],
      [["dance"], 2, /"dance" is no command/],
      [["help"], 0, /lab exec NAME/],
      [["down"], 0, /The lab is gone/],
      [
        ["up", "--hosts", "2", "--containers", "1", "--insecure"],
        0,
        /^host2 +198\.18\.0\.12 +agent serves in plain text[^]*3 received/m,
      ],
      [["exec", "host2", "stellar-net", "status"], 0, /plain text/],
      [["down"], 0, /The lab is gone/],
      [["down"], 0, /There is no lab/],
      [["status"], 1, /There is no lab: build one with/],
    ];
    for (const [args, code, output] of rows) {
      await t.step(`${args.join(" ")}: ${code}`, async () => {
        const result = await lab(...args);
        assert.match(result.stdout + result.stderr, output);
        assert.equal(result.code, code);
      });
    }
  } finally {
    await lab("down");
  }
  await assertGone();
});

/** Starts to build a lab and stops it in the midst of that. Returns its exit code. */
async function upUntil(signal: Deno.Signal): Promise<RunResult> {
  const child = new Deno.Command(Deno.execPath(), {
    args: [...ARGS, "up", "--hosts", "2"],
    env: ENV,
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const host = `stn-${ID}-host1`;
  await waitFor("a first host", async () => (await pidsIn([host])).length > 0);
  child.kill(signal);
  const { code, stdout, stderr } = await child.output();
  const decoder = new TextDecoder();
  return {
    code,
    stdout: decoder.decode(stdout),
    stderr: decoder.decode(stderr),
  };
}

Deno.test("lab: one that was killed while it was built is seen, and taken down", async () => {
  try {
    assert.equal((await upUntil("SIGKILL")).code, 128 + 9);
    assert.notDeepEqual(await namespaces(), []);
    const status = await lab("status");
    assert.equal(status.code, 1);
    assert.match(status.stderr, /was not built to its end.* down/);
    assert.match((await lab("up")).stderr, /one is there already/);
  } finally {
    assert.match((await lab("down")).stdout, /The lab is gone/);
  }
  await assertGone();
});

Deno.test("lab: one that is interrupted while it is built is taken down", async () => {
  const { code, stderr } = await upUntil("SIGINT");
  assert.equal(code, 130);
  assert.match(stderr, /^Interrupted: the lab is taken down again$/m);
  await assertGone();
});

Deno.test("lab: an ordinary user is told that it needs root", async () => {
  await withTempDir(async (dir) => {
    const line = await asNobody(dir, ["run", "-A", "test/lab/main.ts"]);
    const { code, stderr } = await run(line.command, line.args, { env: ENV });
    assert.equal(code, 1);
    assert.match(stderr, /^Cannot build a lab: .*root/m);
  });
});
