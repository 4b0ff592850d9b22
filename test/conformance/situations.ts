import type { JsonObject } from "@bufbuild/protobuf";
import type { Outcome, Situation } from "./plan.ts";

/** What a client has to be able to do for a situation. */
export type Ability =
  /** Send bytes that are no message. */
  | "raw"
  /** Send JSON of its own. */
  | "json"
  | "compress"
  | "stream"
  | "bidi"
  /** Say that nobody listens. */
  | "refused";

/** Part of an outcome, which every client has to see. */
export type Expected = Pick<Outcome, "code"> & Partial<Outcome>;

/** A row of the table. In its texts, `{n}` is a number of each client's own, and `{4n}` four times that. */
export interface Row extends Situation {
  readonly needs?: Ability;
  readonly expected: Expected;
}

const IPAM = "stellar.net.v1.IpamService";
const REGISTRY = "stellar.net.v1.RegistryService";
const CLUSTER = "stellar.net.v1.ClusterService";
const NETWORK = "stellar.services.network.v1.Network";

/** The answer of Info. */
const INFO = { id: "stellar.services.network.v1" };

/** The node of the agent, and an address that an owner of the test holds on it. */
export const NODE = "node0";
export const HELD_ADDRESS = "172.16.0.9";
/** An owner with an address of more than 4 MiB in its name. */
const LARGE = "x".repeat(5 * 1024 * 1024);

/** The table: what each client sees of an agent in order. */
export const SITUATIONS: readonly Row[] = [
  {
    name: "a call that only reads",
    ...{ as: "plain", call: `${NETWORK}/Info` },
    expected: { code: "OK", answer: INFO },
  },
  {
    name: "the same over TLS, as an operator",
    ...{ as: "operator", call: `${NETWORK}/Info` },
    expected: { code: "OK", answer: INFO },
  },
  {
    name: "an unknown call",
    ...{ as: "plain", call: `${IPAM}/Nope` },
    expected: { code: "UNIMPLEMENTED", reason: "UNKNOWN_CALL" },
  },
  {
    name: "an unknown service",
    ...{ as: "operator", call: "stellar.net.v9.NopeService/Nope" },
    expected: { code: "UNIMPLEMENTED", reason: "UNKNOWN_CALL" },
  },
  {
    name: "bytes that are no message",
    ...{ as: "plain", call: `${IPAM}/Allocate`, raw: "CgMKBA==", needs: "raw" },
    expected: { code: "INVALID_ARGUMENT", reason: "INVALID_FIELD" },
  },
  {
    name: "an unknown field in a binary message",
    ...{ as: "plain", call: `${NETWORK}/Info`, raw: "eAE=", needs: "raw" },
    expected: { code: "OK" },
  },
  {
    name: "an unknown field in JSON",
    ...{ as: "plain", call: `${NETWORK}/GetIP`, needs: "json" },
    request: { id: "c{n}", node: NODE, nodes: "b" },
    expected: { code: "INVALID_ARGUMENT", reason: "INVALID_FIELD" },
  },
  {
    name: "a missing field",
    ...{ as: "plain", call: `${IPAM}/GetAllocation` },
    expected: {
      code: "INVALID_ARGUMENT",
      reason: "INVALID_FIELD",
      field: "owner.container_id",
    },
  },
  {
    name: "a bad value of a field",
    ...{ as: "operator", call: `${NETWORK}/AddRoute` },
    request: { cidr: "10.1.0.1/16", target: "192.0.2.1" },
    expected: {
      code: "INVALID_ARGUMENT",
      reason: "INVALID_FIELD",
      field: "cidr",
    },
  },
  {
    name: "an owner that holds nothing",
    ...{ as: "plain", call: `${IPAM}/GetAllocation` },
    request: { owner: { containerId: "nobody{n}" } },
    expected: { code: "NOT_FOUND", reason: "NOT_FOUND" },
  },
  {
    name: "a requested address that another owner holds",
    ...{ as: "plain", call: `${IPAM}/Allocate` },
    request: { owner: { containerId: "late{n}" }, addresses: [HELD_ADDRESS] },
    expected: { code: "ALREADY_EXISTS", reason: "ALREADY_EXISTS" },
  },
  {
    name: "the allocation of an address",
    ...{ as: "operator", call: `${IPAM}/GetAllocation` },
    request: { address: HELD_ADDRESS },
    expected: { code: "OK" },
  },
  {
    name: "a change with validate_only",
    ...{ as: "plain", call: `${IPAM}/Allocate` },
    request: { owner: { containerId: "only{n}" }, validateOnly: true },
    expected: { code: "OK" },
  },
  {
    name: "the owner of a change with validate_only",
    ...{ as: "plain", call: `${IPAM}/GetAllocation` },
    request: { owner: { containerId: "only{n}" } },
    expected: { code: "NOT_FOUND", reason: "NOT_FOUND" },
  },
  {
    name: "a route to another target",
    ...{ as: "plain", call: `${REGISTRY}/AddRoute` },
    request: { cidr: "10.99.0.0/16", target: "192.0.2.2" },
    expected: { code: "ALREADY_EXISTS", reason: "ALREADY_EXISTS" },
  },
  {
    name: "a change for which the agent is not in the right state",
    ...{ as: "plain", call: `${NETWORK}/Configure` },
    request: { subnet: { cidr: "172.16.0.0/22", gateway: "172.16.0.1" } },
    expected: { code: "FAILED_PRECONDITION", reason: "WRONG_STATE" },
  },
  {
    name: "a message over 4 MiB",
    ...{ as: "plain", call: `${NETWORK}/GetIP` },
    request: { id: LARGE, node: NODE },
    expected: { code: "RESOURCE_EXHAUSTED" },
  },
  {
    name: "no certificate",
    ...{ as: "anonymous", call: `${NETWORK}/Info` },
    expected: { code: "UNAUTHENTICATED", reason: "UNKNOWN_CALLER" },
  },
  {
    name: "a change by a readonly identity",
    ...{ as: "readonly", call: `${IPAM}/Allocate` },
    request: { owner: { containerId: "c{n}" } },
    expected: { code: "PERMISSION_DENIED", reason: "NOT_ALLOWED" },
  },
  {
    name: "a compressed request",
    ...{ as: "plain", call: `${NETWORK}/GetSubnet`, gzip: true },
    ...{ request: { node: NODE }, needs: "compress" },
    expected: { code: "OK", answer: { subnetCidr: "172.16.0.0/22" } },
  },
  {
    name: "a long answer to a client that takes gzip",
    ...{ as: "plain", call: `${NETWORK}/Subnets` },
    expected: { code: "OK", encoding: "gzip" },
  },
  {
    name: "a stream that its client cancels",
    ...{ as: "operator", call: `${REGISTRY}/Watch`, stream: "first" },
    needs: "stream",
    expected: { code: "OK" },
  },
  {
    name: "reflection",
    as: "plain",
    call: "grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
    ...{ request: { listServices: "" }, stream: "bidi", needs: "bidi" },
    expected: { code: "OK" },
  },
  {
    name: "a call after a pause of 5 s with keep-alive pings",
    ...{ as: "plain", call: `${NETWORK}/Info`, pauseMs: 5_000 },
    expected: { code: "OK", answer: INFO },
  },
];

