import assert from "node:assert/strict";
import { HostReconciler } from "../../src/host/reconciler.ts";
import type { HostDesired } from "../../src/host/plan/host_plan.ts";
import { FakeHostNetwork } from "../fake/fake_host_network.ts";
import { hostDesired, hostLink, hostState } from "./plan/host_plans.ts";

const BRIDGE = { name: "br0" };
const DESIRED = hostDesired({ bridge: BRIDGE, masquerade: true });
const LEFT = hostDesired({ bridge: BRIDGE, subnets: "", networks: "" });
const INTERVAL_MS = 3_600_000;

function fakeHost(): FakeHostNetwork {
  const network = new FakeHostNetwork(hostState({
    sysctls: new Map([["net/ipv4/ip_forward", "0"]]),
    interfaces: {
      links: [hostLink("eth0", "", ["192.0.2.5/24"])],
      defaultRoutes: [],
    },
  }));
  network.setForward("-P FORWARD DROP", "-A FORWARD -s 192.0.2.1/32 -j DROP");
  return network;
}

function reconcilerOf(network: FakeHostNetwork, apply = true): HostReconciler {
  return new HostReconciler({
    network,
    apply,
    intervalMs: INTERVAL_MS,
  });
}

Deno.test("HostReconciler changes nothing before it knows the desired state of the host", async () => {
  const network = fakeHost();
  const reconciler = reconcilerOf(network);
  reconciler.changed();
  reconciler.start();
  await reconciler.stop();
  await assert.rejects(reconciler.reconcile(), /its desired state is unknown/);
  assert.equal(reconciler.report, undefined);
  assert.deepEqual(reconciler.warnings, []);
  assert.deepEqual([network.reads, network.asked], [0, []]);
});

Deno.test("HostReconciler brings the host to its desired state, once", async () => {
  const network = fakeHost();
  const reconciler = reconcilerOf(network);
  const { changes, checks } = await reconciler.setDesired(DESIRED);
  assert.deepEqual(changes, network.asked);
  assert.deepEqual(checks.filter(({ status }) => status !== "ok"), []);
  assert.deepEqual(network.describe(), [
    "eth0 up 1500 192.0.2.5/24",
    "br0 up 1500 172.16.0.1/22",
    "net/ipv4/ip_forward=1",
    'oifname "br0" return',
    "ip saddr 172.16.0.0/22 ip daddr 172.16.0.0/12 return",
    "ip saddr 172.16.0.0/22 ip daddr 224.0.0.0/4 return",
    "ip saddr 172.16.0.0/22 masquerade fully-random",
    "-s 192.0.2.1/32 -j DROP",
    '-s 172.16.0.0/12 -d 172.16.0.0/22 -m comment --comment "stellar-net in" -j ACCEPT',
    '-s 172.16.0.0/22 -m comment --comment "stellar-net out" -j ACCEPT',
    '-d 172.16.0.0/22 -m conntrack --ctstate RELATED,ESTABLISHED -m comment --comment "stellar-net reply" -j ACCEPT',
  ]);
  assert.deepEqual((await reconciler.reconcile()).changes, []);
  assert.equal(reconciler.report!.desired, DESIRED);
});

Deno.test("HostReconciler comes back to the same host from wherever it was taken", async (t) => {
  const meddlings: readonly [
    name: string,
    meddle: (n: FakeHostNetwork) => void,
  ][] = [
    [
      "bridge gone",
      (n) =>
        n.state = {
          ...n.state,
          interfaces: {
            links: n.state.interfaces!.links.slice(0, 1),
            defaultRoutes: [],
          },
        },
    ],
    [
      "bridge without its address",
      (n) =>
        n.state = {
          ...n.state,
          interfaces: {
            links: [n.state.interfaces!.links[0]!, {
              ...hostLink("br0", "bridge"),
              isUp: false,
            }],
            defaultRoutes: [],
          },
        },
    ],
    [
      "forwarding off",
      (n) =>
        n.state = {
          ...n.state,
          sysctls: new Map([["net/ipv4/ip_forward", "0"]]),
        },
    ],
    ["table gone", (n) => n.state = { ...n.state, tables: [] }],
    [
      "rules gone",
      (n) =>
        n.setForward("-P FORWARD DROP", "-A FORWARD -s 192.0.2.1/32 -j DROP"),
    ],
  ];
  const others: readonly [name: string, desired: HostDesired][] = [
    ["the node left", LEFT],
    [
      "another subnet",
      hostDesired({ bridge: BRIDGE, subnets: "172.16.8.0/22" }),
    ],
    ["another MTU", hostDesired({ bridge: { name: "br0", mtuBytes: 1400 } })],
    ["no masquerading", hostDesired({ bridge: BRIDGE })],
  ];
  const desired = hostDesired({
    bridge: { name: "br0", mtuBytes: 1500 },
    masquerade: true,
  });
  const network = fakeHost();
  const reconciler = reconcilerOf(network);
  await reconciler.setDesired(desired);
  const text = network.describe();
  for (const [name, meddle] of meddlings) {
    await t.step(name, async () => {
      meddle(network);
      assert.notDeepEqual(network.describe(), text);
      await reconciler.reconcile();
      assert.deepEqual(network.describe(), text);
      assert.deepEqual(reconciler.warnings, []);
    });
  }
  for (const [from, other] of others) {
    for (const [name, meddle] of meddlings) {
      await t.step(`${from}, ${name}`, async () => {
        await reconciler.setDesired(other);
        assert.deepEqual(reconciler.warnings, []);
        assert.notDeepEqual(network.describe(), text);
        meddle(network);
        await reconciler.setDesired(desired);
        assert.deepEqual(network.describe(), text);
        assert.deepEqual(reconciler.warnings, []);
      });
    }
  }
});

