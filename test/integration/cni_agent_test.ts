import assert from "node:assert/strict";
import { parseOutput } from "../cli/commands/cni_calls.ts";
import {
  callPlugin,
  installPlugin,
  type PluginKind,
  testPlugins,
} from "../support/cni_plugin.ts";
import { createIpamClient } from "../support/ipam_client.ts";
import { spawnAgent, type SpawnedAgent } from "../support/spawn_agent.ts";
import { withTempDir } from "../support/temp_dir.ts";

/** Calls the plugin for a container: the exit code, and what came on stdout. */
type CallPlugin = (
  verb: string,
  containerId: string,
  config?: Readonly<Record<string, unknown>>,
  env?: Readonly<Record<string, string>>,
) => Promise<[code: number, output: Record<string, unknown> | undefined]>;

async function withAgent(
  { kind, args = [] }: {
    readonly kind: PluginKind;
    readonly args?: readonly string[];
  },
  use: (call: CallPlugin, agent: SpawnedAgent) => Promise<void>,
): Promise<void> {
  await using agent = await spawnAgent({ args });
  await withTempDir(async (dir) => {
    const plugin = await installPlugin(dir, {
      kind,
      socketPath: agent.socketPath,
    });
    await use(async (verb, containerId, config, env) => {
      const { code, stdout } = await callPlugin(plugin, {
        env: {
          CNI_COMMAND: verb,
          CNI_CONTAINERID: containerId,
          CNI_IFNAME: "eth0",
          CNI_NETNS: "/proc/self/ns/net",
          ...env,
        },
        config: {
          cniVersion: "1.1.0",
          name: "net",
          ipam: { type: "stellar-net", socket: agent.socketPath },
          ...config,
        },
      });
      return [code, parseOutput(stdout)];
    }, agent);
  });
}

const NOTHING = [0, undefined];

testPlugins("the plugin and the agent: a full subnet", async (kind, t) => {
  const network = ["--network", "10.99.0.0/24", "--subnet-prefix", "30"];
  await withAgent({ kind, args: network }, async (call) => {
    assert.deepEqual(await call("STATUS", "c1"), NOTHING);
    assert.equal((await call("ADD", "c1"))[0], 0);
    for (const verb of ["ADD", "STATUS"]) {
      await t.step(`${verb} says so`, async () => {
        const [code, output] = await call(verb, "c2");
        assert.deepEqual([code, output?.code], [1, 50]);
        assert.match(String(output?.msg), /IP allocation exhausted/);
      });
    }
    await t.step("there is room again after DEL", async () => {
      assert.deepEqual(await call("DEL", "c1"), NOTHING);
      assert.deepEqual(await call("STATUS", "c2"), NOTHING);
      assert.equal((await call("ADD", "c2"))[0], 0);
    });
  });
});

testPlugins(
  "the plugin and the agent: addresses by number, in both families",
  async (kind, t) => {
    const networks = ["--network", "10.0.0.0/8", "--network", "fd00:5e11::/48"];
    await withAgent({ kind, args: networks }, async (call) => {
      const ask = (containerId: string, ips: string) =>
        call("ADD", containerId, {}, { CNI_ARGS: `IP=${ips}` });
      await t.step("both are given", async () => {
        const [, output] = await ask("c1", "fd00:5e11::abc/64,10.0.0.9");
        assert.deepEqual(output?.ips, [
          { address: "10.0.0.9/18", gateway: "10.0.0.1" },
          { address: "fd00:5e11::abc/64", gateway: "fd00:5e11::1" },
        ]);
      });
      const rows: readonly [name: string, ips: string, message: RegExp][] = [
        ["held by another", "10.0.0.9", /is held by .*c1/],
        ["the gateway", "10.0.0.1", /it is the gateway of/],
        ["outside", "192.0.2.1", /it is outside the node's subnet/],
        ["two of one family", "10.0.0.11,10.0.0.12", /gets one address of/],
      ];
      for (const [name, ips, message] of rows) {
        await t.step(name, async () => {
          const [code, output] = await ask("c2", ips);
          assert.deepEqual([code, output?.code], [1, 102]);
          assert.match(String(output?.msg), message);
        });
      }
    });
  },
);

testPlugins(
  "the plugin and the agent: GC leaves other networks, and what was allocated over the API",
  async (kind) => {
    await withAgent({ kind }, async (call, agent) => {
      using client = createIpamClient(agent.port);
      const ids = async () => (await client.list()).map(([id]) => id).sort();
      const collect = (name: string, keep: readonly unknown[]) =>
        call("GC", "", { name, "cni.dev/valid-attachments": keep });
      await client.allocate("over-api");
      for (const id of ["a", "b"]) await call("ADD", id);
      await call("ADD", "c", { name: "other" });
      await call("ADD", "d", { name: "default" });
      const kept = { containerID: "b", ifname: "eth0" };
      assert.deepEqual(await collect("net", [kept]), NOTHING);
      assert.deepEqual(await ids(), ["b", "c", "d", "over-api"]);
      assert.deepEqual(await collect("default", []), NOTHING);
      assert.deepEqual(await ids(), ["b", "c", "over-api"]);
    });
  },
);
