import assert from "node:assert/strict";
import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import {
  AllocationSchema,
  HistoryRecordSchema,
} from "../../../../src/gen/stellar/net/v1/ipam_pb.ts";
import {
  lastReleased,
  listContainers,
  sortByAddress,
} from "../../../../src/ui/page/plan/containers.ts";

function allocation(
  containerId: string,
  addresses: readonly string[],
  more: { readonly leak?: string; readonly labels?: Record<string, string> } =
    {},
) {
  return create(AllocationSchema, {
    owner: { containerId, network: "n", interfaceName: "eth0" },
    addresses: addresses.map((address) => ({ address })),
    allocatedAt: timestampFromMs(5_000),
    ...more,
  });
}

const ALL = [
  allocation("c10", ["172.16.0.10", "fd00::a"]),
  allocation("c9", ["172.16.0.9"], { labels: { app: "Web", tier: "1" } }),
  allocation("c11", ["172.16.0.11"], { leak: "its namespace is gone" }),
];

Deno.test("listContainers() lists leaks first, then in order of address", () => {
  assert.deepEqual(
    listContainers(ALL, "").map(({ container }) => container),
    ["c11", "c9", "c10"],
  );
  assert.deepEqual(listContainers(ALL, "")[1], {
    key: "n\nc9\neth0",
    addresses: ["172.16.0.9"],
    ...{ container: "c9", network: "n", interfaceName: "eth0" },
    ...{ sinceMs: 5_000, leak: "", labels: "app=Web, tier=1" },
  });
});

Deno.test("listContainers() looks for a part of an id, an address or a label", async (t) => {
  const rows: readonly [text: string, containers: string][] = [
    ["c1", "c11 c10"],
    ["FD00::", "c10"],
    ["app=web", "c9"],
    ["172.16.0.1", "c11 c10"],
    [" c9 ", "c9"],
    ["eth0", ""],
  ];
  for (const [text, containers] of rows) {
    await t.step(text, () => {
      const found = listContainers(ALL, text);
      assert.equal(
        found.map(({ container }) => container).join(" "),
        containers,
      );
    });
  }
});

Deno.test("sortByAddress() compares numbers, not texts", () => {
  const sorted = ["172.16.0.10", "172.16.0.9", "fd00::1", "172.16.0.9"]
    .map((address) => ({ address }));
  assert.deepEqual(
    sortByAddress(sorted).map(({ address }) => address),
    ["172.16.0.9", "172.16.0.9", "172.16.0.10", "fd00::1"],
  );
});

Deno.test("lastReleased() leaves out present holders, and gives the latest first", () => {
  const records = [undefined, 1, 3, 2].map((second, i) =>
    create(HistoryRecordSchema, {
      address: `172.16.0.${i}`,
      ...second !== undefined &&
        { releasedAt: timestampFromMs(1_000 * second) },
    })
  );
  const addresses = (most: number) =>
    lastReleased(records, most).map(({ address }) => address);
  assert.deepEqual(addresses(9), ["172.16.0.2", "172.16.0.3", "172.16.0.1"]);
  assert.deepEqual(addresses(1), ["172.16.0.2"]);
});