/** Moments at which a caller cancels, in ms; a commit takes longer than the last. */
export const CANCEL_MOMENTS_MS = [0, 1, 2, 5, 10, 20, 50, 100, 200] as const;

function allocate(
  name: string,
  containerId: string,
  request: JsonObject = {},
): Pick<Row, "name" | "as" | "call" | "request"> {
  const owner = { containerId: `${containerId}-{n}` };
  const call = `${IPAM}/Allocate`;
  return { name, as: "plain", call, request: { owner, ...request } };
}

/** While a commit takes long. */
export const DURING_COMMIT: readonly Row[] = [
  {
    ...allocate("a deadline that passes before the commit", "early"),
    timeoutMs: 1,
    expected: { code: "DEADLINE_EXCEEDED" },
  },
  {
    ...allocate("a deadline that passes during the commit", "during"),
    timeoutMs: 200,
    expected: { code: "DEADLINE_EXCEEDED" },
  },
  ...CANCEL_MOMENTS_MS.flatMap((cancelAfterMs): Row[] => [
    {
      ...allocate(
        `a call that its client cancels after ${cancelAfterMs} ms`,
        `cancel${cancelAfterMs}`,
      ),
      cancelAfterMs,
      expected: { code: "CANCELED" },
    },
    {
      ...allocate(
        `an ADD that its client cancels after ${cancelAfterMs} ms`,
        `add${cancelAfterMs}`,
        { attachment: {} },
      ),
      cancelAfterMs,
      expected: { code: "CANCELED" },
    },
  ]),
];

/** Afterwards: what such calls left behind. */
export const AFTER_COMMIT: readonly Row[] = [
  {
    ...allocate("the call again, after its deadline", "early"),
    expected: { code: "OK" },
  },
  {
    ...allocate("the call again, after its deadline in the commit", "during"),
    expected: { code: "OK" },
  },
  ...CANCEL_MOMENTS_MS.flatMap((ms): Row[] => [
    {
      ...allocate(`the call again, cancelled after ${ms} ms`, `cancel${ms}`),
      expected: { code: "OK" },
    },
    {
      name: `the owner of an ADD that was cancelled after ${ms} ms`,
      ...{ as: "plain", call: `${IPAM}/GetAllocation` },
      request: { owner: { containerId: `add${ms}-{n}` } },
      expected: { code: "NOT_FOUND", reason: "NOT_FOUND" },
    },
  ]),
];

/** While the agent stops: one stream of each kind. */
export const STOP: readonly Row[] = [
  ["an open Watch of the registry", `${REGISTRY}/Watch`],
  ["an open WatchAllocations", `${IPAM}/WatchAllocations`],
  ["an open Watch of the cluster", `${CLUSTER}/Watch`],
  ["an open Watch of the health", "grpc.health.v1.Health/Watch"],
].map(([stream, call]) => ({
  name: `${stream} when the agent stops`,
  ...{ as: "operator", call: call! },
  ...{ stream: "until it ends", timeoutMs: 300_000, needs: "stream" },
  expected: { code: "UNAVAILABLE" },
}));

/** When the agent has stopped. */
export const STOPPED: readonly Row[] = [
  {
    name: "a call to an agent that has stopped",
    ...{ as: "operator", call: `${NETWORK}/Info`, needs: "refused" },
    expected: { code: "UNAVAILABLE" },
  },
];
