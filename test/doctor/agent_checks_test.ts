import assert from "node:assert/strict";
import { type ClusterNode, ClusterView } from "../../src/registry/feed.ts";
import {
  checkCapacity,
  checkClock,
  checkConflicts,
  checkIdentities,
  checkLeaks,
  checkQueue,
  checkRegistry,
  checkSocket,
  checkStore,
  type RegistryLinkFacts,
  withUnit,
} from "../../src/doctor/agent_checks.ts";
import { type Check, formatCheck } from "../../src/host/checks/check.ts";
import { parsePrefix } from "../../src/net/prefix.ts";
import { NOW_MS } from "./path_world.ts";

const REGISTRY_URL = "http://198.18.0.11:9000";
const PATH = "/run/stellar-net/agent.sock";
const SUBNET = parsePrefix("172.16.0.0/22");

function link(changes: Partial<RegistryLinkFacts>): RegistryLinkFacts {
  return {
    state: "joined",
    sinceMs: undefined,
    problem: "",
    url: "",
    urls: [REGISTRY_URL],
    ...changes,
  };
}

/** A case, what it gives, and what its line is. */
type Row = readonly [name: string, check: Check, line: RegExp];

const ROWS: readonly Row[] = [
  [
    "a registry of one's own",
    checkRegistry(link({ state: "hosted" }), true),
    /^ok registry: this agent hosts it$/,
  ],
  [
    "a registry that answers",
    checkRegistry(link({ url: REGISTRY_URL, sinceMs: NOW_MS }), true),
    /^ok registry: joined through http:\/\/198.18.0.11:9000 since 2023-11-14 22:13:20Z$/,
  ],
  [
    "a registry out of reach",
    checkRegistry(
      link({
        state: "unreachable",
        url: REGISTRY_URL,
        sinceMs: NOW_MS,
        problem: "nothing listens there",
      }),
      true,
    ),
    /^warning registry: the registry has been unreachable since 2023-11-14 22:13:20Z: nothing listens there; this node keeps .*: check that the agent at http:\/\/198.18.0.11:9000 runs/,
  ],
  [
    "a registry that was never reached",
    checkRegistry(link({ state: "unreachable" }), false),
    /^failed registry: the registry has been unreachable; .* no addresses; to \w+ it: check that an agent of --join runs/,
  ],
  [
    "a registry in an etcd that does not answer",
    checkRegistry(link({ state: "unreachable", urls: [] }), false),
    /^failed registry: .* unreachable; .* no addresses; to \w+ it: check etcd's members: etcdctl/,
  ],
  [
    "a registry that refuses the certificate",
    checkRegistry(
      link({ state: "unreachable", problem: "its certificate is revoked" }),
      true,
    ),
    /^warning registry: .*: its certificate is revoked; .*: make a token for that node /,
  ],
  [
    "a node that is fenced",
    checkRegistry(
      link({ state: "fenced", problem: "it went to another" }),
      true,
    ),
    /^failed registry: the registry has fenced this node: it went to another; .*: stop its containers, run "stellar-net node leave --force", which forgets /,
  ],
  [
    "a node that is refused before it had a subnet",
    checkRegistry(
      link({ state: "fenced", problem: "the name is taken" }),
      false,
    ),
    /^failed registry: the registry has refused this node: the name is taken; .*: start this agent with another --node\. /,
  ],
  [
    "a node that has left",
    checkRegistry(link({ state: "left" }), false),
    /^warning registry: this node has left the cluster; .*: start the agent again$/,
  ],
  [
    "clocks that agree",
    checkClock("the registry's clock", 2_000),
    /^ok clock: the registry's clock is 2.0 s behind this host's$/,
  ],
  [
    "clocks that do not",
    checkClock("the registry's clock", -2_001),
    /^warning clock: the registry's clock is 2.0 s ahead of this host's; .*: set the clocks with chrony or systemd-timesyncd$/,
  ],
  [
    "a store",
    checkStore({ url: "kv:/var/lib/stellar-net/state.db", problem: "" }),
    /^ok store: kv:\/var\/lib\/stellar-net\/state.db takes writes$/,
  ],
  [
    "a store that takes no writes",
    checkStore({ url: "kv:", problem: "the disk is full" }),
    /^failed store: kv:: the disk is full; no address can be given out or taken back; /,
  ],
  [
    "a socket",
    checkSocket({ path: PATH, stat: { isSocket: true, mode: 0o140600 } }),
    /^ok socket: \/run\/stellar-net\/agent.sock has mode 0600$/,
  ],
  [
    "a socket for all",
    checkSocket({ path: PATH, stat: { isSocket: true, mode: 0o660 } }),
    /^warning socket: .* has mode 0660; other users .*: chmod 0600 \/run\/stellar-net\/agent.sock$/,
  ],
  [
    "a socket for a group",
    checkSocket({
      ...{ path: PATH, hasGroup: true },
      stat: { isSocket: true, mode: 0o140660 },
    }),
    /^ok socket: \/run\/stellar-net\/agent.sock has mode 0660$/,
  ],
  [
    "a socket for more than its group",
    checkSocket({
      ...{ path: PATH, hasGroup: true },
      stat: { isSocket: true, mode: 0o662 },
    }),
    /^warning socket: .* has mode 0662; other users .*: chmod 0660 \/run\/stellar-net\/agent.sock$/,
  ],
  [
    "no socket",
    checkSocket({ path: PATH, stat: undefined }),
    /^failed socket: there is nothing at \/run.*; neither CNI plugin .*: start the agent again$/,
  ],
  [
    "what is not a socket",
    checkSocket({ path: PATH, stat: { isSocket: false, mode: 0o600 } }),
    /^failed socket: what is at \/run.* is not a socket; /,
  ],
  ["an empty queue", checkQueue(0), /^ok queue: no release waits$/],
  ["one release", checkQueue(1), /^warning queue: 1 release waits; /],
  ["two releases", checkQueue(2), /^warning queue: 2 releases wait; /],
  ["no leak", checkLeaks(0), /^ok leaks: no address is held for a container/],
  [
    "a leak",
    checkLeaks(1),
    /^warning leaks: 1 container that holds addresses seems to be gone; .*: see stellar-net ip list --leaked$/,
  ],
  [
    "leaks",
    checkLeaks(2),
    /^warning leaks: 2 containers that hold addresses seem to be gone; /,
  ],
];

