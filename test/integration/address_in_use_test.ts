import assert from "node:assert/strict";
import { setTimeout as delay } from "node:timers/promises";
import { formatConflist } from "../../src/cni/text/conflist.ts";
import { ROOT } from "../generate.ts";
import { CniHost } from "../support/cni_host.ts";
import { FROM_SOURCE } from "../support/refusal.ts";
import { run, type RunResult } from "../support/run.ts";
import { spawnAgent, type SpawnedAgent } from "../support/spawn_agent.ts";
import { waitFor } from "../support/wait_for.ts";

const BRIDGE = "stn0";
/** The agent's neighbour table may be this old. */
const STALE_MS = 1_100;
const TIMEOUT_MS = 60_000;

/** A host with an agent and the bridge plugin, and namespaces that use addresses by hand. */
class SharedBridge {
  readonly host: CniHost;
  readonly agent: SpawnedAgent;
  readonly #config: unknown;

  constructor(host: CniHost, agent: SpawnedAgent) {
    this.host = host;
    this.agent = agent;
    const { plugins, ...rest } = JSON.parse(formatConflist({
      name: "pods",
      bridge: BRIDGE,
      mtuBytes: undefined,
      socketPath: agent.socketPath,
      families: [4],
      hasPortmap: false,
    }));
    this.#config = { ...rest, ...plugins[0] };
  }

  /** Starts a container. @returns the plugin's answer */
  async start(
    id: string,
    env: Record<string, string> = {},
  ): Promise<{ address: string; code: number; msg: string }> {
    await this.host.addContainers([id]);
    const { stdout } = await this.host.call("ADD", {
      ...{ containerId: id, config: this.#config, env },
    });
    const answer = JSON.parse(stdout);
    return { ...answer, address: answer.ips?.[0].address.split("/")[0] };
  }

  /** Puts a namespace with an address of its own on the bridge. @returns its MAC address */
  async addByHand(name: string, address: string): Promise<string> {
    await this.host.addContainers([name]);
    await this.#must(
      "ip",
      ["link", "add", name, "type", "veth"].concat(
        ...["peer", "name", "eth0", "netns", this.host.netnsOf(name)],
      ),
    );
    await this.#must("ip", ["link", "set", name, "master", BRIDGE, "up"]);
    const within = { in: this.host.netnsOf(name) };
    for (
      const args of [
        ["address", "add", `${address}/22`, "dev", "eth0"],
        ["link", "set", "eth0", "up"],
      ]
    ) await this.#must("ip", args, within);
    const { stdout } = await this.#must(
      "ip",
      ["-json", "link", "show", "eth0"],
      within,
    );
    return JSON.parse(stdout)[0].address;
  }

  /** Sends packets from a namespace to the gateway, so that the host learns its MAC address. */
  async talk(name: string, address: string): Promise<void> {
    const within = { in: this.host.netnsOf(name) };
    const gateway = address.replace(/\d+$/, "1");
    // It asks for the gateway again, from its own address.
    await this.host.exec("ip", ["neighbour", "flush", "all"], within);
    const args = ["-c", "1", "-w", "2", "-I", address, gateway];
    await this.host.exec("ping", args, within);
  }

  /** Makes the bridge forget where MAC addresses are, as it does with hosts that are silent for long. */
  async forget(name: string): Promise<void> {
    await this.#must("ip", [
      ...["link", "set", name, "type", "bridge_slave", "fdb_flush"],
    ]);
  }

  /** Runs the command line against the agent. */
  cli(...args: readonly string[]): Promise<RunResult> {
    return run(Deno.execPath(), [...FROM_SOURCE, ...args], {
      cwd: ROOT,
      env: { STELLAR_NET_SOCKET: this.agent.socketPath },
    });
  }

  async #must(
    ...args: Parameters<CniHost["exec"]>
  ): Promise<RunResult> {
    const result = await this.host.exec(...args);
    assert.equal(result.code, 0, result.stderr);
    return result;
  }
}

