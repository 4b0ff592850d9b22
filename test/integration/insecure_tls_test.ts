import assert from "node:assert/strict";
import { setTimeout as delay } from "node:timers/promises";
import { settled } from "../lab/cluster.ts";
import { EtcdRegistryLab } from "../lab/etcd_registry_lab.ts";
import { History } from "../lab/history.ts";
import { Lab, tokenPath } from "../lab/lab.ts";
import type { LabHost } from "../lab/lab_host.ts";
import { Pinger } from "../lab/pinger.ts";
import {
  asFor,
  ProcedureRunner,
  readProcedure,
  type Step,
} from "../lab/procedure.ts";
import { SteadyCalls } from "../lab/steady_calls.ts";
import { waitFor } from "../support/wait_for.ts";

const PAGE = "docs/operations.md";
/** How long hosts may take to find each other again after a restart. */
const WITHIN = { timeoutMs: 60_000, everyMs: 250 };
const PINGS = 50;

let routes = 0;

/** Pings from a container of each host to one of the next, and calls to each agent. */
class Traffic implements AsyncDisposable {
  /** Hosts whose agent is being restarted: its own calls may fail. */
  readonly restarting = new Set<string>();
  readonly failures: string[] = [];
  readonly #pingers: Pinger[] = [];
  readonly #calls = new SteadyCalls();

