import assert from "node:assert/strict";
import { Cluster } from "./clusters.ts";

const NODE = { advertised: ["198.18.0.2"], apiUrl: "http://198.18.0.2:9000" };

Deno.test("planJoin() gives each host a subnet, and the same one again", () => {
  const cluster = new Cluster("172.16.0.0/12");
  assert.equal(cluster.join("a", NODE), "172.16.0.0/22");
  assert.equal(cluster.join("b"), "172.16.4.0/22");
  assert.equal(cluster.join("a", { held: ["172.16.0.0/22"] }), "172.16.0.0/22");
  assert.deepEqual(cluster.list(), [
    "172.16.0.0/22 owned a",
    "172.16.4.0/22 owned b",
  ]);
});

Deno.test("planJoin() refuses a second host of the same name, and says how to take over", () => {
  const cluster = new Cluster("172.16.0.0/12");
  cluster.join("a");
  assert.match(
    cluster.join("a", { instanceId: "another" }),
    /^already_exists: .*another host with that name.*"stellar-net node remove a"/,
  );
  cluster.remove("a", { force: true });
  assert.equal(cluster.join("a", { instanceId: "another" }), "172.16.0.0/22");
});

Deno.test("planJoin() takes over a name that was registered over the API", () => {
  const cluster = new Cluster("172.16.0.0/12");
  cluster.claim("other");
  cluster.claim("a");
  assert.equal(cluster.join("a"), "172.16.4.0/22");
});

Deno.test("planJoin() gives no subnet that the new host uses itself", () => {
  const cluster = new Cluster("172.16.0.0/12");
  const prefixes = ["172.16.0.0/16 docker0"];
  assert.equal(cluster.join("a", { prefixes }), "172.17.0.0/22");
  assert.equal(cluster.join("b"), "172.17.4.0/22");
});

Deno.test("planJoin() gives a host that was removed its subnet back while it is free", () => {
  const cluster = new Cluster("172.16.0.0/12");
  cluster.join("a");
  cluster.join("b");
  cluster.remove("a", { force: true });
  assert.equal(cluster.join("c"), "172.16.8.0/22");
  assert.equal(cluster.join("a", { held: ["172.16.0.0/22"] }), "172.16.0.0/22");
});

Deno.test("planJoin() fences a host whose subnet went to another", () => {
  const cluster = new Cluster(["10.0.0.0/24", 25]);
  cluster.join("a");
  cluster.join("b");
  cluster.remove("a", { force: true });
  assert.equal(cluster.join("c"), "10.0.0.0/25");
  assert.match(
    cluster.join("a", { held: ["10.0.0.0/25"] }),
    /^failed_precondition: .*10\.0\.0\.0\/25: it belongs to node "c" now; node "a" is fenced/,
  );
  assert.equal(cluster.state.nodes.has("a"), false);
});

Deno.test("planJoin() fences a host that comes from another cluster", () => {
  const cluster = new Cluster("172.16.0.0/12");
  assert.match(
    cluster.join("a", { held: ["10.0.0.0/24"] }),
    /^failed_precondition: .*10\.0\.0\.0\/24: it is not a subnet of this cluster/,
  );
  cluster.reserve("172.16.8.0/22", "b");
  assert.match(
    cluster.join("a", { held: ["172.16.8.0/22"] }),
    /^failed_precondition: .*it is reserved now/,
  );
});