Deno.test("HostReconciler removes the gateways that it has added, and no others", async () => {
  const network = fakeHost();
  const first = reconcilerOf(network);
  await first.setDesired(DESIRED);
  const next = hostDesired({ bridge: BRIDGE, subnets: "172.16.8.0/22" });
  await first.setDesired(next);
  assert.ok(network.describe().includes("br0 up 1500 172.16.8.1/22"));
  // An operator's own, which is not a gateway.
  await network.apply([{
    kind: "add_address",
    name: "br0",
    address: hostLink("x", "", ["172.16.0.9/22"]).addresses[0]!,
  }]);
  await first.reconcile();
  assert.ok(
    network.describe().includes("br0 up 1500 172.16.0.9/22 172.16.8.1/22"),
  );
  assert.match(first.warnings.join(), /^bridge: "br0" has 172.16.0.9\/22, too/);
});

Deno.test("HostReconciler only looks where it is not to change, or may not", async (t) => {
  const rows: readonly [name: string, apply: boolean, isNetAdmin: boolean][] = [
    ["not to", false, true],
    ["may not", true, false],
  ];
  for (const [name, apply, isNetAdmin] of rows) {
    await t.step(name, async () => {
      const network = fakeHost();
      network.state = { ...network.state, isNetAdmin };
      const { changes, checks } = await reconcilerOf(network, apply).setDesired(
        DESIRED,
      );
      assert.deepEqual([changes, network.asked], [[], []]);
      const failed = checks.filter(({ status }) => status === "failed");
      assert.deepEqual(failed.map((check) => check.name), [
        "bridge",
        "gateway",
        "forwarding",
        "forward policy",
        "masquerade",
      ]);
      assert.ok(failed.every(({ means, fix }) => means !== "" && fix !== ""));
    });
  }
});

Deno.test("HostReconciler reports a failed repair, and makes the others", async () => {
  const network = fakeHost();
  network.failing.add("set_sysctl");
  const reconciler = reconcilerOf(network);
  await reconciler.setDesired(DESIRED);
  assert.deepEqual(reconciler.warnings, [
    "forwarding: net.ipv4.ip_forward is 0, and it was told to fail; containers reach no other host over IPv4; to fix it: sysctl -w net/ipv4/ip_forward=1",
  ]);
  assert.ok(network.describe().includes("br0 up 1500 172.16.0.1/22"));
  network.failing.clear();
  await reconciler.reconcile();
  assert.deepEqual(reconciler.warnings, []);

  network.failing.add("delete_address");
  const next = hostDesired({
    bridge: BRIDGE,
    subnets: "172.16.8.0/22",
    masquerade: true,
  });
  await reconciler.setDesired({ ...next, networks: [] });
  assert.deepEqual(reconciler.warnings, [
    "gateway: it was told to fail; containers do without it; the agent tries again; to fix it: ip address delete 172.16.0.1/22 dev br0",
  ]);
});

Deno.test("HostReconciler runs once more for all requests during a run", async () => {
  const network = fakeHost();
  const reconciler = reconcilerOf(network);
  await reconciler.setDesired(DESIRED);
  const before = network.reads;
  const { promise, resolve } = Promise.withResolvers<void>();
  network.gate = promise;
  await network.wasRead.notified();
  const first = reconciler.reconcile();
  await network.wasRead.notified();
  const rest = Array.from({ length: 9 }, () => reconciler.reconcile());
  const asked = [first, ...rest];
  resolve();
  const reports = await Promise.all(asked);
  assert.equal(network.reads - before, 2);
  assert.equal(new Set(reports).size, 2);
});

Deno.test("HostReconciler reconciles after a change of the host, and not after its end", async () => {
  const network = fakeHost();
  const reconciler = reconcilerOf(network);
  reconciler.start();
  await reconciler.setDesired(DESIRED);
  for (let i = 0; i < 2; i++) {
    await network.wasRead.notified();
    reconciler.changed();
    reconciler.changed();
  }
  await network.wasRead.notified();
  reconciler.changed();
  await reconciler.stop();
  const { reads } = network;
  reconciler.changed();
  await Promise.resolve();
  assert.equal(network.reads, reads);
});
