import assert from "node:assert/strict";
import { openDenoKv } from "../../src/store/deno_kv/deno_kv.ts";
import { setTimeout as delay } from "node:timers/promises";
import { ClusterView } from "../../src/registry/view.ts";
import type { HostFacts, Member } from "../../src/member/member.ts";
import { HostController } from "../../src/host/controller.ts";
import type { LocalPrefix } from "../../src/registry/plan/cluster_state.ts";
import type { KernelRoutes } from "../../src/routes/kernel_routes.ts";
import { formatPrefix, parsePrefix } from "../../src/net/prefix.ts";
import { FakeHostNetwork } from "../fake/fake_host_network.ts";
import { hostLink, hostState } from "./plan/host_plans.ts";
import { waitFor } from "../support/wait_for.ts";

/** Less than what a keeper waits after an event. */
const EVENT_EVERY_MS = 100;

/** A kernel to which something happens all the time, and whose routes nobody asks for. */
function busyKernel(): KernelRoutes {
  const unexpected = () => Promise.reject(new Error("Routes are off"));
  return {
    read: unexpected,
    apply: unexpected,
    async *monitor({ signal }) {
      while (!signal.aborted) {
        yield;
        await delay(EVENT_EVERY_MS, undefined, { signal }).catch(() => {});
      }
    },
  };
}

/** A member that records its reports, as far as a keeper with nothing to do needs one. */
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

Deno.test("HostController tells what is true of a host to which something happens all the time", async () => {
  const reports: HostFacts[] = [];
  let prefixes = [seenOn("eth0", "192.0.2.0/24")];
  const store = await openDenoKv({ path: ":memory:" });
  const keeper = new HostController({
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
  await keeper.report([]);
  keeper.start();
  try {
    prefixes = [...prefixes, seenOn("docker0", "172.17.0.0/16")];
    await waitFor("a second report", () => reports.length > 1);
  } finally {
    await keeper.stop();
    await store.close();
  }
  assert.deepEqual(told(), ["192.0.2.0/24", "192.0.2.0/24 172.17.0.0/16"]);
});
