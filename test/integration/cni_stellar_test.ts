import assert from "node:assert/strict";
import { join } from "node:path";
import { parseOutput } from "../cli/commands/cni_calls.ts";
import {
  callPlugin,
  installPlugin,
  testPlugins,
} from "../support/cni_plugin.ts";
import { createIpamClient } from "../support/ipam_client.ts";
import { spawnAgent } from "../support/spawn_agent.ts";
import { withTempDir } from "../support/temp_dir.ts";

testPlugins(
  "the plugin in Stellar's kind works against a service that speaks its API over gRPC",
  async (kind, t) => {
    await using agent = await spawnAgent();
    using client = createIpamClient(agent.port);
    // Stellar's own server does this for its node.
    const response = await fetch(
      `${agent.url}/stellar.services.network.v1.Network/AllocateSubnet`,
      {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: '{"node":"node1"}',
      },
    );
    assert.equal(response.status, 200, await response.text());
    await withTempDir(async (dir) => {
      await installPlugin(dir, {
        kind,
        socketPath: agent.socketPath,
      });
      const call = (verb: string, config: Record<string, unknown> = {}) =>
        callPlugin(join(dir, "stellar-cni-ipam"), {
          env: {
            CNI_COMMAND: verb,
            CNI_CONTAINERID: "web1",
            CNI_IFNAME: "eth0",
            CNI_NETNS: "/run/netns/web1",
          },
          config: {
            cniVersion: "0.4.0",
            name: "stellar",
            type: "bridge",
            ipam: {
              type: "stellar-cni-ipam",
              node_name: "node1",
              peer_addr: `127.0.0.1:${agent.port}`,
            },
            ...config,
          },
        });
      let told: Record<string, unknown> | undefined;
      await t.step("ADD", async () => {
        const { code, stdout, stderr } = await call("ADD");
        assert.equal(code, 0, stdout + stderr);
        told = parseOutput(stdout);
        const [[id, [address]]] = await client.list() as [[string, [string]]];
        assert.equal(id, "web1");
        const gateway = address.replace(/\d+$/, "1");
        assert.deepEqual(told, {
          cniVersion: "0.4.0",
          ips: [{ version: "4", address: `${address}/22`, gateway }],
          routes: [{ dst: "0.0.0.0/0", gw: gateway }],
          dns: {},
        });
      });
      await t.step("CHECK", async () => {
        const { code, stdout } = await call("CHECK", { prevResult: told });
        assert.deepEqual([code, stdout], [0, ""]);
      });
      await t.step("DEL, twice", async () => {
        for (let time = 0; time < 2; time++) {
          const { code, stdout } = await call("DEL");
          assert.deepEqual([code, stdout], [0, ""]);
          assert.deepEqual(await client.list(), []);
        }
      });
      await t.step("DEL with the service down", async () => {
        await agent.stop();
        const { code, stdout } = await call("DEL");
        assert.deepEqual([code, parseOutput(stdout)?.code], [1, 11]);
      });
    });
  },
);
