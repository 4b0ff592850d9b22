import type { DescMethod } from "@bufbuild/protobuf";

/** The kinds of callers that have rights. A caller with any other invalid certificate has none. */
export type Column =
  | "socket"
  | "loopback"
  | "plain"
  | "node"
  | "operator"
  | "readonly"
  | "anonymous"
  /** A certificate whose only fault is that it has expired. */
  | "expired";

/**
 * Whether a kind of caller may make a call: with `own` if the request names the
 * caller's node, with `own instance` if it also names its instance id.
 */
export type Rule = "yes" | "own" | "own instance" | "no";

type Rules = Readonly<Record<Column, Rule>>;

/** The rules for a call. */
export interface Permission {
  readonly rules: Rules;
  /** Whether it changes something or hands out secrets: the audit records it then. */
  readonly changes: boolean;
  /** Whether its answer does not wait for its record: the calls for each container. */
  readonly isFrequent: boolean;
  /** The fields that name its subject, by their local names. */
  readonly subject: readonly string[];
  /** Whether it is about the caller's own connection, so that no other agent can forward it. */
  readonly isPersonal: boolean;
  /** Whether a request without a node is about the called agent's. */
  readonly emptyIsSelf: boolean;
  /** Whether only the agent of a node makes it, to belong to the cluster. */
  readonly isMembership: boolean;
}

type Row = readonly [
  call: string,
  who: Rules,
  about?: readonly string[] | undefined,
  more?: Partial<
    Omit<Permission, "rules" | "changes" | "subject">
  >,
];

/**
 * Changes that operators make. Every user of this host may make them, and anyone
 * in a lab without certificates.
 */
const OPERATE: Rules = {
  ...{ socket: "yes", loopback: "yes", plain: "yes", operator: "yes" },
  ...{ node: "no", readonly: "no", anonymous: "no", expired: "no" },
};
/** Reads for people; nodes need none of them. */
const LOOK: Rules = { ...OPERATE, readonly: "yes" };
/** Reads that nodes need too. */
const KNOW: Rules = { ...LOOK, node: "yes" };
/** Reads that a node may make about itself. */
const LOOK_OWN: Rules = { ...LOOK, node: "own" };
/** Short work that nodes do for each other. It changes nothing that lasts. */
const HELP: Rules = { ...OPERATE, node: "yes" };
/** Changes that a node makes for itself. */
const OWN: Rules = { ...OPERATE, node: "own" };
const LEAVE: Rules = { ...OPERATE, node: "own instance" };
const JOIN: Rules = { ...OPERATE, anonymous: "yes", expired: "yes" };
const RENEW: Rules = { ...KNOW, expired: "yes" };

const OFTEN = { isFrequent: true };
const PERSONAL = { isPersonal: true };
const MEMBERSHIP = { isMembership: true };
const OWNER = ["node", "owner.containerId", "owner.interfaceName"];
const CONTAINER = ["node", "id"];

