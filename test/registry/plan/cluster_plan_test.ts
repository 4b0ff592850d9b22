import assert from "node:assert/strict";
import { planCreate } from "../../../src/registry/plan/cluster_plan.ts";
import { ClusterState } from "../../../src/registry/plan/cluster_state.ts";
import { createCarve } from "../../../src/net/carve.ts";
import { parsePrefix } from "../../../src/net/prefix.ts";
import { Cluster } from "./clusters.ts";

const DOCKER = "172.17.0.0/16 docker0";

Deno.test("planClaim() gives node0, node1 and node2 the first three subnets", () => {
  const cluster = new Cluster("172.16.0.0/12");
  assert.equal(cluster.claim("node0"), "172.16.0.0/22");
  assert.equal(cluster.claim("node1"), "172.16.4.0/22");
  assert.equal(cluster.claim("node2"), "172.16.8.0/22");
  assert.equal(cluster.claim("node1"), "172.16.4.0/22");
});

Deno.test("planClaim() refuses the 1,025th node with Stellar's message", () => {
  const cluster = new Cluster("172.16.0.0/12");
  const claimed = new Set(
    Array.from({ length: 1024 }, (_, i) => cluster.claim(`node${i}`)),
  );
  assert.equal(claimed.size, 1024);
  assert.ok(claimed.has("172.31.252.0/22"));
  assert.match(
    cluster.claim("node1024"),
    /^exhausted: no available subnets in network configuration: the 1024 subnets of 172\.16\.0\.0\/12/,
  );
  assert.equal(cluster.state.nodes.has("node1024"), false);
});

Deno.test("planClaim() carves 10.0.0.0/8 into 4,096 subnets of /20", () => {
  const cluster = new Cluster(["10.0.0.0/8", 20]);
  let last = "";
  for (let i = 0; i < 4096; i++) last = cluster.claim(`node${i}`);
  assert.equal(last, "10.255.240.0/20");
  assert.match(cluster.claim("more"), /^exhausted/);
});

Deno.test("planClaim() gives a never-used subnet before a released one", () => {
  const cluster = new Cluster(["10.0.0.0/24", 26]);
  cluster.claim("node0");
  cluster.claim("node1");
  assert.equal(cluster.release("node1"), "10.0.0.64/26");
  assert.equal(cluster.claim("node2"), "10.0.0.128/26");
  assert.equal(cluster.claim("node1"), "10.0.0.64/26");
});

Deno.test("planClaim() gives the subnet that was released the longest ago when no other is left", () => {
  const cluster = new Cluster(["10.0.0.0/24", 26]);
  for (const node of ["a", "b", "c", "d"]) cluster.claim(node);
  cluster.release("c");
  cluster.release("a");
  assert.equal(cluster.claim("e"), "10.0.0.128/26");
  assert.equal(cluster.claim("a"), "10.0.0.0/26");
  assert.match(cluster.claim("c"), /^exhausted/);
});

Deno.test("planClaim() gives a node, and nobody else, the subnet that is reserved for it", () => {
  const cluster = new Cluster(["10.0.0.0/24", 26]);
  cluster.reserve("10.0.0.0/26", "db", "the database");
  cluster.reserve("10.0.0.64/26");
  assert.equal(cluster.claim("web"), "10.0.0.128/26");
  assert.equal(cluster.claim("db"), "10.0.0.0/26");
  assert.equal(cluster.claim("more"), "10.0.0.192/26");
  assert.match(cluster.claim("last"), /^exhausted/);
  cluster.unreserve("10.0.0.64/26");
  assert.equal(cluster.claim("last"), "10.0.0.64/26");
});

Deno.test("planClaim() gives one subnet of each network, or none", () => {
  const cluster = new Cluster(["10.0.0.0/24", 26], ["fd00::/63", 64]);
  assert.equal(cluster.claim("a"), "10.0.0.0/26 fd00::/64");
  assert.equal(cluster.claim("b"), "10.0.0.64/26 fd00:0:0:1::/64");
  assert.match(cluster.claim("c"), /^exhausted: .*fd00::\/63/);
  assert.deepEqual(cluster.list().length, 4);
});