  static async start(
    history: History,
    hosts: readonly LabHost[],
  ): Promise<Traffic> {
    const traffic = new Traffic();
    const containers = [];
    for (const host of hosts) containers.push(await host.addContainer("c1"));
    for (const [i, { netns }] of containers.entries()) {
      const { addresses } = containers[(i + 1) % containers.length]!;
      traffic.#pingers.push(new Pinger(netns, addresses[0]!));
    }
    for (const host of hosts) {
      const { ipam } = history.clients(host);
      traffic.#calls.add(host.name, async (turn) => {
        const owner = { containerId: `steady${turn}` };
        try {
          await ipam.allocate({ owner });
          await ipam.release({ owner });
        } catch (error) {
          if (traffic.restarting.has(host.name)) return;
          traffic.failures.push(`${host.name}: ${error}`);
        }
        await delay(200);
      });
    }
    return traffic;
  }

  /** Ends it. No ping was lost, and no agent refused a call but during its own restart. */
  async check(): Promise<void> {
    for (const pinger of this.#pingers) {
      const before = pinger.received;
      await waitFor("more pings", () => pinger.received > before + PINGS);
      const { sent, lost } = await pinger.stop();
      assert.ok(sent > 1_000, `${sent} pings`);
      assert.equal(lost, 0);
    }
    await this.#calls.stop();
    assert.deepEqual(this.failures, []);
    for (const [name, { answered }] of this.#calls.tallies) {
      assert.ok(answered > 10, `${name}: ${answered} calls`);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#calls.stop();
    for (const pinger of this.#pingers) await pinger[Symbol.asyncDispose]();
  }
}

/** Waits until a change of the registry is in every kernel, and every agent reaches every other. */
async function allReachAll(
  history: History,
  hosts: readonly LabHost[],
  what: string,
): Promise<void> {
  const cidr = `10.77.${routes++}.0/24`;
  let last: unknown;
  const works = async (call: () => Promise<unknown>) => {
    try {
      return await call();
    } catch (error) {
      last = error;
      return false;
    }
  };
  try {
    const { registry } = history.clients(hosts[0]!);
    const route = { cidr, target: hosts[0]!.address };
    await waitFor(
      "a change",
      () => works(() => registry.addRoute(route)),
      WITHIN,
    );
    for (const host of hosts) {
      const { registry, cluster } = history.clients(host);
      await waitFor(
        `${host.name} to follow the registry`,
        async () =>
          host === hosts[0] ||
          (await host.routes()).some((each) => each.startsWith(cidr)),
        WITHIN,
      );
      await waitFor(
        `${host.name} to list the nodes`,
        () => works(() => registry.listNodes({})),
        WITHIN,
      );
      await waitFor(
        `${host.name} to reach all agents`,
        async () => {
          const found = await works(() => cluster.find({ what: "nothing" }));
          const silent = (found as { silentNodes?: string[] }).silentNodes ??
            ["?"];
          last = `${silent} are silent; ${last}`;
          return silent.length === 0;
        },
        WITHIN,
      );
    }
    await registry.deleteRoute({ cidr });
  } catch (cause) {
    throw new Error(`${what}: ${last}`, { cause });
  }
}

Deno.test("docs/operations.md: from insecure to TLS and back, host by host, while containers and calls go on", async (t) => {
  await using lab = await Lab.create({ hosts: 3, startAgents: false });
  const [host1, host2] = lab.hosts as [LabHost, LabHost];
  const runner = new ProcedureRunner(lab.hosts);
  const history = new History(lab);
  const members = new Map<LabHost, readonly string[]>();
  for (const { name, address } of lab.hosts) {
    const join = name === "host1" ? "" : " --join http://198.18.0.11:9000";
    const flags = `--listen ${address}:9000 --bridge stellar0 --insecure`;
    const line = `./stellar-net install ${flags}${join}`;
    await runner.follow([{ where: name, line }]);
  }
  for (const host of lab.hosts) members.set(host, await host.joined());
  await settled(members);
  await using traffic = await Traffic.start(history, lab.hosts);
  const follow = async (host: LabHost, steps: readonly Step[]) => {
    traffic.restarting.add(host.name);
    await runner.follow(steps.map(({ line }) => ({ where: host.name, line })));
    traffic.restarting.delete(host.name);
    await allReachAll(history, lab.hosts, `after ${host.name} has changed`);
  };
  const securities = async () => {
    const states = await Promise.all(lab.hosts.map((host) => host.status()));
    return states.map(({ security }) => security).join(" ");
  };
  const warnings = async (host: LabHost) =>
    (await host.status()).warnings.filter((each) => /insecure/.test(each));

  await t.step("to TLS", async () => {
    const steps = await readProcedure(PAGE, "From insecure to TLS");
    const at = (what: string) =>
      steps.findIndex(({ line }) => line.includes(what));
    const [token, end] = [at("token create"), at("ACCEPT_INSECURE=/d")];
    await follow(host1, steps.slice(0, token));
    assert.equal(await securities(), "cluster none none");
    for (const host of lab.hosts.slice(1)) {
      const [sent, ...there] = asFor(steps.slice(token, end), [host2, host]);
      await runner.follow([sent!]);
      await follow(host, there);
    }
    assert.equal(await securities(), "cluster cluster cluster");
    assert.match((await warnings(host2)).join(), /--accept-insecure: anyone/);
    for (const host of [...lab.hosts.slice(1), host1]) {
      await follow(host, steps.slice(end));
      assert.deepEqual(await warnings(host), []);
    }
    const refused = await host2.exec("curl", [
      ...[
        "--silent",
        "--max-time",
        "5",
        "--header",
        "content-type: application/json",
      ],
      ...["--data", "{}", `http://${host1.address}:9000/`],
    ]);
    assert.notEqual(refused.code, 0, refused.stdout);
  });
  await t.step("and back", async () => {
    const steps = await readProcedure(PAGE, "From TLS to insecure");
    const of = (where: string) => steps.filter((step) => step.where === where);
    for (const host of [...lab.hosts.slice(1), host1]) {
      await follow(host, of("each host, host1 last"));
    }
    for (const host of lab.hosts.slice(1)) {
      await follow(host, of("each other host"));
    }
    await follow(host1, of("host1"));
    assert.equal(await securities(), "none none none");
  });
  await traffic.check();
  for (const host of lab.hosts) {
    assert.deepEqual(await host.joined(), members.get(host));
  }
  await settled(members);
});

Deno.test("with etcd, from insecure to TLS and back, host by host, while containers and calls go on", async () => {
  await using cluster = await EtcdRegistryLab.create({
    registries: 2,
    joiners: 1,
  });
  const { lab, hosts, registries, joiners } = cluster;
  const history = new History(lab, { hosts, isShared: true });
  const members = new Map<LabHost, readonly string[]>();
  for (const host of hosts) members.set(host, await host.joined());
  await settled(members);
  await using traffic = await Traffic.start(history, hosts);
  const change = async (host: LabHost, flags: readonly string[]) => {
    traffic.restarting.add(host.name);
    host.agent.flags = flags;
    await host.agent.restart();
    traffic.restarting.delete(host.name);
    await allReachAll(history, hosts, `${host.name}: ${flags.join(" ")}`);
  };
  const plain = new Map(hosts.map((host) => [host, host.agent.flags]));
  const secure = (host: LabHost) =>
    plain.get(host)!.filter((flag) => flag !== "--insecure")
      .map((flag) => flag.replace("http:", "https:"))
      .concat(joiners.includes(host) ? ["--token-file", tokenPath(host)] : []);
  for (const host of hosts) {
    if (joiners.includes(host)) await lab.admit(host, ["--name", host.name]);
    await change(host, [...secure(host), "--accept-insecure"]);
  }
  for (const host of hosts) await change(host, secure(host));
  for (const host of hosts) {
    await change(host, [...secure(host), "--accept-insecure"]);
  }
  for (const host of [...joiners, ...registries]) {
    await change(host, plain.get(host)!);
  }
  await traffic.check();
  for (const host of hosts) {
    assert.deepEqual(await host.joined(), members.get(host));
  }
});