/** Every call of every service. Those with a subject, even an empty one, are recorded. */
const TABLE: Readonly<Record<string, readonly Row[]>> = {
  "stellar.services.network.v1.Network": [
    ["Info", KNOW],
    ["AllocateSubnet", OWN, ["node"]],
    ["GetSubnet", KNOW],
    // Without a node it is about the owner of the subnet.
    ["DeallocateSubnet", OWN, ["node", "subnetCidr"], { emptyIsSelf: false }],
    ["Subnets", KNOW],
    ["AllocateIP", OWN, CONTAINER, OFTEN],
    ["GetIP", LOOK_OWN],
    ["ReleaseIP", OWN, CONTAINER, OFTEN],
    ["Configure", OPERATE, ["subnet.cidr", "subnet.gateway"]],
    ["AddRoute", OPERATE, ["cidr", "target"]],
    ["DeleteRoute", OPERATE, ["cidr", "target"]],
    ["Routes", KNOW],
  ],
  "stellar.net.v1.IpamService": [
    ["Allocate", OWN, OWNER, OFTEN],
    ["BatchAllocate", OWN, ["node"], OFTEN],
    ["BatchRelease", OWN, ["node"], OFTEN],
    // It restarts a time, every few seconds.
    ["KeepAlive", OWN],
    ["Release", OWN, OWNER, OFTEN],
    ["ReleaseOthers", OWN, ["node", "network"], OFTEN],
    ["CheckReady", LOOK_OWN],
    ["GetAllocation", LOOK_OWN],
    ["ListAllocations", LOOK_OWN],
    // Agents that host the registry watch other nodes for a watcher of all.
    ["WatchAllocations", KNOW],
    ["Reserve", OWN, ["node", "address"]],
    ["Unreserve", OWN, ["node", "address"]],
    ["ListReservations", LOOK_OWN],
    // It tells states of addresses, not their holders.
    ["ListAddressRuns", KNOW],
    // Find tells it, too.
    ["ListHistory", KNOW],
  ],
  "stellar.net.v1.RegistryService": [
    ["ListNetworks", KNOW],
    ["ClaimSubnets", OWN, ["node"]],
    ["ReleaseSubnets", OWN, ["node"]],
    ["Join", OWN, ["node"], MEMBERSHIP],
    ["GetHandover", LOOK_OWN],
    ["FinishHandover", OWN, ["node"]],
    ["ReportOwners", OWN, ["node"]],
    // It records only when a node was last heard, every few seconds.
    ["Heartbeat", OWN, undefined, MEMBERSHIP],
    ["Watch", KNOW],
    ["ListNodes", KNOW],
    ["RemoveNode", LEAVE, ["node"]],
    ["ListSubnets", KNOW],
    ["ReserveSubnet", OPERATE, ["cidr", "node"]],
    ["UnreserveSubnet", OPERATE, ["cidr"]],
    ["ListRoutes", KNOW],
    ["AddRoute", OPERATE, ["cidr", "target"]],
    ["DeleteRoute", OPERATE, ["cidr", "target"]],
  ],
  "stellar.net.v1.AgentService": [
    ["GetStatus", KNOW],
    ["ListHostRoutes", KNOW],
    // Agents that host the registry make it for ExamineAll.
    ["Examine", KNOW],
    ["ExamineAll", KNOW],
    ["TestPaths", OPERATE, []],
    // Agents make it for TestPaths.
    ["HoldStation", HELP],
    ["Leave", OPERATE, []],
    // A backup contains the cluster's keys.
    ["Backup", OPERATE, []],
    ["ListLog", LOOK],
    ["ListAudit", LOOK],
  ],
  "stellar.net.v1.ClusterService": [
    ["GetOverview", KNOW],
    ["Find", KNOW],
    ["FindHere", KNOW],
    ["GetReport", KNOW],
    ["GetPaths", KNOW],
    ["ListEvents", KNOW],
    ["Watch", KNOW],
  ],
  "stellar.net.v1.IdentityService": [
    ["BeginJoin", JOIN, undefined, PERSONAL],
    ["FinishJoin", JOIN, ["name", "tokenId"], PERSONAL],
    ["RenewCertificate", RENEW, [], PERSONAL],
    ["GetTrust", KNOW],
    ["CreateToken", OPERATE, ["name"]],
    ["ListTokens", LOOK],
    ["RevokeToken", OPERATE, ["id"]],
    ["ListCertificates", LOOK],
    ["RevokeCertificates", OPERATE, ["name", "serial"]],
    ["RotateAuthority", OPERATE, []],
  ],
  "grpc.health.v1.Health": [["Check", KNOW], ["Watch", KNOW]],
  "grpc.reflection.v1.ServerReflection": [["ServerReflectionInfo", KNOW]],
  "grpc.reflection.v1alpha.ServerReflection": [["ServerReflectionInfo", KNOW]],
};

/** The rules for a call that is not in the table. */
const MISSING: Permission = {
  rules: { ...OPERATE, loopback: "no", plain: "no", operator: "no" },
  changes: true,
  isFrequent: false,
  subject: [],
  isPersonal: true,
  emptyIsSelf: false,
  isMembership: false,
};

/** The rules, by the full name of the call: `stellar.net.v1.AgentService/GetStatus`. */
export const PERMISSIONS: ReadonlyMap<string, Permission> = new Map(
  Object.entries(TABLE).flatMap(([service, rows]) =>
    rows.map(([call, rules, subject, more]) => [`${service}/${call}`, {
      rules,
      changes: subject !== undefined,
      isFrequent: false,
      subject: subject ?? [],
      isPersonal: false,
      emptyIsSelf: true,
      isMembership: false,
      ...more,
    }])
  ),
);

/** The rules for a call. Only the socket may make one that is not in the table. */
export function permissionOf(method: DescMethod): Permission {
  return PERMISSIONS.get(`${method.parent.typeName}/${method.name}`) ?? MISSING;
}
