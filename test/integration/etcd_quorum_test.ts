import assert from "node:assert/strict";
import { EtcdRegistryLab } from "../lab/etcd_registry_lab.ts";
import { FaultWatch } from "../lab/fault_watch.ts";
import { type History, refusable } from "../lab/history.ts";
import { labUrl } from "../lab/lab.ts";
import type { LabHost } from "../lab/lab_host.ts";
import { allDone } from "../support/all_done.ts";
import { waitFor } from "../support/wait_for.ts";

const NETWORK = ["--network", "10.0.0.0/20", "--subnet-prefix", "26"];
/** Addresses of each node whose rate is measured: a subnet has 61. */
const ADDRESSES = 40;
/** Revisions of etcd that a host which is off misses. */
const MISSED = 60;

/** What `status` tells of the registry. */
interface Link {
  readonly registry: {
    readonly state: string;
    readonly problem: string | null;
    readonly url: string | null;
  };
}

async function linkOf(host: LabHost): Promise<Link["registry"]> {
  return (await host.ask<Link>("status")).registry;
}

/** Waits until a link is so, and returns how long that took, in ms. */
async function linkIs(
  host: LabHost,
  what: string,
  condition: (link: Link["registry"]) => boolean,
): Promise<number> {
  const startedMs = performance.now();
  await waitFor(
    `${host.name} to be ${what}`,
    async () => condition(await linkOf(host)),
    { everyMs: 100 },
  );
  return Math.round(performance.now() - startedMs);
}

/** Has all nodes give and take back addresses at once. Returns how many they gave a second. */
async function rate(
  history: History,
  hosts: readonly LabHost[],
): Promise<number> {
  const startedMs = performance.now();
  await allDone(hosts.map(async (host) => {
    const { ipam } = history.clients(host);
    const owners = Array.from(
      { length: ADDRESSES },
      (_, i) => ({ containerId: `rate-${i}` }),
    );
    for (const owner of owners) await ipam.allocate({ node: host.name, owner });
    for (const owner of owners) await ipam.release({ node: host.name, owner });
  }));
  const seconds = (performance.now() - startedMs) / 1000;
  return Math.round(hosts.length * ADDRESSES / seconds);
}

/** Removes an agent's routes from its kernel and waits for them. Returns how long that took, in ms. */
async function repaired(host: LabHost): Promise<number> {
  const before = await host.routes();
  assert.ok(before.length > 0, `${host.name} has no routes`);
  await host.ip("route flush proto 83");
  const startedMs = performance.now();
  await waitFor(
    `the routes of ${host.name}`,
    async () => (await host.routes()).join("\n") === before.join("\n"),
  );
  return Math.round(performance.now() - startedMs);
}

/** The answer of a host's agent to a readiness check: status and text. */
async function readiness({ address }: LabHost, at: LabHost) {
  const url = `http://${address}:9000/readyz`;
  const args = ["-s", "-w", "\n%{http_code}", url];
  const lines = (await at.must("curl", args)).split("\n");
  return { status: Number(lines.pop()), text: lines.join("\n") };
}

