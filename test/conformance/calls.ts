import type { JsonObject } from "@bufbuild/protobuf";
import type { Row } from "./situations.ts";

/** A call, its request, and the code of its outcome. */
type CallRow = readonly [
  call: string,
  request: JsonObject,
  code: string,
  more?: Partial<Row>,
];

const BY_OTHERS = { as: "readonly" } as const;
const STREAM = { stream: "first", needs: "stream" } as const;
const ALL = { stream: "all", needs: "stream" } as const;
const ON_N = { node: "n{n}" };
const OWNER = { owner: { containerId: "o{n}" } };
const BATCH = {
  items: [
    { owner: { containerId: "b{n}" } },
    { owner: { containerId: "b{n}", interfaceName: "eth1" } },
  ],
};
const JOINED = { node: "j{n}", instanceId: "i{n}" };
const ROUTE = { cidr: "10.{n}.0.0/16", target: "192.0.2.1" };
const OTHER_ROUTE = { cidr: "11.{n}.0.0/16", target: "192.0.2.1" };
const SUBNET = { cidr: "172.31.{4n}.0/22" };
const RESERVED = { address: "172.16.1.{n}" };
const TOKEN = { tokenId: "0123456789ab" };

const CALLS: Readonly<Record<string, readonly CallRow[]>> = {
  "stellar.services.network.v1.Network": [
    ["Info", {}, "OK"],
    ["AllocateSubnet", ON_N, "OK"],
    ["GetSubnet", ON_N, "OK"],
    ["AllocateIP", { id: "c", ...ON_N }, "OK"],
    ["GetIP", { id: "c", ...ON_N }, "OK"],
    ["ReleaseIP", { id: "c", ...ON_N }, "OK"],
    ["DeallocateSubnet", ON_N, "OK"],
    ["Subnets", {}, "OK"],
    // The agent leaves its host alone.
    [
      "Configure",
      { subnet: { cidr: "172.16.0.0/22", gateway: "172.16.0.1" } },
      "FAILED_PRECONDITION",
    ],
    ["AddRoute", ROUTE, "OK"],
    ["Routes", {}, "OK"],
    ["DeleteRoute", ROUTE, "OK"],
  ],
  "stellar.net.v1.IpamService": [
    ["Allocate", OWNER, "OK"],
    ["GetAllocation", OWNER, "OK"],
    ["ListAllocations", {}, "OK"],
    ["Release", OWNER, "OK"],
    ["BatchAllocate", BATCH, "OK"],
    ["KeepAlive", BATCH, "OK"],
    ["BatchRelease", BATCH, "OK"],
    ["WatchAllocations", {}, "OK", STREAM],
    ["ReleaseOthers", { network: "net{n}", keepNone: true }, "OK"],
    ["CheckReady", {}, "OK"],
    ["Reserve", { ...RESERVED, reason: "a test" }, "OK"],
    ["ListReservations", {}, "OK"],
    ["ListAddressRuns", {}, "OK"],
    ["Unreserve", RESERVED, "OK"],
    ["ListHistory", {}, "OK"],
  ],
  "stellar.net.v1.RegistryService": [
    ["ListNetworks", {}, "OK"],
    ["ClaimSubnets", { node: "m{n}" }, "OK"],
    ["ReleaseSubnets", { node: "m{n}" }, "OK"],
    ["Join", JOINED, "OK"],
    // There is nothing to hand over.
    ["GetHandover", JOINED, "UNAVAILABLE"],
    ["FinishHandover", JOINED, "OK"],
    ["ReportOwners", JOINED, "OK"],
    ["Heartbeat", JOINED, "OK"],
    ["Watch", {}, "OK", STREAM],
    ["RemoveNode", { node: "j{n}", force: true }, "OK"],
    ["ListNodes", {}, "OK"],
    ["ListSubnets", {}, "OK"],
    ["ReserveSubnet", { ...SUBNET, reason: "a test" }, "OK"],
    ["UnreserveSubnet", SUBNET, "OK"],
    ["ListRoutes", {}, "OK"],
    ["AddRoute", OTHER_ROUTE, "OK"],
    ["DeleteRoute", OTHER_ROUTE, "OK"],
  ],
  "stellar.net.v1.AgentService": [
    ["GetStatus", {}, "OK"],
    ["ListHostRoutes", {}, "OK"],
    ["Examine", {}, "OK"],
    ["ExamineAll", {}, "OK", STREAM],
    ["TestPaths", { peers: ["nobody"] }, "NOT_FOUND", STREAM],
    // Its bridge and privileges decide what it is, and it lasts a minute.
    ["HoldStation", {}, "OK", STREAM],
    // The node would leave the other clients.
    ["Leave", {}, "PERMISSION_DENIED", BY_OTHERS],
    ["Backup", {}, "OK", ALL],
    ["ListLog", {}, "OK"],
    ["ListAudit", {}, "OK"],
  ],
  "stellar.net.v1.ClusterService": [
    ["GetOverview", {}, "OK"],
    ["Find", { what: "node0" }, "OK"],
    ["FindHere", { what: "node0" }, "OK"],
    ["GetReport", {}, "OK"],
    ["GetPaths", {}, "OK"],
    ["ListEvents", {}, "OK"],
    ["Watch", {}, "OK", STREAM],
  ],
  "stellar.net.v1.IdentityService": [
    ["BeginJoin", TOKEN, "OK"],
    ["FinishJoin", { ...TOKEN, name: "x" }, "INVALID_ARGUMENT"],
    ["RenewCertificate", {}, "UNAUTHENTICATED"],
    ["GetTrust", {}, "OK"],
    ["CreateToken", { role: "ROLE_OPERATOR", name: "t{n}" }, "OK"],
    ["ListTokens", {}, "OK"],
    ["RevokeToken", { id: "0123456789ab" }, "NOT_FOUND"],
    ["ListCertificates", {}, "OK"],
    ["RevokeCertificates", { role: "ROLE_NODE", name: "absent{n}" }, "OK"],
    // The other clients would need another authority.
    ["RotateAuthority", {}, "PERMISSION_DENIED", BY_OTHERS],
  ],
  "grpc.health.v1.Health": [
    ["Check", {}, "OK"],
    ["Watch", {}, "OK", STREAM],
  ],
};

/** Each call of each service. */
export const EACH_CALL: readonly Row[] = Object.entries(CALLS).flatMap((
  [service, rows],
) =>
  rows.map(([name, request, code, more]): Row => ({
    name: `${service}/${name}`,
    as: "plain",
    call: `${service}/${name}`,
    request,
    expected: { code },
    ...more,
  }))
);
