import assert from "node:assert/strict";
import { connect } from "node:net";
import { run } from "../support/run.ts";
import { spawnAgent } from "../support/spawn_agent.ts";
import { withTempDir } from "../support/temp_dir.ts";
import { FROM_SOURCE } from "../support/refusal.ts";
import { ROOT } from "../generate.ts";

/** Of Debian: no test needs a user of them. */
const USER = "65534";
const GROUP_ID = 4;
const GROUP = "adm";
const OTHER_GROUP_ID = 65534;

/** Asks for the agent's health as a user of a group. @returns the body, or how curl has failed */
async function askAs(groupId: number, socketPath: string): Promise<string> {
  const { code, stdout } = await run("setpriv", [
    ...["--reuid", USER, "--regid", String(groupId), "--clear-groups"],
    ...["curl", "-sS", "--unix-socket", socketPath],
    ...["-H", "content-type: application/json", "-d", "{}"],
    "http://localhost/grpc.health.v1.Health/Check",
  ]);
  return code === 0 ? stdout : `exit code ${code}`;
}

Deno.test("--socket-group lets a group use the socket, and nobody else", () =>
  withTempDir(async (dir) => {
    await Deno.chmod(dir, 0o755);
    const rows: readonly [
      flags: readonly string[],
      mode: number,
      group: string,
    ][] = [
      [[], 0o600, "exit code 7"],
      [["--socket-group", GROUP], 0o660, '{"status":"SERVING"}'],
      [["--socket-group", String(GROUP_ID)], 0o660, '{"status":"SERVING"}'],
    ];
    for (const [args, mode, answer] of rows) {
      const socketPath = `${dir}/agent.sock`;
      await using agent = await spawnAgent({ args, socketPath });
      const info = await Deno.lstat(agent.socketPath);
      assert.equal(info.mode! & 0o777, mode);
      assert.equal(await askAs(GROUP_ID, socketPath), answer);
      assert.equal(await askAs(OTHER_GROUP_ID, socketPath), "exit code 7");
      // Its owner can in any case.
      await new Promise((resolve, reject) => {
        const socket = connect(socketPath, () => resolve(socket.destroy()));
        socket.on("error", reject);
      });
    }
  }));

Deno.test("--socket-group names a group that there is, or no agent starts", () =>
  withTempDir(async (dir) => {
    const args = ["agent", "--state", `${dir}/s`, "--socket", `${dir}/a.sock`];
    const { code, stderr } = await run(Deno.execPath(), [
      ...[...FROM_SOURCE, ...args],
      ...["--routes", "off", "--socket-group", "no-such-group"],
    ], { cwd: ROOT });
    assert.equal(code, 1);
    assert.match(
      stderr,
      /Cannot give the socket to group "no-such-group": "\/etc\/group" has none of that name; make it with groupadd, or give its number with --socket-group/,
    );
  }));
