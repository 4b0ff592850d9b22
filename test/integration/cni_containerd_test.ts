import assert from "node:assert/strict";
import { dirname, join } from "node:path";
import { ROOT } from "../generate.ts";
import { CniHost } from "../support/cni_host.ts";
import { must } from "../support/cni_plugin.ts";
import { Containerd } from "../support/containerd.ts";
import { createIpamClient, type IpamClient } from "../support/ipam_client.ts";
import { spawnAgent } from "../support/spawn_agent.ts";
import { waitFor } from "../support/wait_for.ts";

const IDS = ["a", "b"];
/** A container that was ended with SIGKILL: 128 and 9. */
const KILLED = 137;

/** The address of each container, by its id. */
async function addressesOf(client: IpamClient): Promise<Map<string, string>> {
  return new Map(
    (await client.list()).map(([id, addresses]) => [
      // ctr puts the name of its namespace in front.
      id.replace(/^default-/, ""),
      addresses[0]!,
    ]),
  );
}

Deno.test("containers of containerd reach each other and their gateway, and give their addresses back", async (t) => {
  await using agent = await spawnAgent();
  await using host = await CniHost.create();
  using client = createIpamClient(agent.port);
  const { stdout: conflist } = await must(Deno.execPath(), [
    ...["run", "-A", join(ROOT, "main.ts"), "cni", "config"],
    ...["--socket", agent.socketPath, "--plugin-dir", "/usr/lib/cni"],
  ]);
  await using containerd = await Containerd.start(host, conflist);

  const dir = dirname(agent.socketPath);
  const mount = `type=bind,src=${dir},dst=/agent,options=rbind:ro`;
  const runs = [
    containerd.runContainer("a"),
    containerd.runContainer("b", ["--mount", mount]),
  ];
  await containerd.running(IDS.length);
  const addresses = await addressesOf(client);
  await t.step("each has an address of its own", () => {
    assert.deepEqual([...addresses.keys()].sort(), IDS);
    assert.equal(new Set(addresses.values()).size, IDS.length);
  });
  await t.step("each reaches the other and the gateway", async () => {
    const gateway = [...addresses.values()][0]!.replace(/\d+$/, "1");
    for (const id of IDS) {
      for (const target of [...addresses.values(), gateway]) {
        const { code, stdout, stderr } = await containerd.exec(
          id,
          ["ping", "-c", "1", "-w", "5", target],
        );
        assert.equal(code, 0, `${id} to ${target}: ${stdout}${stderr}`);
      }
    }
  });
  await t.step("their default route goes through the gateway", async () => {
    const { stdout } = await containerd.exec("a", ["ip", "route"]);
    assert.match(stdout, /^default via 172\.\d+\.\d+\.1 dev eth0/m);
  });
  await t.step(
    "one sees the agent's socket only if it is mounted into it",
    async () => {
      const files = async (id: string, path: string) =>
        (await containerd.exec(id, ["ls", path])).stdout;
      assert.match(await files("b", "/agent"), /^agent\.sock$/m);
      for (const path of ["/agent", dir]) {
        assert.equal(await files("a", path), "");
      }
      // Sockets without a file belong to a network namespace.
      const bound = await containerd.exec("a", ["cat", "/proc/net/unix"]);
      assert.match(bound.stdout, /^Num /);
      assert.doesNotMatch(bound.stdout, /agent\.sock/);
    },
  );
  await t.step("when they are killed, their addresses are free", async () => {
    for (const id of IDS) await containerd.kill(id);
    const ended = await Promise.all(runs);
    assert.deepEqual(ended.map(({ code }) => code), [KILLED, KILLED]);
    assert.deepEqual(await client.list(), []);
    // The kernel removes the interfaces of a namespace after it has ended.
    await waitFor("the end of the containers' links", async () => {
      assert.deepEqual((await host.links()).sort(), ["lo", "stellar0"]);
      return true;
    });
  });
});
