import assert from "node:assert/strict";
import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import {
  EventSchema,
  type HostSummary,
  HostSummarySchema,
} from "../../../../src/gen/stellar/net/v1/cluster_pb.ts";
import {
  type Subnet,
  SubnetSchema,
  SubnetState,
} from "../../../../src/gen/stellar/net/v1/registry_pb.ts";
import { formatAddress } from "../../../../src/net/address.ts";
import { parsePrefix } from "../../../../src/net/prefix.ts";
import {
  rewindSlices,
  runsOfSlices,
  type Slice,
  sliceAround,
  slicesOf,
} from "../../../../src/ui/page/plan/slices.ts";

function listed(
  cidr: string,
  state: SubnetState,
  { node = "", sinceMs = 1_000 } = {},
): Subnet {
  const since = timestampFromMs(sinceMs);
  return create(SubnetSchema, { cidr, state, node, since });
}

function host(name: string, cidr: string, held = 0): HostSummary {
  return create(HostSummarySchema, {
    node: { name, subnets: [cidr] },
    report: { subnets: [{ cidr, capacity: 100, held: BigInt(held) }] },
  });
}

const shown = (slices: readonly Slice[]) =>
  slices.map(({ cidr, state, node }) => `${cidr} ${state} ${node}`.trim());

Deno.test("slicesOf() takes owners from the watch, and the rest from the list", () => {
  const slices = slicesOf(
    [
      listed("10.0.0.0/24", SubnetState.OWNED, { node: "a" }),
      // It has been returned since, and another claimed.
      listed("10.0.1.0/24", SubnetState.OWNED, { node: "b" }),
      listed("10.0.2.0/24", SubnetState.RELEASED, { node: "c" }),
      listed("10.0.3.0/24", SubnetState.RESERVED),
      listed("10.0.4.0/22", SubnetState.CONFLICTING, { node: "a" }),
      listed("10.0.9.0/24", SubnetState.UNSPECIFIED),
    ],
    [host("a", "10.0.0.0/24", 25), host("b", "10.0.2.0/24")],
  );
  assert.deepEqual(shown(slices), [
    ...["10.0.0.0/24 owned a", "10.0.2.0/24 owned b"],
    ...["10.0.3.0/24 reserved", "10.0.4.0/22 conflicting a"],
  ]);
  assert.deepEqual(slices.map(({ used }) => used), [
    ...[0.25, 0, undefined, undefined],
  ]);
  assert.equal(slices[0]!.sinceMs, 1_000);
});

Deno.test("rewindSlices() takes back what has happened since a moment", () => {
  const now = slicesOf([
    listed("10.0.0.0/24", SubnetState.OWNED, { node: "a", sinceMs: 10 }),
    listed("10.0.1.0/24", SubnetState.OWNED, { node: "b", sinceMs: 30 }),
    listed("10.0.2.0/24", SubnetState.RELEASED, { node: "c", sinceMs: 40 }),
    listed("10.0.3.0/24", SubnetState.RESERVED, { sinceMs: 35 }),
    listed("10.0.4.0/24", SubnetState.RESERVED, { sinceMs: 5 }),
  ], [host("a", "10.0.0.0/24"), host("b", "10.0.1.0/24")]);
  const event = (atMs: number, kind: string, subject: string, node: string) =>
    create(EventSchema, { at: timestampFromMs(atMs), kind, subject, node });
  const events = [
    event(10, "subnet claimed", "10.0.0.0/24", "a"),
    event(20, "subnet claimed", "10.0.1.0/24", "c"),
    event(25, "subnet returned", "10.0.1.0/24", "c"),
    event(30, "subnet grown", "10.0.1.0/24", "b"),
    event(40, "subnet returned", "10.0.2.0/24", "c"),
    event(41, "problem", "route-conflict", "c"),
  ];
  const at = (ms: number) => shown(rewindSlices(now, events, ms));
  assert.deepEqual(at(41), shown(now));
  assert.deepEqual(at(36), [
    ...["10.0.0.0/24 owned a", "10.0.1.0/24 owned b", "10.0.2.0/24 owned c"],
    ...["10.0.3.0/24 reserved", "10.0.4.0/24 reserved"],
  ]);
  assert.deepEqual(at(27), [
    ...["10.0.0.0/24 owned a", "10.0.2.0/24 owned c", "10.0.4.0/24 reserved"],
  ]);
  assert.deepEqual(at(22), [
    ...["10.0.0.0/24 owned a", "10.0.1.0/24 owned c"],
    ...["10.0.2.0/24 owned c", "10.0.4.0/24 reserved"],
  ]);
  assert.deepEqual(at(9), ["10.0.2.0/24 owned c", "10.0.4.0/24 reserved"]);
});

Deno.test("runsOfSlices() lets a wide conflict give way to the subnets in it", () => {
  const runs = runsOfSlices(slicesOf([
    listed("10.0.0.0/22", SubnetState.CONFLICTING),
    listed("10.0.1.0/24", SubnetState.RESERVED),
    listed("10.0.8.0/24", SubnetState.RELEASED),
  ], [host("a", "10.0.3.0/24"), host("b", "10.0.2.0/24")]));
  const text = (value: bigint) => formatAddress({ family: 4, value });
  assert.deepEqual(
    runs.map(({ first, last, state }) =>
      `${text(first)}-${text(last)} ${state}`
    ),
    [
      "10.0.0.0-10.0.0.255 conflicting",
      "10.0.1.0-10.0.1.255 reserved",
      "10.0.2.0-10.0.2.255 owned",
      "10.0.3.0-10.0.3.255 owned",
      "10.0.8.0-10.0.8.255 released",
    ],
  );
  const tail = runsOfSlices(slicesOf([
    listed("10.0.0.0/22", SubnetState.CONFLICTING),
  ], [host("a", "10.0.0.0/24")]));
  assert.deepEqual(tail.map(({ state }) => state), ["owned", "conflicting"]);
  assert.equal(text(tail[1]!.last), "10.0.3.255");
});

Deno.test("sliceAround() finds the narrowest subnet around a prefix", () => {
  const slices = slicesOf([
    listed("10.0.0.0/22", SubnetState.CONFLICTING),
  ], [host("a", "10.0.0.0/24")]);
  const at = (cidr: string) => sliceAround(slices, parsePrefix(cidr))?.state;
  assert.equal(at("10.0.0.9/32"), "owned");
  assert.equal(at("10.0.1.9/32"), "conflicting");
  assert.equal(at("10.0.4.0/24"), undefined);
});
