import assert from "node:assert/strict";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import {
  type HistoryRecordSchema,
  type ListHistoryRequest,
  ListHistoryRequestSchema,
} from "../../../src/gen/stellar/net/v1/ipam_pb.ts";
import { type Handlers, NOW_MS, runFake } from "../fake_io.ts";

const OWNER = {
  network: "default",
  containerId: "web-1",
  interfaceName: "eth0",
};

const RECORDS: MessageInitShape<typeof HistoryRecordSchema>[] = [
  {
    node: "node0",
    address: "172.16.0.2",
    owner: OWNER,
    allocatedAt: timestampFromMs(NOW_MS - 180_000),
  },
  {
    node: "node0",
    address: "172.16.0.2",
    owner: { ...OWNER, containerId: "old" },
    allocatedAt: timestampFromMs(NOW_MS - 86_400_000),
    releasedAt: timestampFromMs(NOW_MS - 3_600_000),
    reason: "released by its owner",
  },
];

Deno.test("ip history prints the holders of addresses", async (t) => {
  const ipam: Handlers["ipam"] = { listHistory: () => ({ records: RECORDS }) };
  await t.step("for people", async () => {
    const run = await runFake(["ip", "history"], { ipam });
    assert.deepEqual([run.code, run.stderr], [0, ""]);
    assert.equal(
      run.stdout,
      `\
ADDRESS     CONTAINER  INTERFACE  NODE   FROM                  TO                    REASON
172.16.0.2  web-1      eth0       node0  2026-01-02 03:01:05Z  held                  -
172.16.0.2  old        eth0       node0  2026-01-01 03:04:05Z  2026-01-02 02:04:05Z  released by its owner
`,
    );
  });
  await t.step("for programs", async () => {
    const run = await runFake(["ip", "history", "--json"], { ipam });
    const body = JSON.parse(run.stdout);
    assert.deepEqual(body, {
      schemaVersion: 1,
      records: [
        {
          node: "node0",
          address: "172.16.0.2",
          owner: OWNER,
          allocatedAt: "2026-01-02T03:01:05.000Z",
          releasedAt: null,
          reason: null,
          allocationId: null,
        },
        {
          node: "node0",
          address: "172.16.0.2",
          owner: { ...OWNER, containerId: "old" },
          allocatedAt: "2026-01-01T03:04:05.000Z",
          releasedAt: "2026-01-02T02:04:05.000Z",
          reason: "released by its owner",
          allocationId: null,
        },
      ],
      truncated: false,
    });
  });
});

Deno.test("ip history passes its filters on", async (t) => {
  const rows: readonly [
    args: string,
    expected: MessageInitShape<typeof ListHistoryRequestSchema>,
  ][] = [
    ["", { pageSize: 50 }],
    ["--address FD00:1::0:2 --limit 1000", {
      address: "fd00:1::2",
      pageSize: 1_000,
    }],
    ["--address 172.16.4.9", {
      address: "172.16.4.9",
      node: "n2",
      pageSize: 50,
    }],
    ["--address 172.16.4.9 --node n1", {
      address: "172.16.4.9",
      node: "n1",
      pageSize: 50,
    }],
    ["--container c1 --node n1", {
      containerId: "c1",
      node: "n1",
      pageSize: 50,
    }],
    ["--since 24h", {
      since: timestampFromMs(NOW_MS - 86_400_000),
      pageSize: 50,
    }],
  ];
  for (const [args, expected] of rows) {
    await t.step(args || "no flags", async () => {
      const asked: ListHistoryRequest[] = [];
      const ipam: Handlers["ipam"] = {
        listHistory: (request) => {
          asked.push(request);
          return {};
        },
      };
      const registry: Handlers["registry"] = {
        listNodes: () => ({
          nodes: [
            { name: "n1", subnets: ["172.16.0.0/22"] },
            { name: "n2", subnets: ["fd00::/64", "172.16.4.0/22"] },
          ],
        }),
      };
      const words = args.split(" ").filter((word) => word !== "");
      const run = await runFake(["ip", "history", ...words], {
        ipam,
        registry,
      });
      assert.equal(run.stderr, "No record matches\n");
      assert.deepEqual(asked, [create(ListHistoryRequestSchema, expected)]);
    });
  }
});

Deno.test("ip history says when there is more", async () => {
  const ipam: Handlers["ipam"] = {
    listHistory: () => ({ records: RECORDS, truncated: true }),
  };
  const run = await runFake(["ip", "history", "--limit", "2"], { ipam });
  assert.equal(
    run.stderr,
    "Only the newest 2 are shown: --limit shows more\n",
  );
});
