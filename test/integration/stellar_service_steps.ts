import assert from "node:assert/strict";
import type { JsonObject } from "@bufbuild/protobuf";
import type { Outcome } from "../support/stellar_clients.ts";

/** The answer to a step, or the code of its error and what its message says. */
export type Expected =
  | JsonObject
  | { readonly code: string; readonly says: RegExp };
/** One step: a name, a call, its request, and its answer or error. */
export type Step = readonly [
  name: string,
  call: string,
  request: JsonObject,
  expected: Expected,
];

const ON_A = { node: "a" };
const NONE = {};

// The steps build on each other.
export const STEPS: readonly Step[] = [
  ["Info", "Info", NONE, { id: "stellar.services.network.v1" }],

  ["the first node that asks", "AllocateSubnet", { node: "node0" }, {
    subnetCidr: "172.16.0.0/22",
    node: "node0",
  }],
  ["the second", "AllocateSubnet", { node: "a" }, {
    subnetCidr: "172.16.4.0/22",
    node: "a",
  }],
  ["a name with a dot", "AllocateSubnet", { node: "a.b" }, {
    subnetCidr: "172.16.8.0/22",
    node: "a.b",
  }],
  ["a node that has one", "AllocateSubnet", { node: "a" }, {
    subnetCidr: "172.16.4.0/22",
    node: "a",
  }],
  ["no name", "AllocateSubnet", NONE, {
    code: "invalid_argument",
    says: /^Invalid field "node": it is empty$/,
  }],
  ["the subnet of a node", "GetSubnet", ON_A, { subnetCidr: "172.16.4.0/22" }],
  ["of a node that has none", "GetSubnet", { node: "b" }, {
    code: "not_found",
    says: /^subnet not found: node "b"/,
  }],

  ["the first address", "AllocateIP", { id: "c1", node: "a" }, {
    ip: "172.16.4.2",
    node: "a",
  }],
  ["the same id again", "AllocateIP", { id: "c1", node: "a" }, {
    ip: "172.16.4.2",
    node: "a",
  }],
  ["the same id on another node", "AllocateIP", { id: "c1", node: "a.b" }, {
    ip: "172.16.8.2",
    node: "a.b",
  }],
  ["another id, with its node's subnet", "AllocateIP", {
    id: "c2",
    node: "a",
    subnetCidr: "172.16.4.0/22",
  }, { ip: "172.16.4.3", node: "a" }],
  ["with another node's subnet", "AllocateIP", {
    id: "c3",
    node: "a",
    subnetCidr: "172.16.8.0/22",
  }, {
    code: "invalid_argument",
    says:
      /^Invalid field "subnet_cidr": "172\.16\.8\.0\/22" .*"172\.16\.4\.0\/22"$/,
  }],
  ["on a node that has no subnet", "AllocateIP", { id: "c3", node: "b" }, {
    code: "not_found",
    says: /^subnet not found: node "b"/,
  }],
  ["with an invalid id", "AllocateIP", { id: "a b", node: "a" }, {
    code: "invalid_argument",
    says: /^Invalid field "id": "a b" is not valid/,
  }],

  ["what an id holds", "GetIP", { id: "c1", node: "a" }, { ip: "172.16.4.2" }],
  ["and on another node", "GetIP", { id: "c1", node: "a.b" }, {
    ip: "172.16.8.2",
  }],
  ["a never sees the addresses of a.b", "GetIP", { id: "b", node: "a" }, {}],
  ["an unknown id", "GetIP", { id: "c3", node: "a" }, {}],
  ["an unknown node", "GetIP", { id: "c1", node: "b" }, {}],

  ["a release with the ip of no address", "ReleaseIP", {
    id: "c1",
    node: "a",
    ip: "<nil>",
  }, {}],
  ["what is released is not held", "GetIP", { id: "c1", node: "a" }, {}],
  ["the other node's stays", "GetIP", { id: "c1", node: "a.b" }, {
    ip: "172.16.8.2",
  }],
  ["a release of what is not held", "ReleaseIP", { id: "c1", node: "a" }, {}],
  ["on a node that is not known", "ReleaseIP", { id: "c1", node: "b" }, {}],
  ["a release with another's ip", "ReleaseIP", {
    id: "c9",
    node: "a",
    ip: "172.16.4.3",
  }, {}],
  ["leaves the other's alone", "GetIP", { id: "c2", node: "a" }, {
    ip: "172.16.4.3",
  }],
  ["a released address cools down", "AllocateIP", { id: "c4", node: "a" }, {
    ip: "172.16.4.4",
    node: "a",
  }],

  ["a subnet with addresses held", "DeallocateSubnet", {
    node: "a",
    subnetCidr: "172.16.4.0/22",
  }, {
    code: "failed_precondition",
    says: /172\.16\.4\.0\/22 of node "a": 2 addresses are held/,
  }],
  ["a release", "ReleaseIP", { id: "c2", node: "a" }, {}],
  ["with one address held", "DeallocateSubnet", ON_A, {
    code: "failed_precondition",
    says: /172\.16\.4\.0\/22 of node "a": 1 address is held/,
  }],
  ["the last release", "ReleaseIP", { id: "c4", node: "a" }, {}],
  ["a subnet that is another's", "DeallocateSubnet", {
    node: "a",
    subnetCidr: "172.16.8.0/22",
  }, {
    code: "not_found",
    says: /^subnet not found: node "a" owns 172\.16\.4\.0\/22/,
  }],
  ["a subnet with none held", "DeallocateSubnet", {
    node: "a",
    subnetCidr: "172.16.4.0/22",
  }, {}],
  ["it is free", "GetSubnet", ON_A, {
    code: "not_found",
    says: /^subnet not found: node "a"/,
  }],
  ["it is not its any more", "DeallocateSubnet", ON_A, {
    code: "not_found",
    says: /^subnet not found: node "a"/,
  }],
  ["a never-used one goes first", "AllocateSubnet", { node: "c" }, {
    subnetCidr: "172.16.12.0/22",
    node: "c",
  }],
  ["its own again", "AllocateSubnet", ON_A, {
    subnetCidr: "172.16.4.0/22",
    node: "a",
  }],

  ["Configure", "Configure", {
    subnet: { cidr: "172.16.4.0/22", gateway: "172.16.4.1" },
  }, {
    code: "failed_precondition",
    says: /^Cannot configure this host/,
  }],

  ["no routes", "Routes", NONE, {}],
  ["a route", "AddRoute", { cidr: "10.1.0.0/16", target: "192.0.2.1" }, {}],
  ["the same again", "AddRoute", {
    cidr: "10.1.0.0/16",
    target: "192.0.2.1",
  }, {}],
  ["with another target", "AddRoute", {
    cidr: "10.1.0.0/16",
    target: "192.0.2.2",
  }, {
    code: "already_exists",
    says: /^route exists in configuration: "10\.1\.0\.0\/16" .*"192\.0\.2\.1"/,
  }],
  ["an IPv6 route", "AddRoute", {
    cidr: "2001:DB8:1::/48",
    target: "2001:db8:0::1",
  }, {}],
  ["a target that is a name", "AddRoute", {
    cidr: "10.2.0.0/16",
    target: "host1",
  }, {
    code: "invalid_argument",
    says: /^Invalid field "target": "host1" is not an IP address/,
  }],
  ["a target of the other family", "AddRoute", {
    cidr: "10.2.0.0/16",
    target: "2001:db8::1",
  }, {
    code: "invalid_argument",
    says: /"2001:db8::1" is not an IPv4 address/,
  }],
  ["a destination with host bits", "AddRoute", {
    cidr: "10.2.0.1/16",
    target: "192.0.2.1",
  }, {
    code: "invalid_argument",
    says: /^Invalid field "cidr": .*10\.2\.0\.0/,
  }],
  ["both routes", "Routes", NONE, {
    routes: [
      { cidr: "10.1.0.0/16", target: "192.0.2.1" },
      { cidr: "2001:db8:1::/48", target: "2001:db8::1" },
    ],
  }],
  ["a route by another target", "DeleteRoute", {
    cidr: "10.1.0.0/16",
    target: "192.0.2.9",
  }, { code: "failed_precondition", says: /its target is "192\.0\.2\.1"/ }],
  ["a deletion", "DeleteRoute", {
    cidr: "10.1.0.0/16",
    target: "192.0.2.1",
  }, {}],
  ["of what is gone", "DeleteRoute", {
    cidr: "10.1.0.0/16",
    target: "192.0.2.1",
  }, {}],
  ["the other is left", "Routes", NONE, {
    routes: [{ cidr: "2001:db8:1::/48", target: "2001:db8::1" }],
  }],
];

/** Sees that a call came out as expected. */
export function assertOutcome(outcome: Outcome, expected: Expected): void {
  const { says, ...rest } = expected as Record<string, unknown>;
  const wanted = says instanceof RegExp
    ? { ...rest, message: matching(outcome, says) }
    : { answer: expected };
  assert.deepEqual(outcome, wanted);
}

/** The message of an error if it matches, else the pattern. */
function matching(outcome: Outcome, says: RegExp): string {
  const message = "message" in outcome ? outcome.message : "";
  return says.test(message) ? message : String(says);
}
