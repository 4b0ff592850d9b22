import assert from "node:assert/strict";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { GetStatusResponseSchema } from "../../../src/gen/stellar/net/v1/agent_pb.ts";
import {
  RegistryLinkState,
  RouteMode,
  Security,
} from "../../../src/gen/stellar/net/v1/agent_pb.ts";
import { Severity } from "../../../src/gen/stellar/net/v1/cluster_pb.ts";
import { NOW_MS, runFake } from "../fake_io.ts";

type Status = MessageInitShape<typeof GetStatusResponseSchema>;

const STATUS: Status = {
  node: "node0",
  instanceId: "2b1d",
  version: "1.2.3",
  startedAt: timestampFromMs(NOW_MS - 11_520_000),
  clusterId: "9f0c",
  networks: [
    { cidr: "172.16.0.0/12", subnetPrefixLength: 22 },
    { cidr: "fd00:1::/48", subnetPrefixLength: 64 },
  ],
  subnets: [
    {
      cidr: "172.16.0.0/22",
      gateway: "172.16.0.1",
      capacity: "1021",
      held: 12n,
      cooling: 1n,
    },
    {
      cidr: "fd00:1::/64",
      gateway: "fd00:1::1",
      capacity: "18446744073709551614",
      held: 12n,
    },
  ],
  nodes: 3,
  routes: 2,
  queued: 3,
  leaked: 1,
  store: "kv:/var/lib/stellar-net/state.db",
  listeners: ["/run/stellar-net/agent.sock", "127.0.0.1:9000"],
  warnings: ["docker0 overlaps 64 subnets", "the disk is nearly full"],
  notes: ["forward policy: met with 2 rules of the agent"],
  registry: {
    state: RegistryLinkState.JOINED,
    since: timestampFromMs(NOW_MS - 3_600_000),
    url: "http://198.18.0.1:9000",
    urls: ["http://198.18.0.1:9000", "http://198.18.0.2:9000"],
    revision: 42n,
  },
  peers: { ready: 6, unreachable: 1 },
  probes: { alive: 5, dead: 1, unmeasured: 1 },
  paths: [{
    peer: "node1",
    state: "alive",
    since: timestampFromMs(NOW_MS - 60_000),
    rttSeconds: 0.0004,
    mtuBytes: 1500,
  }],
  hostRoutes: {
    mode: RouteMode.APPLY,
    wanted: 8,
    installed: 7,
    conflicts: 1,
    repaired: 3n,
    error: "Cannot add 192.0.2.0/24: File exists",
  },
  advertised: ["198.18.0.3", "2001:db8::3"],
  security: Security.CLUSTER,
  certificateUntil: timestampFromMs(NOW_MS + 16 * 3_600_000),
  now: timestampFromMs(NOW_MS),
};

async function status(message: Status, ...flags: readonly string[]) {
  return await runFake(["status", ...flags], {
    agent: { getStatus: () => message },
  });
}

Deno.test("status shows everything on one screen", async () => {
  const run = await status(STATUS);
  assert.deepEqual([run.code, run.stderr], [0, ""]);
  assert.equal(
    run.stdout,
    `\
2 problems on node node0: 0 errors, 2 warnings
Warning: docker0 overlaps 64 subnets
Warning: the disk is nearly full

Node        node0
Instance    2b1d
Version     1.2.3
Uptime      3h 12m, since 2026-01-01 23:52:05Z
Cluster     9f0c
Store       kv:/var/lib/stellar-net/state.db
Listening   /run/stellar-net/agent.sock
            127.0.0.1:9000
Advertised  198.18.0.3 2001:db8::3
Security    the cluster's own certificates; this host's until 2026-01-02 19:04:05Z, in 16h 0m
Registry    joined http://198.18.0.1:9000 since 2026-01-02 02:04:05Z
Revision    42
Nodes       3 with a subnet
Peers       7: 6 ready, 1 unreachable
Paths       5 alive, 1 dead, 1 not measured yet; round trips of up to 0.4 ms
Routes      apply: 8 wanted, 7 installed, 1 in conflict, 0 unresolved; 3 repaired
            Cannot add 192.0.2.0/24: File exists
Extra       2 routes
Queue       3 releases wait
Leaks       1 suspected

NETWORK        SUBNET PREFIX
172.16.0.0/12  /22
fd00:1::/48    /64

SUBNET         GATEWAY     CAPACITY              HELD  COOLING  FREE                  USED
172.16.0.0/22  172.16.0.1  1021                  12    1        1008                  1%
fd00:1::/64    fd00:1::1   18446744073709551614  12    0        18446744073709551602  <1%

Note: forward policy: met with 2 rules of the agent
`,
  );
});