Deno.test("planClaim() hands out no subnet that overlaps a host's own prefixes", () => {
  const cluster = new Cluster("172.16.0.0/12");
  cluster.report("host", DOCKER, "192.168.1.0/24 eth0", "172.16.5.0/24 br0");
  const claimed = Array.from({ length: 200 }, (_, i) => cluster.claim(`n${i}`));
  assert.deepEqual(claimed.filter((c) => c.startsWith("172.17.")), []);
  assert.equal(claimed.includes("172.16.4.0/22"), false);
  assert.ok(claimed.includes("172.18.0.0/22"));
});

Deno.test("planClaim() names the conflicts when hosts use the whole network", () => {
  const cluster = new Cluster("172.16.0.0/12");
  cluster.report("host", "172.16.0.0/13 eth0");
  cluster.report("other", "172.24.0.0/13 eth0");
  assert.match(
    cluster.claim("a"),
    /^exhausted: .*in conflict with 172\.16\.0\.0\/13 on "host", 172\.24\.0\.0\/13 on "other"$/,
  );
});

Deno.test("planClaim() moves no node whose subnet comes into conflict later", () => {
  const cluster = new Cluster("172.16.0.0/12");
  cluster.claim("a");
  cluster.report("b", "172.16.0.0/24 eth1");
  assert.equal(cluster.claim("a"), "172.16.0.0/22");
  assert.deepEqual(cluster.list(), [
    '172.16.0.0/22 owned a overlaps 172.16.0.0/24 on eth1 of node "b"',
  ]);
});

Deno.test("planReport() takes a node's own bridge for no conflict", () => {
  const cluster = new Cluster("172.16.0.0/12");
  cluster.claim("a");
  cluster.report("a", "172.16.0.0/22 cni0");
  assert.deepEqual(cluster.list(), ["172.16.0.0/22 owned a"]);
});

Deno.test("planReport() ends a conflict that is gone", () => {
  const cluster = new Cluster("172.16.0.0/12");
  cluster.report("host", "172.16.0.0/24 eth1");
  cluster.report("host");
  assert.equal(cluster.claim("a"), "172.16.0.0/22");
});

Deno.test("planRelease() refuses a node without a subnet", () => {
  const cluster = new Cluster("172.16.0.0/12");
  assert.equal(
    cluster.release("a"),
    'not_found: subnet not found: node "a" has none',
  );
});

Deno.test("planReserve() refuses what is owned, and what is not a subnet", () => {
  const cluster = new Cluster("172.16.0.0/12");
  cluster.claim("a");
  assert.match(
    cluster.reserve("172.16.0.0/22"),
    /^failed_precondition: .*node "a" owns it/,
  );
  for (const cidr of ["172.16.0.0/24", "10.0.0.0/22", "172.16.0.0/12"]) {
    assert.match(
      cluster.reserve(cidr),
      /^invalid_argument: .*is not a subnet of 172/,
    );
    assert.match(cluster.unreserve(cidr), /^invalid_argument/);
  }
});

Deno.test("listSubnets() lists owned, reserved, released and conflicting subnets with their reasons", () => {
  const cluster = new Cluster("172.16.0.0/12");
  cluster.claim("a");
  cluster.claim("b");
  cluster.release("b");
  cluster.reserve("172.16.12.0/22", "c", "the rack");
  cluster.report("host", DOCKER);
  assert.deepEqual(cluster.list(), [
    "172.16.0.0/22 owned a",
    "172.16.4.0/22 released b",
    "172.16.12.0/22 reserved c the rack",
    '172.17.0.0/16 conflicting host overlaps 172.17.0.0/16 on docker0 of node "host": 64 subnets are not handed out',
  ]);
});

Deno.test("planAddRoute() takes the same route again, and no other target", () => {
  const cluster = new Cluster("172.16.0.0/12");
  assert.equal(cluster.addRoute("192.0.2.0/24", "198.18.0.2"), "ok");
  assert.equal(cluster.addRoute("192.0.2.0/24", "198.18.0.2"), "ok");
  assert.match(
    cluster.addRoute("192.0.2.0/24", "198.18.0.3"),
    /^already_exists: route exists in configuration.*"198\.18\.0\.2"/,
  );
  assert.equal(cluster.addRoute("2001:db8::/32", "fe80::1"), "ok");
  assert.match(
    cluster.addRoute("2001:db8::/32", "198.18.0.2"),
    /^invalid_argument: .*not an IPv6 address/,
  );
  for (
    const [cidr, target] of [
      ["192.0.3.0/24", "127.0.0.1"],
      ["192.0.3.0/24", "0.0.0.0"],
      ["224.0.0.0/8", "198.18.0.2"],
    ] as const
  ) {
    assert.match(
      cluster.addRoute(cidr, target),
      /^invalid_argument: .*cannot be routed/,
    );
  }
});

