import assert from "node:assert/strict";
import { join } from "node:path";
import { formatConflist } from "../../src/cni/text/conflist.ts";
import { CniHost } from "../support/cni_host.ts";
import { testPlugins } from "../support/cni_plugin.ts";
import { createIpamClient } from "../support/ipam_client.ts";
import type { RunResult } from "../support/run.ts";
import { spawnAgent, type SpawnedAgent } from "../support/spawn_agent.ts";

const CONTAINERS = 100;
const SAMPLE = 12;

/** The first plugin of the conflist that an operator gets, as a runtime passes it on. */
function bridgeConfig(
  agent: SpawnedAgent,
  families: readonly (4 | 6)[] = [4],
): Record<string, unknown> {
  const { plugins, ...rest } = JSON.parse(formatConflist({
    name: "pods",
    bridge: "stn0",
    mtuBytes: undefined,
    socketPath: agent.socketPath,
    families,
    hasPortmap: false,
  }));
  return { ...rest, ...plugins[0] };
}

function assertDone({ code, stdout, stderr }: RunResult): void {
  assert.equal(code, 0, stdout + stderr);
}

/** The addresses of a result, without prefix lengths. */
function addressesOf({ stdout }: RunResult): string[] {
  return JSON.parse(stdout).ips
    .map(({ address }: { address: string }) => address.split("/")[0]);
}

async function queueLength(agent: SpawnedAgent): Promise<number> {
  return (await Array.fromAsync(Deno.readDir(join(agent.stateDir, "queue"))))
    .length;
}

testPlugins(
  "a hundred containers at once under bridge reach each other, and leave nothing",
  async (kind, t) => {
    await using agent = await spawnAgent();
    await using host = await CniHost.create({
      kind,
      socketPath: agent.socketPath,
    });
    using client = createIpamClient(agent.port);
    const config = bridgeConfig(agent);
    const ids = Array.from({ length: CONTAINERS }, (_, index) => `c${index}`);
    await host.addContainers(ids);
    const call = (verb: string, containerId: string) =>
      host.call(verb, { containerId, config });

    let results: RunResult[] = [];
    await t.step("all are added", async () => {
      results = await Promise.all(ids.map((id) => call("ADD", id)));
      results.forEach(assertDone);
    });
    const addresses = results.flatMap(addressesOf);
    await t.step(
      "each has an address of its own, which the agent knows",
      async () => {
        assert.equal(new Set(addresses).size, CONTAINERS);
        const held = new Map(await client.list());
        assert.deepEqual(
          ids.map((id) => held.get(id)),
          addresses.map((address) => [address]),
        );
      },
    );
    await t.step(
      "each of a sample reaches every other and the gateway",
      async () => {
        const step = Math.floor(CONTAINERS / SAMPLE);
        const sample = ids.filter((_, index) => index % step === 0);
        const gateway: string = JSON.parse(results[0]!.stdout).ips[0].gateway;
        for (const from of sample) {
          const targets = sample.filter((id) => id !== from)
            .map((id) => addresses[ids.indexOf(id)]!);
          const answers = await Promise.all(
            [gateway, ...targets].map((address) => host.pings(from, address)),
          );
          assert.deepEqual(new Set(answers), new Set([true]), from);
        }
      },
    );
    await t.step(
      "CHECK finds one as it was told, and not with another's address",
      async () => {
        const check = (index: number) =>
          host.call("CHECK", {
            containerId: "c0",
            config: {
              ...config,
              prevResult: JSON.parse(results[index]!.stdout),
            },
          });
        assertDone(await check(0));
        assert.notEqual((await check(1)).code, 0);
      },
    );
    await t.step("all are deleted", async () => {
      const deleted = await Promise.all(ids.map((id) => call("DEL", id)));
      deleted.forEach(assertDone);
      assert.deepEqual([...new Set(deleted.map(({ stdout }) => stdout))], [""]);
    });
    await t.step(
      "nothing is left: no address, link, queued release, namespace",
      async () => {
        assert.deepEqual(await client.list(), []);
        assert.deepEqual((await host.links()).sort(), ["lo", "stn0"]);
        assert.equal(await queueLength(agent), 0);
        await host.removeContainers(ids);
        assert.deepEqual(await host.namespaces(), [host.netns]);
      },
    );
  },
);

testPlugins(
  "two containers with both families reach each other over both",
  async (kind) => {
    await using agent = await spawnAgent({
      args: ["--network", "172.16.0.0/12", "--network", "fd00:5e11::/48"],
    });
    await using host = await CniHost.create({
      kind,
      socketPath: agent.socketPath,
    });
    const config = bridgeConfig(agent, [4, 6]);
    await host.addContainers(["a", "b"]);
    const told = await Promise.all(
      ["a", "b"].map((containerId) =>
        host.call("ADD", { containerId, config })
      ),
    );
    told.forEach(assertDone);
    const [, ofB] = told.map(addressesOf);
    assert.deepEqual(ofB!.map((address) => address.includes(":")), [
      false,
      true,
    ]);
    for (const address of ofB!) {
      assert.ok(await host.pings("a", address), address);
    }
  },
);

testPlugins(
  "bridge with the agent down: ADD says try again, DEL waits until the agent starts",
  async (kind, t) => {
    await using agent = await spawnAgent();
    await using host = await CniHost.create({
      kind,
      socketPath: agent.socketPath,
    });
    const config = bridgeConfig(agent);
    await host.addContainers(["a", "b"]);
    const call = (verb: string, containerId: string) =>
      host.call(verb, { containerId, config });
    assertDone(await call("ADD", "a"));
    await agent.stop();
    await t.step("ADD fails with code 11", async () => {
      const { code, stdout } = await call("ADD", "b");
      assert.notEqual(code, 0);
      assert.equal(JSON.parse(stdout).code, 11);
    });
    await t.step("DEL succeeds and waits on disk", async () => {
      assertDone(await call("DEL", "a"));
      // A runtime follows an ADD that failed with DEL.
      assertDone(await call("DEL", "b"));
      assert.equal(await queueLength(agent), 2);
      assert.deepEqual((await host.links()).sort(), ["lo", "stn0"]);
    });
    await t.step("the agent applies both when it starts", async () => {
      await agent.start();
      using client = createIpamClient(agent.port);
      assert.deepEqual(await client.list(), []);
      assert.equal(await queueLength(agent), 0);
    });
  },
);
