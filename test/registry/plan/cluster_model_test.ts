import assert from "node:assert/strict";
import fc from "fast-check";
import type { ModelNetwork } from "./cluster_model.ts";
import { ClusterWalk, COVERS, HOSTS, NAMES, V4, V6 } from "./cluster_walk.ts";
import { Cluster } from "./clusters.ts";

const anyName = fc.constantFrom(...NAMES);
const anyHost = fc.nat(HOSTS.length - 1);
const anySlice = fc.constantFrom(...V4.slices);
/** Mostly none: a host that uses the whole network leaves nothing to give. */
const anyPrefixes = fc.oneof(
  { weight: 3, arbitrary: fc.constant([]) },
  {
    weight: 2,
    arbitrary: fc.subarray(Object.keys(COVERS).slice(0, 3), { maxLength: 2 }),
  },
  { weight: 1, arbitrary: fc.subarray(Object.keys(COVERS), { maxLength: 2 }) },
);

/** A step of a walk. */
type Step = (walk: ClusterWalk) => void;

const anyStep: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.tuple(anyHost, anyPrefixes).map(([host, prefixes]) =>
      named(`join ${host} ${prefixes}`, (walk) => walk.join(host, prefixes))
    ),
  },
  {
    weight: 2,
    arbitrary: anyName.map((node) =>
      named(`claim ${node}`, (walk) => walk.claim(node))
    ),
  },
  {
    weight: 2,
    arbitrary: anyHost.map((host) =>
      named(`leave ${host}`, (walk) => walk.leave(host))
    ),
  },
  {
    weight: 2,
    arbitrary: fc.tuple(anyName, fc.boolean(), fc.boolean())
      .map(([node, isAlive, force]) =>
        named(
          `remove ${node} ${isAlive} ${force}`,
          (walk) => walk.remove(node, isAlive, force),
        )
      ),
  },
  {
    weight: 2,
    arbitrary: fc.tuple(anyHost, fc.nat(5)).map(([host, copy]) =>
      named(`restore ${host} ${copy}`, (walk) => walk.restore(host, copy))
    ),
  },
  // Of a node with an agent the registry refuses it before it comes to a plan.
  anyName.map((node) =>
    named(`release ${node}`, (walk) => {
      if (walk.isWithoutAgent(node)) walk.release(node);
    })
  ),
  {
    weight: 2,
    arbitrary: fc.tuple(anySlice, fc.constantFrom("", ...NAMES))
      .map(([slice, node]) =>
        named(`reserve ${slice} ${node}`, (walk) => walk.reserve(slice, node))
      ),
  },
  anySlice.map((slice) =>
    named(`unreserve ${slice}`, (walk) => walk.unreserve(slice))
  ),
  anyPrefixes.map((prefixes) =>
    named(`report ${prefixes}`, (walk) => walk.report(prefixes))
  ),
);

/** A step that a failure names. */
function named(name: string, step: Step): Step {
  return Object.assign(step, { [fc.toStringMethod]: () => name });
}

const WALKS: readonly [what: string, networks: readonly ModelNetwork[]][] = [
  ["a network of eight subnets", [V4]],
  ["two networks, of which one has four subnets", [V4, V6]],
];

for (const [what, networks] of WALKS) {
  Deno.test(`the cluster's plans keep the rules on random walks over ${what}`, () => {
    fc.assert(
      fc.property(
        fc.array(anyStep, { minLength: 20, maxLength: 80, size: "max" }),
        (steps) => {
          const walk = new ClusterWalk(networks);
          for (const step of steps) {
            step(walk);
            walk.check();
          }
        },
      ),
      { numRuns: 500 },
    );
  });
}

Deno.test("planJoin() gives 1,024 hosts a subnet each, and refuses the next with Stellar's message", () => {
  const cluster = new Cluster("172.16.0.0/12");
  const given = new Set(
    Array.from({ length: 1024 }, (_, i) => cluster.join(`host${i}`)),
  );
  assert.equal(given.size, 1024);
  const late = cluster.join("late");
  assert.match(
    late,
    /^exhausted: no available subnets in network configuration: /,
  );
  cluster.remove("host9", { force: true });
  assert.equal(cluster.join("late"), "172.16.36.0/22");
});

Deno.test("planJoin() refuses what no host can hold: two subnets of one network", () => {
  const cluster = new Cluster("172.16.0.0/12");
  cluster.isInRestoreGrace = true;
  assert.match(
    cluster.join("a", { held: ["172.16.0.0/22", "172.16.4.0/22"] }),
    /^failed_precondition: .*172\.16\.4\.0\/22.*172\.16\.0\.0\/12/,
  );
  assert.deepEqual(cluster.list(), []);
});

Deno.test("planJoin() refuses a host of another cluster, and does not fence it", () => {
  const cluster = new Cluster("172.16.0.0/12");
  assert.match(
    cluster.join("a", { clusterId: "another" }),
    /^unavailable: .*belongs to cluster another$/,
  );
  assert.equal(cluster.join("a", { clusterId: "test" }), "172.16.0.0/22");
});