/** What the registry knows of 172.16.4.0/22 before b joins and claims to hold it. */
const HELD: readonly [
  name: string,
  prepare: (cluster: Cluster) => void,
  outcome: RegExp,
  inGrace: RegExp,
][] = [
  [
    "nothing",
    () => {},
    /does not know that node "b" ever had it/,
    /^172\.16\.4/,
  ],
  [
    "b owns it",
    (c) => {
      c.join("a");
      c.join("b");
    },
    /^172\.16\.4/,
    /^172\.16\.4/,
  ],
  [
    "b released it",
    (c) => {
      c.join("a");
      c.join("b");
      c.remove("b");
    },
    /^172\.16\.4/,
    /^172\.16\.4/,
  ],
  [
    "b owns it, and it came into conflict later",
    (c) => {
      c.join("a");
      c.join("b");
      c.join("a", { prefixes: ["172.16.4.0/24 docker0"] });
    },
    /^172\.16\.4/,
    /^172\.16\.4/,
  ],
  [
    "b released it, and it is in conflict",
    (c) => {
      c.join("a");
      c.join("b");
      c.remove("b");
      c.join("a", { prefixes: ["172.16.4.0/24 docker0"] });
    },
    /overlaps 172\.16\.4\.0\/24 on docker0 of node "a"/,
    /overlaps/,
  ],
  [
    "it is in conflict",
    (c) => {
      c.join("a", { prefixes: ["172.16.4.0/24 docker0"] });
    },
    /overlaps 172\.16\.4\.0\/24 on docker0 of node "a"/,
    /overlaps/,
  ],
  [
    "another released it",
    (c) => {
      c.join("a");
      c.join("c");
      c.remove("c");
    },
    /node "c" had it last/,
    /^172\.16\.4/,
  ],
  [
    "another owns it",
    (c) => {
      c.join("a");
      c.join("c");
    },
    /it belongs to node "c" now/,
    /it belongs to node "c" now/,
  ],
  [
    "it is reserved for b",
    (c) => {
      c.reserve("172.16.4.0/22", "b");
    },
    /^172\.16\.4/,
    /^172\.16\.4/,
  ],
  [
    "it is reserved for another",
    (c) => {
      c.reserve("172.16.4.0/22", "c");
    },
    /it is reserved now/,
    /it is reserved now/,
  ],
  [
    "it is reserved for nobody",
    (c) => {
      c.reserve("172.16.4.0/22");
    },
    /it is reserved now/,
    /it is reserved now/,
  ],
];

for (const isInRestoreGrace of [false, true]) {
  const when = isInRestoreGrace ? " during the grace period" : "";
  Deno.test(`planJoin() counts a held subnet only as the record shows it${when}`, async (t) => {
    for (const [name, prepare, outcome, inGrace] of HELD) {
      await t.step(name, () => {
        const cluster = new Cluster("172.16.0.0/12");
        prepare(cluster);
        cluster.isInRestoreGrace = isInRestoreGrace;
        assert.match(
          cluster.join("b", { held: ["172.16.4.0/22"] }),
          isInRestoreGrace ? inGrace : outcome,
        );
      });
    }
  });
}

Deno.test("planRemoval() frees the subnet for the longest-released order", () => {
  const cluster = new Cluster(["10.0.0.0/24", 25]);
  cluster.join("a");
  cluster.join("b");
  assert.equal(cluster.remove("a", { force: true }), "10.0.0.0/25");
  assert.deepEqual(cluster.list(), [
    "10.0.0.0/25 released a",
    "10.0.0.128/25 owned b",
  ]);
  assert.equal(cluster.join("c"), "10.0.0.0/25");
});

Deno.test("planRemoval() refuses a host that is alive, unless it is forced or leaves by itself", () => {
  const cluster = new Cluster("172.16.0.0/12");
  cluster.join("a");
  cluster.join("b");
  assert.match(
    cluster.remove("a", { isAlive: true }),
    /^failed_precondition: .*it is alive; run "stellar-net node leave"/,
  );
  assert.match(
    cluster.remove("a", { instanceId: "another" }),
    /^already_exists: /,
  );
  assert.equal(
    cluster.remove("a", { isAlive: true, instanceId: "id of a" }),
    "172.16.0.0/22",
  );
  assert.equal(
    cluster.remove("b", { isAlive: true, force: true }),
    "172.16.4.0/22",
  );
  assert.equal(
    cluster.remove("b"),
    'not_found: Cannot remove node "b": it is not known',
  );
});