Deno.test("checks of the agent give the finding, its meaning and its fix", async (t) => {
  for (const [name, check, line] of ROWS) {
    await t.step(name, () => {
      assert.match(`${check.status} ${formatCheck(check)}`, line);
    });
  }
});

Deno.test("checkConflicts() names each subnet that others use too", () => {
  const subnets = [SUBNET, parsePrefix("fd00:16::/64")];
  const reason = 'overlaps 172.16.1.0/24 on docker0 of node "c"';
  assert.deepEqual(checkConflicts(subnets, [], link({})).map(formatCheck), [
    "subnet: 172.16.0.0/22 is this node's alone",
    "subnet: fd00:16::/64 is this node's alone",
  ]);
  const checks = checkConflicts(
    subnets,
    [{ subnet: SUBNET, reason }],
    link({}),
  );
  assert.deepEqual(checks.map(({ status }) => status), ["failed"]);
  assert.match(
    formatCheck(checks[0]!),
    /^subnet: 172.16.0.0\/22 overlaps 172.16.1.0\/24 on docker0 of node "c"; what is sent .*stellar-net node leave/,
  );
  for (const unsure of [link({ state: "fenced" }), link({ isCopy: true })]) {
    assert.deepEqual(checkConflicts(subnets, [], unsure), []);
  }
});

