import assert from "node:assert/strict";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import {
  type ReserveSubnetRequest,
  SubnetState,
} from "../../../src/gen/stellar/net/v1/registry_pb.ts";
import { type Handlers, NOW_MS, runFake } from "../fake_io.ts";

const SUBNETS = [
  {
    cidr: "172.16.0.0/22",
    gateway: "172.16.0.1",
    state: SubnetState.OWNED,
    node: "node0",
    since: timestampFromMs(NOW_MS - 86_400_000),
  },
  {
    cidr: "172.16.8.0/22",
    gateway: "172.16.8.1",
    state: SubnetState.RESERVED,
    node: "node3",
    reason: "for the lab",
    since: timestampFromMs(NOW_MS - 1_000),
  },
  {
    cidr: "172.17.0.0/22",
    gateway: "172.17.0.1",
    state: SubnetState.CONFLICTING,
    reason: '"172.17.0.0/16" is on docker0 of node0',
  },
  {
    cidr: "172.18.0.0/22",
    gateway: "172.18.0.1",
    state: 99 as SubnetState,
  },
  {
    cidr: "172.19.0.0/22",
    gateway: "172.19.0.1",
    state: SubnetState.OWNED,
    node: "node1",
    reason: 'overlaps 172.19.0.0/16 on br0 of node "node1"',
    since: timestampFromMs(NOW_MS - 60_000),
  },
];

Deno.test("subnet list prints the state of each subnet", async (t) => {
  const registry: Handlers["registry"] = {
    listSubnets: () => ({ subnets: SUBNETS }),
  };
  await t.step("for people", async () => {
    const run = await runFake(["subnet", "list"], { registry });
    assert.deepEqual([run.code, run.stderr], [0, ""]);
    assert.equal(
      run.stdout,
      `\
SUBNET         STATE               NODE   GATEWAY     SINCE   REASON
172.16.0.0/22  owned               node0  172.16.0.1  1d ago  -
172.16.8.0/22  reserved            node3  172.16.8.1  1s ago  for the lab
172.17.0.0/22  conflicting         -      172.17.0.1  -       "172.17.0.0/16" is on docker0 of node0
172.18.0.0/22  unknown             -      172.18.0.1  -       -
172.19.0.0/22  owned, in conflict  node1  172.19.0.1  1m ago  overlaps 172.19.0.0/16 on br0 of node "node1"
`,
    );
  });
  await t.step("for programs", async () => {
    const run = await runFake(["subnet", "list", "--json"], { registry });
    const body = JSON.parse(run.stdout);
    assert.deepEqual(
      { ...body, subnets: body.subnets.toSpliced(3, 1) },
      {
        schemaVersion: 1,
        subnets: [
          {
            cidr: "172.16.0.0/22",
            state: "owned",
            node: "node0",
            gateway: "172.16.0.1",
            since: "2026-01-01T03:04:05.000Z",
            reason: null,
          },
          {
            cidr: "172.16.8.0/22",
            state: "reserved",
            node: "node3",
            gateway: "172.16.8.1",
            since: "2026-01-02T03:04:04.000Z",
            reason: "for the lab",
          },
          {
            cidr: "172.17.0.0/22",
            state: "conflicting",
            node: null,
            gateway: "172.17.0.1",
            since: null,
            reason: '"172.17.0.0/16" is on docker0 of node0',
          },
          {
            cidr: "172.19.0.0/22",
            state: "owned",
            node: "node1",
            gateway: "172.19.0.1",
            since: "2026-01-02T03:03:05.000Z",
            reason: 'overlaps 172.19.0.0/16 on br0 of node "node1"',
          },
        ],
      },
    );
  });
});

Deno.test("subnet list without subnets says so on stderr", async () => {
  const registry: Handlers["registry"] = { listSubnets: () => ({}) };
  const run = await runFake(["subnet", "list"], { registry });
  assert.equal(run.stdout, "SUBNET  STATE  NODE  GATEWAY  SINCE  REASON\n");
  assert.match(run.stderr, /^No subnet is in use: .+\n$/);
});

Deno.test("subnet reserve passes its flags on and prints the subnet", async (t) => {
  const rows: readonly [
    args: readonly string[],
    expected: Partial<ReserveSubnetRequest>,
  ][] = [
    [["FD00:1:0::/64"], { cidr: "fd00:1::/64", node: "", reason: "" }],
    [["172.16.8.0/22", "--node", "node3", "--reason", "for the lab"], {
      cidr: "172.16.8.0/22",
      node: "node3",
      reason: "for the lab",
    }],
  ];
  for (const [args, expected] of rows) {
    await t.step(args.join(" "), async () => {
      const asked: ReserveSubnetRequest[] = [];
      const registry: Handlers["registry"] = {
        reserveSubnet: (request) => {
          asked.push(request);
          return { subnet: SUBNETS[1]! };
        },
      };
      const run = await runFake(["subnet", "reserve", ...args], { registry });
      assert.deepEqual(asked, [{ ...asked[0], ...expected }]);
      assert.equal(
        run.stdout,
        `\
SUBNET         STATE     NODE   GATEWAY     SINCE   REASON
172.16.8.0/22  reserved  node3  172.16.8.1  1s ago  for the lab
`,
      );
    });
  }
});

Deno.test("subnet unreserve reports its result", async (t) => {
  const asked: string[] = [];
  const registry: Handlers["registry"] = {
    unreserveSubnet: ({ cidr }) => {
      asked.push(cidr);
      return {};
    },
  };
  const rows: readonly [flags: readonly string[], stdout: string][] = [
    [[], "Unreserved 172.16.8.0/22\n"],
    [
      ["--json"],
      '{\n  "schemaVersion": 1,\n  "cidr": "172.16.8.0/22"\n}\n',
    ],
  ];
  for (const [flags, stdout] of rows) {
    await t.step(flags.join(" ") || "for people", async () => {
      const args = ["subnet", "unreserve", "172.16.8.0/22", ...flags];
      const run = await runFake(args, { registry });
      assert.deepEqual([run.code, run.stdout, run.stderr], [0, stdout, ""]);
      assert.equal(asked.pop(), "172.16.8.0/22");
    });
  }
});