Deno.test("status starts with a verdict, and the problems with their fixes", async (t) => {
  const problems: NonNullable<Status["problems"]> = [
    {
      code: "fenced",
      severity: Severity.ERROR,
      text: "the registry has fenced this node",
    },
    {
      code: "bridge-down",
      severity: Severity.WARNING,
      text: "br0 is down",
      fix: "ip link set dev br0 up",
    },
  ];
  const rows: readonly [name: string, changes: object, lines: string][] = [
    ["nothing", { warnings: [] }, "OK: node node0 has no problem\n\nNode "],
    [
      "problems, among them the warnings",
      { problems },
      "2 problems on node node0: 1 error, 1 warning\n" +
      "Error: the registry has fenced this node\n" +
      "Warning: br0 is down\n" +
      "  Fix: ip link set dev br0 up\n\nNode ",
    ],
    [
      "one",
      { problems: problems.slice(0, 1) },
      "1 problem on node node0: 1 error, 0 warnings\nError: the registry has ",
    ],
  ];
  for (const [name, changes, lines] of rows) {
    await t.step(name, async () => {
      const { stdout } = await status({ ...STATUS, ...changes });
      assert.ok(stdout.startsWith(lines), stdout);
    });
  }
});

const URLS = ["http://198.18.0.1:9000", "http://198.18.0.2:9000"];
const SINCE = timestampFromMs(NOW_MS - 125_000);

Deno.test("status shows the link to the registry, and why there is no subnet", async (t) => {
  const claims = " yet: it claims one with its first allocation";
  const rows: readonly [
    registry: Status["registry"],
    line: string,
    noSubnet: string,
  ][] = [
    [
      { state: RegistryLinkState.HOSTED, since: SINCE },
      "hosted here",
      claims,
    ],
    [
      { state: RegistryLinkState.JOINED, since: SINCE, urls: [URLS[0]!] },
      "joined http://198.18.0.1:9000 since 2026-01-02 03:02:00Z",
      " yet: it gets one from the registry",
    ],
    [
      {
        state: RegistryLinkState.UNREACHABLE,
        since: SINCE,
        urls: URLS,
        problem: "nothing listens there",
      },
      "unreachable for 2m 5s (http://198.18.0.1:9000 http://198.18.0.2:9000): " +
      "nothing listens there; running on its last known state",
      " yet: it gets one from the registry",
    ],
    [
      { state: RegistryLinkState.UNREACHABLE, urls: [URLS[0]!] },
      "unreachable (http://198.18.0.1:9000); running on its last known state",
      " yet: it gets one from the registry",
    ],
    [
      {
        state: RegistryLinkState.FENCED,
        since: SINCE,
        problem: "172.16.4.0/22 belongs to node7",
      },
      "FENCED since 2026-01-02 03:02:00Z: 172.16.4.0/22 belongs to node7; " +
      "it allocates no address",
      ": the registry refuses it",
    ],
    [
      { state: RegistryLinkState.LEFT, since: SINCE },
      "left 2026-01-02 03:02:00Z",
      ": it has left the cluster",
    ],
    [{ state: 99 as RegistryLinkState }, "unknown", claims],
    [undefined, "-", claims],
  ];
  for (const [registry, line, noSubnet] of rows) {
    await t.step(line, async () => {
      const { stdout } = await status(
        registry
          ? { registry, now: timestampFromMs(NOW_MS) }
          : { node: "node0" },
      );
      assert.ok(stdout.includes(`\nRegistry    ${line}\n`), stdout);
      assert.ok(
        stdout.endsWith(`\nThis node has no subnet${noSubnet}\n`),
        stdout,
      );
    });
  }
});

Deno.test("status counts peers and routes", async (t) => {
  const rows: readonly [message: Status, line: string][] = [
    [{ peers: {} }, "Peers       none"],
    [
      { peers: { ready: 1, noAgent: 2 } },
      "Peers       3: 1 ready, 0 unreachable, 2 without an agent",
    ],
    [
      { hostRoutes: { mode: RouteMode.OFF, wanted: 8, unresolved: 8 } },
      "Routes      off: 8 wanted; the agent neither reads nor changes the kernel's",
    ],
    [
      { hostRoutes: { mode: RouteMode.PLAN, wanted: 2, unresolved: 2 } },
      "Routes      plan: 2 wanted, 0 installed, 0 in conflict, 2 unresolved; 0 repaired",
    ],
    [{}, "Advertised  nothing"],
    [{}, "Security    -"],
    [
      { security: Security.CLUSTER },
      "Security    the cluster's own certificates; this host has none",
    ],
    [
      { security: Security.GIVEN, certificateUntil: timestampFromMs(NOW_MS) },
      "Security    certificates of your own CA; this host's EXPIRED 2026-01-02 03:04:05Z, 0s ago",
    ],
    [
      { security: Security.NONE },
      "Security    NONE: hosts speak plain text, and do not authenticate each other (--insecure)",
    ],
  ];
  for (const [message, line] of rows) {
    await t.step(line, async () => {
      const { stdout } = await status(message);
      assert.ok(stdout.includes(`\n${line}\n`), stdout);
    });
  }
});

