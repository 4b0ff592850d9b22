import assert from "node:assert/strict";
import { formatConflist } from "../../src/cni/text/conflist.ts";
import { CniHost } from "../support/cni_host.ts";
import { must, testPlugins } from "../support/cni_plugin.ts";
import { Containerd } from "../support/containerd.ts";
import { createIpamClient } from "../support/ipam_client.ts";
import type { RunResult } from "../support/run.ts";
import { spawnAgent, type SpawnedAgent } from "../support/spawn_agent.ts";
import { waitFor } from "../support/wait_for.ts";

/** Enough to start a container again on a busy machine. */
const GRACE_MS = 2_000;
const LEAKS = ["--leak-interval", "100ms", "--leak-grace", `${GRACE_MS}ms`];
/** Enough for several checks after the grace period. */
const SETTLED_MS = GRACE_MS + 1_000;

function configOf(agent: SpawnedAgent, plugin: "bridge" | "ptp") {
  const { plugins, ...rest } = JSON.parse(formatConflist({
    name: "pods",
    bridge: "stn0",
    mtuBytes: undefined,
    socketPath: agent.socketPath,
    families: [4],
    hasPortmap: false,
  }));
  return { ...rest, ...plugins[0], type: plugin };
}

function addressOf({ code, stdout, stderr }: RunResult): string {
  assert.equal(code, 0, stdout + stderr);
  return JSON.parse(stdout).ips[0].address.split("/")[0];
}