Deno.test("hosts go on while etcd or a host of the registry is lost, and catch up", async (t) => {
  await using cluster = await EtcdRegistryLab.create({
    registryArgs: NETWORK,
  });
  const { etcd, hosts, registries, joiners } = cluster;
  const [first, second, third] = registries as [LabHost, LabHost, LabHost];
  const watch = new FaultWatch(cluster);
  const { history } = watch;

  /** While etcd has no quorum. */
  const withoutQuorum = async () => {
    const noticed = await allDone(
      hosts.map((host) =>
        linkIs(
          host,
          "unreachable, with the reason",
          ({ state, problem }) =>
            state === "unreachable" &&
            /etcd:\/\/198\.18\.0\.16:2379.*no leader/.test(`${problem}`),
        )
      ),
    );
    console.log(`  told by status after ${noticed.join(", ")} ms`);
    const ready = await readiness(first, second);
    assert.equal(ready.status, 200, ready.text);
    assert.match(
      ready.text,
      /unreachable since .*etcd:\/\/.*keeps its addresses/,
    );

    const doctor = await first.exec("stellar-net", ["doctor"]);
    assert.equal(doctor.code, 1);
    assert.match(
      doctor.stdout,
      /^FAILED +registry store: etcd:\/\/.*no leader.*containers get addresses of the subnets that nodes have/m,
    );
    assert.match(doctor.stdout, /^ok +store: /m);
    assert.match(doctor.stdout, /^warning +registry: .* unreachable since /m);

    const join = await refusable(() =>
      history.clients(first).registry.join({ node: "late", instanceId: "late" })
    );
    assert.ok(join instanceof Error);
    assert.equal(join.code, "unavailable");
    assert.match(join.message, /etcd:\/\/198\.18\.0\.16:2379.*no leader/);

    const before = await second.routes();
    await second.agent.kill();
    assert.deepEqual(await second.routes(), before);
    await second.agent.start();
    assert.deepEqual(await second.routes(), before);
    const held = await history.heldOn(second, second.name);
    assert.deepEqual(held, history.promised.get(second.name));
    const times = await allDone(hosts.map(repaired));
    console.log(`  routes repaired after ${times.join(", ")} ms`);
    const without = await watch.quiet(() => rate(history, hosts));
    console.log(`  ${without} allocations a second on ${hosts.length} nodes`);
  };

  await t.step("quorum is lost, and regained", async () => {
    const withQuorum = await rate(history, hosts);
    console.log(`  ${withQuorum} allocations a second with a quorum`);
    const lost = etcd.members.slice(0, 2);
    await watch.cause({
      what: "quorum lost and regained",
      breakIt: () => allDone(lost.map((member) => member.kill())),
      meanwhile: withoutQuorum,
      mend: async () => {
        for (const member of lost) member.start();
        await etcd.ready();
      },
    });
  });

  /** The joiner, and the host that it has joined. */
  const joinedThrough = async () => {
    const [joiner] = joiners as [LabHost];
    const { url } = await linkOf(joiner);
    const host = registries.find(({ number }) => labUrl(number) === url)!;
    return { joiner, host, url };
  };
  const moved = async (from: { joiner: LabHost; url: string | null }) => {
    const took = await linkIs(
      from.joiner,
      "joined elsewhere",
      ({ state, url }) => state === "joined" && url !== from.url,
    );
    console.log(`  ${from.joiner.name} has moved after ${took} ms`);
  };
  let through: Awaited<ReturnType<typeof joinedThrough>>;
  await t.step("a host of the registry dies", () =>
    watch.cause({
      what: "a host of the registry killed",
      breakIt: async () => {
        through = await joinedThrough();
        await through.host.agent.kill();
      },
      meanwhile: () => moved(through),
      mend: () => through.host.agent.start(),
    }));
  await t.step("a host of the registry is cut off", () =>
    watch.cause({
      what: "a host of the registry unplugged",
      breakIt: async () => {
        through = await joinedThrough();
        await through.host.unplug();
      },
      meanwhile: () => moved(through),
      mend: () => through.host.plug(),
    }));

  /** Waits until a host has missed much, and what it missed is compacted away. */
  const compacted = async () => {
    const [member] = etcd.members;
    const until = await member!.revision() + MISSED;
    await waitFor(
      "changes",
      async () => await member!.revision() > until,
    );
    await member!.compact(until);
  };
  await t.step(
    "a host comes back after a time that etcd has forgotten",
    () =>
      watch.cause({
        what: "a host of the registry off until what it missed was compacted",
        breakIt: () => third.agent.kill(),
        meanwhile: compacted,
        mend: () => third.agent.start(),
      }),
  );
  /** As that, once it has noticed that nothing comes any more. */
  const noticedAndCompacted = async () => {
    const { length } = await third.agent.log();
    await waitFor(
      "the end of its watch",
      async () => (await third.agent.log()).includes("Cannot watch", length),
      { everyMs: 100 },
    );
    await compacted();
  };
  await t.step(
    "a host is plugged in after a time that etcd has forgotten",
    () =>
      watch.cause({
        what:
          "a host of the registry unplugged until what it missed was compacted",
        breakIt: () => third.unplug(),
        meanwhile: noticedAndCompacted,
        mend: () => third.plug(),
      }),
  );
});