Deno.test("the agent finds another user of a container's address, names it everywhere, and gives the address to nobody", async (t) => {
  await using host = await CniHost.create({ kind: "native" });
  await using agent = await spawnAgent({
    within: ["ip", "netns", "exec", host.netns],
    args: ["--cool-down", "0s", "--leak-interval", "1s", "--leak-grace", "1h"]
      .concat("--log-format", "text"),
  });
  const shared = new SharedBridge(host, agent);
  const { address } = await shared.start("a");
  assert.ok(address);
  const mac = await shared.addByHand("rogue", address);
  const user = `${mac} on "${BRIDGE}", behind its port "rogue"`;

  await t.step("doctor, status and log name a second user", async () => {
    await waitFor("doctor to name it", async () => {
      await delay(STALE_MS);
      await shared.talk("rogue", address);
      const { stdout } = await shared.cli("doctor");
      return stdout.includes(
        `container "a": ${address} is also in use by ${user}`,
      );
    }, { timeoutMs: TIMEOUT_MS });
    const warning = `is also in use by ${user}`;
    await waitFor("status to name it", async () => {
      await delay(STALE_MS);
      await shared.talk("rogue", address);
      return (await shared.cli("status")).stdout.includes(warning);
    }, { timeoutMs: TIMEOUT_MS });
    assert.ok(agent.stderr.includes(warning), agent.stderr);
  });
  await t.step("a container that ended gets the next address", async () => {
    await host.removeContainers(["a"]);
    await shared.talk("rogue", address);
    await delay(STALE_MS);
    const again = await shared.start("a");
    assert.ok(again.address);
    assert.notEqual(again.address, address);
    const line = `Not giving out ${address}: ${user} uses it`;
    assert.ok(agent.stderr.includes(line), agent.stderr);
  });
  const requested = () =>
    shared.cli("ip", "allocate", "x", "--address", address);
  await t.step("nobody gets the address by number", async () => {
    const { code, stderr } = await requested();
    assert.equal(code, 1);
    assert.ok(stderr.includes(`in use: ${user} answers to it`), stderr);
    const env = { CNI_ARGS: `IgnoreUnknown=1;IP=${address}` };
    const refused = await shared.start("b", env);
    assert.equal(refused.code, 102);
    assert.ok(refused.msg.includes(`in use: ${user} answers to it`));
  });
  await t.step("nor when the bridge has forgotten its port", async () => {
    const { stdout } = await shared.cli("doctor");
    assert.ok(stdout.includes(`${address} is in use by ${mac}`), stdout);
    await shared.forget("rogue");
    await delay(STALE_MS);
    const { code, stderr } = await requested();
    assert.equal(code, 1);
    assert.ok(stderr.includes(`in use: ${mac} on "${BRIDGE}"`), stderr);
  });
  await t.step("until its user is gone", async () => {
    await host.removeContainers(["rogue"]);
    await waitFor(
      "the address to be free",
      async () => (await requested()).code === 0,
      { timeoutMs: TIMEOUT_MS, everyMs: 200 },
    );
  });
});

Deno.test("an address that a silent host uses by hand is given to nobody", async () => {
  await using host = await CniHost.create({ kind: "native" });
  await using agent = await spawnAgent({
    within: ["ip", "netns", "exec", host.netns],
    args: ["--leak-interval", "500ms"],
  });
  const shared = new SharedBridge(host, agent);
  const { address } = await shared.start("a");
  const used = address.replace(/\d+$/, "9");
  const mac = await shared.addByHand("rogue", used);
  await shared.talk("rogue", used);
  // What happens after five minutes of silence.
  await shared.forget("rogue");
  await host.exec(
    "ip",
    ["neighbour", "replace", used, "lladdr", mac].concat(
      ...["dev", BRIDGE, "nud", "stale"],
    ),
  );
  await waitFor("the agent to ask it", async () => {
    const { code, stderr } = await shared.cli(
      "ip",
      "allocate",
      "x",
      "--address",
      used,
    );
    if (code === 0) await shared.cli("ip", "release", "x");
    return stderr.includes(`in use: ${mac} on "${BRIDGE}"`);
  }, { timeoutMs: TIMEOUT_MS, everyMs: 200 });
});