Deno.test("status measures times by the agent's clock", async () => {
  const { stdout } = await status({
    startedAt: timestampFromMs(0),
    now: timestampFromMs(61_000),
  });
  assert.match(stdout, /^Uptime +1m 1s, since 1970-01-01 00:00:00Z$/m);
});

Deno.test("status notes on stderr when the agent has another version", async () => {
  const run = await status({ ...STATUS, version: "1.2.2" });
  assert.equal(
    run.stderr,
    "The agent runs version 1.2.2, this program is 1.2.3\n",
  );
});

Deno.test("status --json has every field, and counts of any size", async () => {
  const run = await status(STATUS, "--json");
  assert.deepEqual(JSON.parse(run.stdout), {
    schemaVersion: 1,
    node: "node0",
    instanceId: "2b1d",
    version: "1.2.3",
    startedAt: "2026-01-01T23:52:05.000Z",
    clusterId: "9f0c",
    store: "kv:/var/lib/stellar-net/state.db",
    listeners: ["/run/stellar-net/agent.sock", "127.0.0.1:9000"],
    networks: [
      { cidr: "172.16.0.0/12", subnetPrefixLength: 22 },
      { cidr: "fd00:1::/48", subnetPrefixLength: 64 },
    ],
    subnets: [
      {
        cidr: "172.16.0.0/22",
        gateway: "172.16.0.1",
        capacity: "1021",
        held: 12,
        cooling: 1,
        free: "1008",
        growthPerDay: null,
        fullAt: null,
      },
      {
        cidr: "fd00:1::/64",
        gateway: "fd00:1::1",
        capacity: "18446744073709551614",
        held: 12,
        cooling: 0,
        free: "18446744073709551602",
        growthPerDay: null,
        fullAt: null,
      },
    ],
    nodes: 3,
    routes: 2,
    problems: [],
    queued: 3,
    leaked: 1,
    warnings: ["docker0 overlaps 64 subnets", "the disk is nearly full"],
    notes: ["forward policy: met with 2 rules of the agent"],
    security: "cluster",
    certificateUntil: "2026-01-02T19:04:05.000Z",
    registry: {
      state: "joined",
      since: "2026-01-02T02:04:05.000Z",
      problem: null,
      url: "http://198.18.0.1:9000",
      urls: ["http://198.18.0.1:9000", "http://198.18.0.2:9000"],
      revision: 42,
    },
    peers: { ready: 6, unreachable: 1, noAgent: 0 },
    probes: {
      ...{ alive: 5, lossy: 0, narrow: 0 },
      ...{ dead: 1, unanswered: 0, unmeasured: 1 },
    },
    paths: [{
      peer: "node1",
      state: "alive",
      since: "2026-01-02T03:03:05.000Z",
      rttSeconds: 0.0004,
      ...{ lossOut: 0, lossIn: 0, mtuBytes: 1500 },
    }],
    hostRoutes: {
      mode: "apply",
      wanted: 8,
      installed: 7,
      conflicts: 1,
      unresolved: 0,
      repaired: 3,
      error: "Cannot add 192.0.2.0/24: File exists",
    },
    advertised: ["198.18.0.3", "2001:db8::3"],
    now: "2026-01-02T03:04:05.000Z",
  });
});

Deno.test("status shows an agent with empty fields", async () => {
  const run = await status({});
  assert.equal(run.code, 0);
  assert.match(run.stdout, /^Uptime +-$/m);
  assert.match(run.stdout, /^Listening +nowhere$/m);
  assert.match(run.stdout, /^Paths +not probed$/m);
});

Deno.test("status tells when a subnet will be full, where that is known", async () => {
  const DAY_MS = 86_400_000;
  const subnet = (more: object) => ({
    cidr: "172.16.0.0/22",
    gateway: "172.16.0.1",
    capacity: "1021",
    ...more,
  });
  const status = async (more: object) => {
    const { stdout } = await runFake(["status"], {
      agent: {
        getStatus: () => ({
          ...{ node: "a", subnets: [subnet(more)] },
          now: timestampFromMs(NOW_MS),
        }),
      },
    });
    return stdout.match(/^SUBNET +GATEWAY.*\n.*$/m)![0];
  };
  assert.doesNotMatch(await status({}), /FULL/);
  const fullAt = timestampFromMs(NOW_MS + 4.5 * DAY_MS);
  assert.match(await status({ growthPerDay: 3, fullAt }), /FULL\n.* in 4 d$/);
});