Deno.test("checkCapacity() warns of a subnet that is nearly full", async (t) => {
  const rows: readonly [held: bigint, reserved: bigint, status: string][] = [
    [0n, 0n, "ok"],
    [918n, 0n, "ok"],
    [919n, 0n, "warning"],
    [1020n, 0n, "warning"],
    [1021n, 0n, "failed"],
    [918n, 1n, "warning"],
    [1000n, 21n, "failed"],
  ];
  for (const [held, reserved, status] of rows) {
    await t.step(`${held} held, ${reserved} reserved`, () => {
      const capacity = 1021n;
      const [check] = checkCapacity([
        { subnet: SUBNET, held, reserved, capacity },
      ]);
      assert.equal(check?.status, status);
      assert.equal(
        check.found,
        `${held} of ${capacity} in 172.16.0.0/22 are held${
          reserved === 0n ? "" : `, and ${reserved} more reserved`
        }`,
      );
    });
  }
});

Deno.test("checkIdentities() names a copied state on every host", () => {
  const node = (name: string, problem?: string): ClusterNode => ({
    ...{ name, subnets: [], advertised: [], apiUrl: "", state: "ready" },
    ...{ joinedAtMs: 0, seenAtMs: 0 },
    ...problem !== undefined && { problem },
  });
  const view = new ClusterView();
  const check = () =>
    checkIdentities([...view.nodes.values()]).map(({ name, status, found }) =>
      `${status} ${name}: ${found}`
    );
  assert.deepEqual(check(), []);
  view.apply({
    ...{ revision: 1, isSnapshot: true, routes: [] },
    ...{ removedNodes: [], removedRoutes: [] },
    nodes: [node("a"), node("b", "two processes run with its state")],
  });
  assert.deepEqual(check(), [
    'failed identity: node "b": two processes run with its state',
  ]);
});

Deno.test("checkIdentities() advises to delete the state of a copy, and of no fenced node", async (t) => {
  const rows: readonly (readonly [problem: string, fix: RegExp])[] = [
    ["two processes run with its state", /^find the other host, .*delete its/],
    [
      "the registry has fenced it since …: its subnet went to c",
      /^on the host of "b", stop its containers, run "stellar-net node leave/,
    ],
    [
      "the registry has refused it since …: the name is taken",
      /^do on that host what the refusal says/,
    ],
  ];
  for (const [problem, fix] of rows) {
    await t.step(problem, () => {
      const view = new ClusterView();
      view.apply({
        ...{ revision: 1, isSnapshot: true, routes: [] },
        ...{ removedNodes: [], removedRoutes: [] },
        nodes: [{
          ...{ name: "b", subnets: [], advertised: [], apiUrl: "", problem },
          ...{ state: "unreachable", joinedAtMs: 0, seenAtMs: 0 },
        }],
      });
      const [check] = checkIdentities([...view.nodes.values()]);
      assert.match(String(check?.fix), fix);
    });
  }
});

Deno.test("withUnit() gives the command that lets a fenced node leave, and what it destroys", () => {
  const fenced = checkRegistry({
    ...{ state: "fenced", sinceMs: 0, problem: "gone", url: "", urls: [] },
  }, true);
  assert.equal(withUnit(fenced, undefined), fenced);
  assert.deepEqual(withUnit(fenced, "stellar-net.service").fix, {
    command:
      "stellar-net node leave --force && systemctl restart stellar-net.service",
    harm: "it forgets the addresses of this host's containers: stop them first",
  });
});

Deno.test("withUnit() gives the command that starts the agent again, where it has a unit", () => {
  const unit = "stellar-net.service";
  const waiting = checkQueue(1);
  assert.equal(withUnit(waiting, undefined), waiting);
  assert.deepEqual(withUnit(waiting, unit).fix, {
    command: `systemctl restart ${unit}`,
  });
  const passed = checkQueue(0);
  assert.equal(withUnit(passed, unit), passed);
});