Deno.test("planDeleteRoute() deletes by destination, and by target where one is given", () => {
  const cluster = new Cluster("172.16.0.0/12");
  cluster.addRoute("192.0.2.0/24", "198.18.0.2");
  assert.match(
    cluster.deleteRoute("192.0.2.0/24", "198.18.0.3"),
    /^failed_precondition: .*its target is "198\.18\.0\.2"/,
  );
  assert.equal(cluster.deleteRoute("192.0.2.0/24", "198.18.0.2"), "ok");
  assert.equal(cluster.deleteRoute("192.0.2.0/24"), "ok");
  assert.equal(cluster.state.routes.size, 0);
});

Deno.test("planCreate() keeps the networks of a cluster that exists", () => {
  const config = (cidr: string) => ({
    clusterId: cidr,
    networks: [createCarve(parsePrefix(cidr))],
    createdAtMs: 0,
  });
  const state = new ClusterState();
  const created = planCreate(state, config("10.0.0.0/8"));
  assert.equal(created.kind, "planned");
  state.apply({ kind: "config", config: config("10.0.0.0/8") });
  const again = planCreate(state, { ...config("10.0.0.0/8"), clusterId: "x" });
  assert.deepEqual(again, {
    kind: "planned",
    answer: config("10.0.0.0/8"),
    changes: [],
  });
  const other = planCreate(state, config("172.16.0.0/12"));
  assert.ok(other.kind === "refused");
  assert.equal(other.code, "failed_precondition");
  assert.match(other.message, /172\.16\.0\.0\/12 .*10\.0\.0\.0\/8 /);
});

Deno.test("planClaim() is not kept from a subnet by a prefix over the whole network", () => {
  const cluster = new Cluster("172.16.0.0/12");
  const prefixes = ["0.0.0.0/0 eth0", "172.16.0.0/12 eth1", "0.0.0.0/1 eth2"];
  assert.equal(cluster.join("a", { prefixes }), "172.16.0.0/22");
  assert.equal(cluster.join("b"), "172.16.4.0/22");
  const [blocker] = cluster.state.blockers();
  assert.equal(blocker!.node, "a");
  assert.equal(blocker!.blocked, 0n);
  assert.deepEqual(blocker!.ignored.map(({ device }) => device), [
    "eth0",
    "eth1",
  ]);
});

Deno.test("planClaim() lets one node block half of a network, and names nodes that block more than a tenth", () => {
  const cluster = new Cluster("172.16.0.0/12");
  const prefixes = ["172.16.0.0/13 eth0", "172.24.0.0/13 eth1"];
  // An address of Docker's bridge, the route that it makes, and one within it.
  const docker = ["172.31.0.0/16", "172.31.0.0/16", "172.31.8.0/24"];
  cluster.join("a", { prefixes: docker.map((text) => `${text} docker0`) });
  assert.deepEqual([...cluster.state.blockers()], []);
  assert.equal(cluster.claim("over the api"), "172.16.4.0/22");
  cluster.join("c");
  cluster.join("c", { prefixes });
  assert.equal(cluster.join("d"), "172.24.0.0/22");
  assert.deepEqual(
    [...cluster.state.blockers()].map(({ node, blocked, total, ignored }) =>
      `${node} ${blocked} ${total} ${ignored.map(({ device }) => device)}`
    ),
    ["c 512 1024 eth1"],
  );
});

Deno.test("planClaim() takes a subnet that only a report reserves when no other is left", () => {
  const cluster = new Cluster(["10.0.0.0/24", 26]);
  cluster.join("a");
  for (const subnet of ["10.0.0.64/26", "10.0.0.128/26"]) {
    cluster.state.apply({
      kind: "subnet",
      subnet: parsePrefix(subnet),
      record: {
        ...{ state: "reserved", node: "gone", reason: "", sinceMs: 1 },
        reportedBy: "a",
      },
    });
  }
  assert.equal(cluster.join("b"), "10.0.0.192/26");
  assert.equal(cluster.join("c"), "10.0.0.64/26");
  assert.equal(cluster.join("gone"), "10.0.0.128/26");
  assert.match(cluster.join("d"), /^exhausted/);
});
