import assert from "node:assert/strict";
import { fromJson } from "@bufbuild/protobuf";
import {
  allocateCall,
  checkReadyCall,
  getAllocationCall,
  parseAllocation,
  releaseCall,
  releaseOthersCall,
  undoCall,
} from "../../../src/cni/text/agent_messages.ts";
import { IpamService } from "../../../src/gen/stellar/net/v1/ipam_pb.ts";
import { assertRefuses } from "./refusals.ts";

const OWNER = { network: "net", containerId: "c1", interfaceName: "eth0" };
const ADDRESS = {
  address: "172.16.0.2",
  subnet: "172.16.0.0/22",
  gateway: "172.16.0.1",
};
const ALLOCATION = {
  addresses: [ADDRESS],
  allocatedAt: "2026-01-02T03:04:05.678Z",
};

Deno.test("the calls are messages of the service, to the last key", async (t) => {
  const calls = [
    allocateCall(OWNER, {
      addresses: ["172.16.0.9"],
      netns: "/run/netns/a",
      id: "one",
    }),
    releaseCall(OWNER, { reason: "CNI DEL", netns: "/run/netns/a" }),
    undoCall(OWNER, { reason: "CNI DEL", id: "one" }),
    getAllocationCall(OWNER),
    releaseOthersCall("net", [{ containerId: "c1", interfaceName: "eth0" }]),
    checkReadyCall(),
  ];
  for (const { method, message } of calls) {
    await t.step(method, () => {
      const known = IpamService.methods.find(({ name }) => name === method)!;
      const json = JSON.parse(JSON.stringify(message));
      // Keys that the message does not have are an error.
      assert.ok(fromJson(known.input, json));
    });
  }
});

Deno.test("parseAllocation() reads addresses with the length of their subnets", () => {
  const answer = { allocation: { ...ALLOCATION, node: "n" }, created: true };
  const addresses = parseAllocation(answer);
  assert.deepEqual(addresses.map(({ text, gateway }) => [text, gateway]), [
    ["172.16.0.2/22", "172.16.0.1"],
  ]);
});

Deno.test("parseAllocation() refuses an answer that is not understood", async (t) => {
  const change = (change: Record<string, unknown>) => ({
    ...ALLOCATION,
    addresses: [{ ...ADDRESS, ...change }],
  });
  const rows: readonly [name: string, allocation: unknown, text: string][] = [
    ["none", undefined, "it has no allocation"],
    ["a list", [], "it has no allocation"],
    ["no addresses", { ...ALLOCATION, addresses: [] }, "has no addresses"],
    ["a text", { ...ALLOCATION, addresses: "x" }, "has no addresses"],
    ["null for an address", { ...ALLOCATION, addresses: [null] }, "is missing"],
    ["no gateway", change({ gateway: undefined }), "its gateway is missing"],
    ["no such gateway", change({ gateway: "x" }), "its gateway is missing"],
    ["no such subnet", change({ subnet: "x" }), '"x" is not a subnet'],
    ["no such address", change({ address: "x" }), '"x" is not an address'],
    [
      "two families",
      change({ address: "fd00::2" }),
      '"fd00::2" is not an address',
    ],
  ];
  for (const [name, allocation, text] of rows) {
    await t.step(name, () => {
      assertRefuses(() => parseAllocation({ allocation }), "io_failure", text);
    });
  }
});
