import assert from "node:assert/strict";
import { connect } from "node:net";
import { basename, dirname, join } from "node:path";
import { decodeQueueEntry } from "../../src/cni/text/queue_entry.ts";
import { CniHost } from "../support/cni_host.ts";
import { type PluginKind, testPlugins } from "../support/cni_plugin.ts";
import { createIpamClient } from "../support/ipam_client.ts";
import { run, type RunResult } from "../support/run.ts";
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

// Deno may lie where the user cannot look. `ip netns exec` gives the script a
// mount namespace of its own.
const SHOW_DENO =
  'mkdir -p "$0" && mount --bind "$1" "$0" && shift && exec "$@"';

/** Makes a host whose plugin any user can run. */
async function createOpenHost(
  kind: PluginKind,
  socketPath: string,
): Promise<CniHost> {
  const host = await CniHost.create({ kind, socketPath });
  await Deno.chmod(host.pluginDir, 0o755);
  const name = kind === "native" ? ".stellar-net" : "stellar-net";
  const launcher = join(host.pluginDir, name);
  const text = await Deno.readTextFile(launcher);
  const deno = Deno.execPath();
  const shown = join(host.pluginDir, "bin", basename(deno));
  await Deno.writeTextFile(launcher, text.replaceAll(deno, shown));
  return host;
}

/** Calls the plugin as a user of a group. */
function callAs(
  groupId: number,
  host: CniHost,
  call: { readonly verb: string; readonly socketPath: string },
): Promise<RunResult> {
  const { verb, socketPath } = call;
  return host.exec("sh", [
    ...["-c", SHOW_DENO, join(host.pluginDir, "bin"), dirname(Deno.execPath())],
    ...["setpriv", "--reuid", USER, "--regid", String(groupId)],
    ...["--clear-groups"],
    join(host.pluginDir, "stellar-net"),
  ], {
    env: {
      CNI_COMMAND: verb,
      CNI_CONTAINERID: "c1",
      CNI_IFNAME: "eth0",
      CNI_NETNS: `/run/netns/${host.netnsOf("c1")}`,
      CNI_PATH: host.pluginDir,
    },
    stdin: JSON.stringify({
      ...{ cniVersion: "1.1.0", name: "pods" },
      ipam: { type: "stellar-net", socket: socketPath },
    }),
  });
}

testPlugins(
  "a user of --socket-group can queue a DEL while the agent is down",
  (kind) =>
    withTempDir(async (dir) => {
      await Deno.chmod(dir, 0o755);
      const socketPath = `${dir}/agent.sock`;
      await using agent = await spawnAgent({
        args: ["--socket-group", GROUP],
        socketPath,
      });
      await using host = await createOpenHost(kind, socketPath);
      await host.addContainers(["c1"]);
      using client = createIpamClient(agent.port);
      const call = (groupId: number, verb: string) =>
        callAs(groupId, host, { verb, socketPath });
      const queued = () =>
        [...Deno.readDirSync(`${socketPath}.queue`)].map(({ name }) => name);

      const added = await call(GROUP_ID, "ADD");
      assert.equal(added.code, 0, added.stdout + added.stderr);
      assert.equal((await client.list()).length, 1);
      assert.equal(await agent.stop(), 0);

      const refused = await call(OTHER_GROUP_ID, "DEL");
      assert.equal(refused.code, 1);
      assert.match(
        JSON.parse(refused.stdout).msg,
        /Cannot release: .* Nor can it wait in ".*": .*ermission denied/,
      );
      assert.deepEqual(queued(), []);
      const deleted = await call(GROUP_ID, "DEL");
      assert.equal(deleted.code, 0, deleted.stdout + deleted.stderr);
      const [file] = queued();
      const entry = await Deno.readTextFile(`${socketPath}.queue/${file}`);
      // Without the namespace, it might release the next container's addresses.
      assert.equal(decodeQueueEntry(entry).found?.kind, "there");

      await agent.start();
      assert.deepEqual(await client.list(), []);
      assert.deepEqual(queued(), []);
    }),
);

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
