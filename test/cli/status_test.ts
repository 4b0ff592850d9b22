import assert from "node:assert/strict";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { GetStatusResponseSchema } from "../../src/gen/stellar/net/v1/agent_pb.ts";
import { NOW_MS, runFake } from "./fake_io.ts";

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
Node       node0
Instance   2b1d
Version    1.2.3
Uptime     3h 12m, since 2026-01-01 23:52:05Z
Cluster    9f0c
Store      kv:/var/lib/stellar-net/state.db
Listening  /run/stellar-net/agent.sock
           127.0.0.1:9000
Nodes      3 with a subnet
Routes     2 extra
Queue      3 releases wait
Leaks      1 suspected

NETWORK        SUBNET PREFIX
172.16.0.0/12  /22
fd00:1::/48    /64

SUBNET         GATEWAY     CAPACITY              HELD  COOLING  FREE                  USED
172.16.0.0/22  172.16.0.1  1021                  12    1        1008                  1%
fd00:1::/64    fd00:1::1   18446744073709551614  12    0        18446744073709551602  <1%

Warning: docker0 overlaps 64 subnets
Warning: the disk is nearly full
`,
  );
});

Deno.test("status says when the node has no subnet yet", async () => {
  const run = await status({ ...STATUS, subnets: [], warnings: [] });
  assert.ok(
    run.stdout.endsWith(
      "\n\nThis node has no subnet yet: it claims one with its first allocation\n",
    ),
  );
});

Deno.test("status of an agent of another version says so on stderr", async () => {
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
      },
      {
        cidr: "fd00:1::/64",
        gateway: "fd00:1::1",
        capacity: "18446744073709551614",
        held: 12,
        cooling: 0,
        free: "18446744073709551602",
      },
    ],
    nodes: 3,
    routes: 2,
    queued: 3,
    leaked: 1,
    warnings: ["docker0 overlaps 64 subnets", "the disk is nearly full"],
  });
});

Deno.test("status shows the status of an agent that knows nothing", async () => {
  const run = await status({});
  assert.equal(run.code, 0);
  assert.match(run.stdout, /^Uptime +-$/m);
  assert.match(run.stdout, /^Listening +nowhere$/m);
});