function delay(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

testPlugins(
  "a container that ended without DEL and was started again keeps its address",
  async (kind, t) => {
    await using agent = await spawnAgent({ args: LEAKS });
    await using host = await CniHost.create({
      kind,
      socketPath: agent.socketPath,
    });
    using client = createIpamClient(agent.port);
    const config = configOf(agent, "bridge");
    const add = (containerId: string) =>
      host.call("ADD", { containerId, config });
    await host.addContainers(["a"]);
    const address = addressOf(await add("a"));
    await t.step("its namespace has the same name", async () => {
      await host.removeContainers(["a"]);
      await host.addContainers(["a"]);
      assert.equal(addressOf(await add("a")), address);
      await delay(SETTLED_MS);
      assert.deepEqual(await client.list(), [["a", [address]]]);
    });
    await t.step("nobody else gets the address", async () => {
      await host.addContainers(["b"]);
      const { stdout } = await host.call("ADD", {
        containerId: "b",
        config,
        env: { CNI_ARGS: `IgnoreUnknown=1;IP=${address}` },
      });
      assert.equal(JSON.parse(stdout).code, 102);
    });
    await t.step(
      "a second ADD for it is refused, and its rollback",
      async () => {
        const second = {
          containerId: "a",
          config: configOf(agent, "ptp"),
          plugin: "ptp",
          env: { CNI_NETNS: `/run/netns/${host.netnsOf("b")}` },
        };
        const { stdout } = await host.call("ADD", second);
        const { code, msg } = JSON.parse(stdout);
        assert.equal(code, 102);
        assert.match(msg, new RegExp(`running in .*${host.netnsOf("a")}`));
        assert.equal((await host.call("DEL", second)).code, 0);
        assert.deepEqual(await client.list(), [["a", [address]]]);
        assert.ok(await host.pings("a", address.replace(/\d+$/, "1")));
      },
    );
    await t.step(
      "a plain file in place of its namespace is no container",
      async () => {
        const path = `/run/netns/${host.netnsOf("a")}`;
        await must("umount", [path]);
        await waitFor(
          "its address to be free",
          async () => (await client.list()).length === 0,
        );
        await Deno.remove(path);
      },
    );
    await t.step("nor is another namespace at its path", async () => {
      await host.addContainers(["c"]);
      addressOf(await add("c"));
      await host.removeContainers(["c"]);
      await host.addContainers(["c"]);
      await waitFor(
        "its address to be free",
        async () => (await client.list()).length === 0,
      );
    });
  },
);

testPlugins("the plugin answers wherever it is called", async (kind, t) => {
  await using agent = await spawnAgent();
  await using host = await CniHost.create({
    kind,
    socketPath: agent.socketPath,
  });
  const config = {
    cniVersion: "1.1.0",
    name: "pods",
    ipam: { type: "stellar-net", socket: agent.socketPath },
  };
  const rows: readonly [
    name: string,
    before: string,
    env: Record<string, string>,
    code: number | undefined,
  ][] = [
    [
      "in a folder that is gone",
      'd=$(mktemp -d); cd "$d"; rmdir "$d"',
      {},
      undefined,
    ],
    ["without HOME", "unset HOME", {}, undefined],
    [
      "with a HOME that does not exist",
      "export HOME=/nonexistent/a",
      {},
      undefined,
    ],
    ["with LD_PRELOAD", "export LD_PRELOAD=/nonexistent.so", {}, undefined],
    ["with a name for a namespace", ":", { CNI_NETNS: "name" }, 4],
  ];
  for (const [index, [name, before, env, code]] of rows.entries()) {
    await t.step(name, async () => {
      await host.addContainers([`c${index}`]);
      const { stdout, stderr } = await host.exec("sh", [
        "-c",
        `${before}; exec "$0"`,
        `${host.pluginDir}/stellar-net`,
      ], {
        env: {
          CNI_COMMAND: "ADD",
          CNI_CONTAINERID: `c${index}`,
          CNI_IFNAME: "eth0",
          CNI_NETNS: `/run/netns/${host.netnsOf(`c${index}`)}`,
          CNI_PATH: host.pluginDir,
          ...env,
        },
        stdin: JSON.stringify(config),
      });
      assert.notEqual(stdout, "", stderr);
      assert.equal(JSON.parse(stdout).code, code, stdout);
    });
  }
});

Deno.test("a container of containerd whose task was killed and that was run again keeps its address", async () => {
  await using agent = await spawnAgent({ args: LEAKS });
  await using host = await CniHost.create({ socketPath: agent.socketPath });
  using client = createIpamClient(agent.port);
  const conflist = formatConflist({
    name: "pods",
    bridge: "stn0",
    mtuBytes: undefined,
    socketPath: agent.socketPath,
    families: [4],
    hasPortmap: false,
  });
  await using containerd = await Containerd.start(host, conflist);
  await containerd.runDetached("web");
  const before = await client.list();
  assert.equal(before.length, 1);
  // As an operator cleans up by hand: no DEL.
  await containerd.removeByHand("web");
  await containerd.runDetached("web");
  // Where that took longer than the grace period, it has a new one.
  const again = await client.list();
  assert.equal(again.length, 1);
  await delay(SETTLED_MS);
  assert.deepEqual(await client.list(), again);
});

Deno.test("an address that a container uses by hand is given to nobody", async () => {
  await using host = await CniHost.create();
  await using agent = await spawnAgent({
    within: ["ip", "netns", "exec", host.netns],
    args: ["--cool-down", "0s"],
  });
  const config = configOf(agent, "bridge");
  const add = async (containerId: string, env = {}) => {
    await host.addContainers([containerId]);
    return await host.call("ADD", { containerId, config, env });
  };
  const address = addressOf(await add("a"));
  const [used, next, gateway] = [4, 5, 1].map((last) =>
    address.replace(/\d+$/, String(last))
  );
  addressOf(await add("b"));
  // Somebody configures the address that comes next.
  const within = { in: host.netnsOf("a") };
  await host.exec("ip", ["addr", "add", `${used}/22`, "dev", "eth0"], within);
  const ping = ["-c", "1", "-I", used!, gateway!];
  assert.equal((await host.exec("ping", ping, within)).code, 0);
  await delay(1_100);
  assert.equal(addressOf(await add("c")), next);
  const { stdout } = await add("d", { CNI_ARGS: `IgnoreUnknown=1;IP=${used}` });
  assert.equal(JSON.parse(stdout).code, 102);
  assert.match(JSON.parse(stdout).msg, /it is in use: [0-9a-f:]+ on "stn0"/);
  // When it is gone, the address is free again.
  await host.removeContainers(["a"]);
  const env = { CNI_ARGS: `IgnoreUnknown=1;IP=${used}` };
  await host.addContainers(["e"]);
  await waitFor("the address to be free", async () => {
    const added = await host.call("ADD", { containerId: "e", config, env });
    return added.code === 0 && addressOf(added) === used;
  }, { everyMs: 500 });
});
