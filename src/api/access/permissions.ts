import type { DescMethod } from "@bufbuild/protobuf";
import { NetError } from "../../base/error.ts";
import { quote } from "../../net/address.ts";
import { type Caller, describeCaller } from "./call_context.ts";

const OPERATOR =
  "use --identity with an operator's certificate (stellar-net token create --role operator)";
const HOW_TO_JOIN =
  "join with a token (--token-file), or show a certificate with --identity";

/** A call that somebody wants to make. */
export interface Attempt {
  readonly method: DescMethod;
  readonly permission: Permission;
  readonly caller: Caller;
  readonly request: object;
  /** The node of the agent that is called. */
  readonly self: string;
}

/**
 * Why a caller may not make a call; undefined where it may.
 *
 * @returns `permission_denied` naming what is missing, or `unauthenticated`
 * where it is not known who calls
 */
export function findRefusal(attempt: Attempt): NetError | undefined {
  const { caller, permission, request, self } = attempt;
  const column = columnOf(caller);
  const rule = column === undefined ? "no" : permission.rules[column];
  if (rule === "yes") return undefined;
  if (caller.kind === "newcomer" || caller.kind === "refused") {
    return refuseStranger(attempt.method, caller);
  }
  if (caller.kind !== "member") {
    return deny(attempt, "it is not in the table of permissions");
  }
  const { role, name } = caller.identity;
  const who = describeCaller(caller);
  if (role === "node" && rule !== "no") {
    if (allowsNode(permission, request, { node: name, self })) return undefined;
    return deny(attempt, explainOwn(attempt, who));
  }
  return deny(
    attempt,
    role === "operator"
      ? "it is not in the table of permissions"
      : `${who} may not, only an operator${
        permission.rules.readonly === "yes" ? " or readonly" : ""
      }; ${OPERATOR}`,
  );
}

function explainOwn({ request, permission }: Attempt, who: string): string {
  const named = textOf(request, "node");
  if (permission.rules.node === "own instance" && who.endsWith(quote(named))) {
    return `${who} may with its instance_id alone, and there is none; ${OPERATOR}`;
  }
  return named === ""
    ? `${who} may for itself alone, and the request names no node; name it, or ${OPERATOR}`
    : `${who} may for itself alone, not for node ${quote(named)}; ${OPERATOR}`;
}

function deny({ method }: Attempt, why: string): NetError {
  return new NetError(
    "permission_denied",
    `Cannot call ${method.name}: ${why}`,
  );
}

function refuseStranger(
  method: DescMethod,
  caller: Extract<Caller, { readonly kind: "newcomer" | "refused" }>,
): NetError {
  return new NetError(
    "unauthenticated",
    caller.kind === "refused"
      ? caller.why
      : `Cannot call ${method.name}: the connection has no certificate; ${HOW_TO_JOIN}`,
  );
}

/** The kinds of callers that have rights. Whose certificate is refused otherwise has none. */
export type Column =
  | "socket"
  | "loopback"
  | "plain"
  | "node"
  | "operator"
  | "readonly"
  | "newcomer"
  /** A certificate that was good, and has only ended. */
  | "ended";

/**
 * Whether a kind of caller may make a call: `own` where the request names the
 * caller's node, `own instance` where it names its instance id too.
 */
export type Rule = "yes" | "own" | "own instance" | "no";

type Rules = Readonly<Record<Column, Rule>>;

/** Who may make a call, and what is told of it. */
export interface Permission {
  readonly rules: Rules;
  /** Whether it changes something, or hands secrets out: it is recorded then. */
  readonly changes: boolean;
  /** Whether its record may be kept a moment later: the calls of each container. */
  readonly isFrequent: boolean;
  /** The fields that say what it is about, by their local names. */
  readonly subject: readonly string[];
  /** Whether it is about the caller's own connection: no other agent can make it instead. */
  readonly isPersonal: boolean;
  /** Whether a request without a node is about the agent's that is called. */
  readonly emptyIsSelf: boolean;
}

type Row = readonly [
  call: string,
  who: Rules,
  about?: readonly string[] | undefined,
  more?: Partial<
    Pick<Permission, "isFrequent" | "isPersonal" | "emptyIsSelf">
  >,
];

/**
 * Changes of operators. Everybody on this host may do the same, as may everybody
 * in a lab without certificates.
 */
