import assert from "node:assert/strict";
import { openDenoKv } from "../../src/store/deno_kv/deno_kv.ts";
import { setTimeout as delay } from "node:timers/promises";
import { ClusterView } from "../../src/registry/feed.ts";
import type { HostFacts, Member } from "../../src/member/member.ts";
import { HostController } from "../../src/host/controller.ts";
import type { LocalPrefix } from "../../src/registry/plan/cluster_state.ts";
import type { KernelRoutes } from "../../src/routes/kernel_routes.ts";
import { formatPrefix, parsePrefix } from "../../src/net/prefix.ts";
import { FakeHostNetwork } from "../fake/fake_host_network.ts";
import { hostLink, hostState } from "./plan/host_plans.ts";
import { peerNode } from "../doctor/path_world.ts";
import { createFakeHost, type } from "../routes/plan/kernels.ts";
import { IpRoutes } from "../../src/routes/ip_routes.ts";
import { createCarve } from "../../src/net/carve.ts";
import { waitFor } from "../support/wait_for.ts";

/** Less than what a controller waits after an event. */
const EVENT_EVERY_MS = 100;

/** A kernel to which something happens all the time, and whose routes nobody asks for. */
function busyKernel(): KernelRoutes {
  const unexpected = () => Promise.reject(new Error("Routes are off"));
  return {
    read: unexpected,
    apply: unexpected,
    async *monitor({ signal }) {
      while (!signal.aborted) {
        yield "routes";
        await delay(EVENT_EVERY_MS, undefined, { signal }).catch(() => {});
      }
    },
  };
}

/** A member that records its reports, as far as a controller with nothing to do needs one. */
function listeningHome(reports: HostFacts[]): Member {
  const member: Partial<Member> = {
    view: new ClusterView(),
    subnets: [],
    report: (facts) => Promise.resolve(void reports.push(facts)),
  };
  return member as Member;
}

function seenOn(device: string, cidr: string): LocalPrefix {
  return { prefix: parsePrefix(cidr), device };
}

Deno.test("HostController reports the facts of a host whose kernel changes all the time", async () => {
  const reports: HostFacts[] = [];
  let prefixes = [seenOn("eth0", "192.0.2.0/24")];
  const store = await openDenoKv({ path: ":memory:" });
  const controller = new HostController({
    store,
    node: "node1",
    member: listeningHome(reports),
    config: {
      advertise: [],
      join: [],
      security: { kind: "none" },
      routeProtocol: 83,
      bridge: "br0",
      masquerade: false,
      blackhole: true,
      forwardRules: true,
    },
    mode: "off",
    routes: busyKernel(),
    network: new FakeHostNetwork(hostState({
      interfaces: {
        links: [hostLink("eth0", "", ["192.0.2.5/24"])],
        defaultRoutes: [],
      },
    })),
    readPrefixes: () => Promise.resolve(prefixes),
    now: Date.now,
  });
  const told = () =>
    reports.map(({ localPrefixes }) =>
      localPrefixes.map(({ prefix }) => formatPrefix(prefix)).join(" ")
    );
  await controller.report([]);
  controller.start();
  try {
    prefixes = [...prefixes, seenOn("docker0", "172.17.0.0/16")];
    await waitFor("a second report", () => reports.length > 1);
  } finally {
    await controller.stop();
    await store.close();
  }
  assert.deepEqual(told(), ["192.0.2.0/24", "192.0.2.0/24 172.17.0.0/16"]);
});

/** The counts of what was done, once they stay for longer than a controller waits after an event. */
async function settled(work: () => number[]): Promise<number[]> {
  for (;;) {
    const before = work();
    await delay(1_500);
    if (String(work()) === String(before)) return before;
  }
}

Deno.test("HostController ignores the events of its own changes, and reads only the part that an event of others concerns", async () => {
  const ip = await createFakeHost();
  const network = new FakeHostNetwork(hostState({
    interfaces: {
      links: [hostLink("up0", "", ["198.18.0.1/24"])],
      defaultRoutes: [],
    },
  }));
  let prefixReads = 0;
  const store = await openDenoKv({ path: ":memory:" });
  const view = new ClusterView();
  const member = {
    view,
    subnets: [parsePrefix("172.16.0.0/22")],
    cluster: { networks: [createCarve(parsePrefix("172.16.0.0/12"))] },
    link: { state: "joined" },
    report: () => Promise.resolve(),
  } as unknown as Member;
  const controller = new HostController({
    store,
    node: "node1",
    member,
    config: {
      advertise: [],
      join: [],
      security: { kind: "none" },
      routeProtocol: 83,
      bridge: undefined,
      masquerade: false,
      blackhole: true,
      forwardRules: true,
    },
    mode: "apply",
    routes: new IpRoutes({ runner: ip, follower: ip }),
    network,
    readPrefixes: () => {
      prefixReads++;
      return Promise.resolve([]);
    },
    now: Date.now,
  });
  const show = () => ip.log.filter((line) => line === "address show").length;
  const work = () => [show(), network.reads, prefixReads];
  controller.start();
  try {
    controller.update();
    // The first events: the monitor listens.
    const before = await settled(work);
    view.apply({
      revision: 1,
      isSnapshot: true,
      nodes: [peerNode({ name: "node2", advertised: "198.18.0.2" })],
      routes: [],
      removedNodes: [],
      removedRoutes: [],
    });
    controller.update();
    await waitFor("the route", () => controller.routes.counts.installed === 1);
    // Read, change, read back: and nothing else.
    assert.deepEqual(await settled(work), [
      before[0]! + 2,
      before[1],
      before[2],
    ]);

    await type(ip, "route add 203.0.113.0/24 via 198.18.0.9");
    await waitFor("the facts", () => prefixReads === before[2]! + 1);
    assert.deepEqual(await settled(work), [
      before[0]! + 3,
      before[1],
      before[2]! + 1,
    ]);

    await type(ip, "route del 172.16.4.0/22 proto 83");
    await waitFor(
      "the repair",
      () => controller.routes.repaired.byCause.missing === 1,
    );
    assert.equal(network.reads, before[1]);

    await type(ip, "link set up0 down");
    await waitFor("a check", () => network.reads > before[1]!);
  } finally {
    await controller.stop();
    await store.close();
  }
});