const OPERATE: Rules = {
  ...{ socket: "yes", loopback: "yes", plain: "yes", operator: "yes" },
  ...{ node: "no", readonly: "no", newcomer: "no", ended: "no" },
};
/** What anybody may know who looks at the cluster; nodes need not. */
const LOOK: Rules = { ...OPERATE, readonly: "yes" };
/** What every node has to know, too. */
const KNOW: Rules = { ...LOOK, node: "yes" };
/** What a node may know of itself. */
const LOOK_OWN: Rules = { ...LOOK, node: "own" };
/** What a node does for itself. */
const OWN: Rules = { ...OPERATE, node: "own" };
const LEAVE: Rules = { ...OPERATE, node: "own instance" };
const JOIN: Rules = { ...OPERATE, newcomer: "yes", ended: "yes" };
const RENEW: Rules = { ...KNOW, ended: "yes" };

const OFTEN = { isFrequent: true };
const PERSONAL = { isPersonal: true };
const OWNER = ["node", "owner.containerId", "owner.interfaceName"];
const CONTAINER = ["node", "id"];

/** Every call of every service. Those with a subject, even an empty one, are recorded. */
const TABLE: Readonly<Record<string, readonly Row[]>> = {
  "stellar.services.network.v1.Network": [
    ["Info", KNOW],
    ["AllocateSubnet", OWN, ["node"]],
    ["GetSubnet", KNOW],
    // Without a node it is about whoever owns the subnet.
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
    ["Release", OWN, OWNER, OFTEN],
    ["ReleaseOthers", OWN, ["node", "network"], OFTEN],
    ["CheckReady", LOOK_OWN],
    ["GetAllocation", LOOK_OWN],
    ["ListAllocations", LOOK_OWN],
    ["ListHistory", LOOK_OWN],
  ],
  "stellar.net.v1.RegistryService": [
    ["ListNetworks", KNOW],
    ["ClaimSubnets", OWN, ["node"]],
    ["ReleaseSubnets", OWN, ["node"]],
    ["Join", OWN, ["node"]],
    ["GetHandover", LOOK_OWN],
    ["FinishHandover", OWN, ["node"]],
    ["ReportOwners", OWN, ["node"]],
    // It changes when a node was heard of last: every few seconds, of each.
    ["Heartbeat", OWN],
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
    ["ListHostRoutes", LOOK],
    ["Examine", LOOK],
    ["Leave", OPERATE, []],
    // It has the keys of the cluster in it.
    ["Backup", OPERATE, []],
    ["ListLog", LOOK],
    ["ListAudit", LOOK],
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

/** What holds for a call that the table does not have. */
const MISSING: Permission = {
  rules: { ...OPERATE, loopback: "no", plain: "no", operator: "no" },
  changes: true,
  isFrequent: false,
  subject: [],
  isPersonal: true,
  emptyIsSelf: false,
};

/** Who may do what, by the call's full name: `stellar.net.v1.AgentService/GetStatus`. */
export const PERMISSIONS: ReadonlyMap<string, Permission> = new Map(
  Object.entries(TABLE).flatMap(([service, rows]) =>
    rows.map(([call, rules, subject, more]) => [`${service}/${call}`, {
      rules,
      changes: subject !== undefined,
      isFrequent: false,
      subject: subject ?? [],
      isPersonal: false,
      emptyIsSelf: true,
      ...more,
    }])
  ),
);

/** Who may make a call. One that the table does not have is for the socket alone. */
export function permissionOf(method: DescMethod): Permission {
  return PERMISSIONS.get(`${method.parent.typeName}/${method.name}`) ?? MISSING;
}

/** In which column a caller is; undefined for one that has no rights. */
export function columnOf(caller: Caller): Column | undefined {
  switch (caller.kind) {
    case "member":
      return caller.identity.role;
    case "refused":
      return caller.ended && "ended";
    default:
      return caller.kind;
  }
}

/**
 * Whether a rule lets a node make a call.
 *
 * @param self the node that is meant where the request names none; empty for none
 */
export function allowsNode(
  { rules, emptyIsSelf }: Permission,
  request: object,
  { node, self }: { readonly node: string; readonly self: string },
): boolean {
  const { node: rule } = rules;
  if (rule === "yes" || rule === "no") return rule === "yes";
  const named = textOf(request, "node") ||
    (emptyIsSelf ? self : "");
  return named !== "" && named === node &&
    (rule === "own" || textOf(request, "instanceId") !== "");
}

/** A field of a request that is a text; empty where there is none. */
export function textOf(request: object, path: string): string {
  let value: unknown = request;
  for (const name of path.split(".")) {
    if (typeof value !== "object" || value === null) return "";
    value = (value as Readonly<Record<string, unknown>>)[name];
  }
  return typeof value === "string" ? value : "";
}
