/** Kinds of values of a field, and values of that kind that are wrong. */
export type FieldKind =
  | "node"
  | "container id"
  | "network name"
  | "interface name"
  | "address"
  | "prefix"
  | "path"
  | "id"
  | "URL"
  | "text"
  | "token id"
  | "limit";

/** Longer than any name may be, by one character. */
const LONG_NAME = "x".repeat(254);
/** Ends a C string, moves a cursor, ends a line, turns a line round. */
const CONTROLS = ["a\0b", "a\x1b[2Jb", "a\nb", "a\u202eb"];

export const BAD_VALUES: Readonly<
  Record<FieldKind, readonly (string | number)[]>
> = {
  "node": ["-a", "a-", ".", "a/b", "a b", "ä", LONG_NAME, ...CONTROLS],
  "container id": ["a b", " ", "ä", LONG_NAME, ...CONTROLS],
  "network name": ["-a", "..", "a/b", "ä", LONG_NAME, ...CONTROLS],
  "interface name": [".", "..", "a/b", "a:b", "a b", "x".repeat(16)]
    .concat("ä".repeat(8), CONTROLS),
  "address": ["1..2.3", "...", " 1.2.3.4", "1.2.3.4 ", "01.2.3.4"]
    .concat("0x10.0.0.1", "1e1.0.0.0", "1zz::1", "::1%eth0", "fe80::1/64")
    .concat("256.0.0.1", "1.2.3", "::ffff:1.2.3.4", ":::", "host1")
    .concat("1.2.3.4\0", "1".repeat(5000)),
  "prefix": ["192.0.2.12/24", "192.168.127.0/23", "2001:db8:24:19ff::/63"]
    .concat("10.0.0.0/24abc", "10.0.0.0/33", "::/129", "10.0.0.0", "/8")
    .concat("10.0.0.0/-1", "10.0.0.0/08", "10.0.0.0/8/8", " 10.0.0.0/8")
    .concat("010.0.0.0/8", "10.0.0.0/0x8", "1".repeat(5000)),
  "path": ["a", "./a", "/a\0b", "/a\nb", `/${"x".repeat(4095)}`],
  "id": ["a b", "a_b", "a/b", "x".repeat(65), ...CONTROLS],
  "URL": ["198.18.0.1:9000", "ftp://h:1", "http://h", "http://h:1/path"]
    .concat("http://u:p@h:1", "http://:1", "http://h:99999", "http://a b:1")
    .concat("http://[::1%25eth0]:1", CONTROLS),
  "text": [...CONTROLS, "x".repeat(1025)],
  "token id": ["0123456789a", "0123456789abc", "0123456789AB", "0123456789xy"]
    .concat(CONTROLS),
  "limit": [-1, -2147483648],
};

/** Every call with a request that is right. */
export const REQUESTS: Readonly<
  Record<string, Readonly<Record<string, unknown>>>
> = {
  "stellar.services.network.v1.Network/AllocateSubnet": { node: "n" },
  "stellar.services.network.v1.Network/GetSubnet": { node: "n" },
  "stellar.services.network.v1.Network/DeallocateSubnet": { node: "n" },
  "stellar.services.network.v1.Network/AllocateIP": { id: "c", node: "n" },
  "stellar.services.network.v1.Network/GetIP": { id: "c", node: "n" },
  "stellar.services.network.v1.Network/ReleaseIP": { id: "c", node: "n" },
  "stellar.services.network.v1.Network/AddRoute": {
    cidr: "10.0.0.0/8",
    target: "192.0.2.1",
  },
  "stellar.services.network.v1.Network/DeleteRoute": {
    cidr: "10.0.0.0/8",
    target: "192.0.2.1",
  },
  "stellar.net.v1.IdentityService/BeginJoin": { tokenId: "0123456789ab" },
  "stellar.net.v1.IdentityService/FinishJoin": {
    tokenId: "0123456789ab",
    name: "n",
  },
  "stellar.net.v1.IdentityService/CreateToken": {},
  "stellar.net.v1.IdentityService/RevokeToken": { id: "0123456789ab" },
  "stellar.net.v1.IdentityService/RevokeCertificates": {
    role: "ROLE_NODE",
    name: "n",
  },
  "stellar.net.v1.IpamService/Allocate": { owner: { containerId: "c" } },
  "stellar.net.v1.IpamService/Release": { owner: { containerId: "c" } },
  "stellar.net.v1.IpamService/ReleaseOthers": {
    network: "n",
    keep: [{ containerId: "c" }],
  },
  "stellar.net.v1.IpamService/BatchAllocate": {
    items: [{ owner: { containerId: "c" } }],
  },
  "stellar.net.v1.IpamService/BatchRelease": {
    items: [{ owner: { containerId: "c" } }],
  },
  "stellar.net.v1.IpamService/KeepAlive": {
    items: [{ owner: { containerId: "c" } }],
  },
  "stellar.net.v1.IpamService/CheckReady": {},
  "stellar.net.v1.IpamService/GetAllocation": { owner: { containerId: "c" } },
  "stellar.net.v1.IpamService/ListAllocations": {},
  "stellar.net.v1.IpamService/ListHistory": {},
  "stellar.net.v1.IpamService/Reserve": {
    address: "172.16.0.9",
    owner: { containerId: "c" },
  },
  "stellar.net.v1.IpamService/Unreserve": { address: "172.16.0.9" },
  "stellar.net.v1.IpamService/ListReservations": {},
  "stellar.net.v1.IpamService/ListAddressRuns": {},
  "stellar.net.v1.ClusterService/Find": { what: "c" },
  "stellar.net.v1.ClusterService/FindHere": { what: "c" },
  "stellar.net.v1.ClusterService/ListEvents": {},
  "stellar.net.v1.ClusterService/GetPaths": {},
  "stellar.net.v1.RegistryService/Join": {
    node: "n",
    instanceId: "i",
    localPrefixes: [{ cidr: "172.17.0.0/16", device: "docker0" }],
  },
  "stellar.services.network.v1.Network/Configure": {
    subnet: { cidr: "172.16.0.0/22", gateway: "172.16.0.1" },
  },
  "stellar.net.v1.AgentService/Examine": {},
  "stellar.net.v1.AgentService/ListAudit": {},
  "stellar.net.v1.RegistryService/GetHandover": { node: "n", instanceId: "i" },
  "stellar.net.v1.RegistryService/FinishHandover": {
    node: "n",
    instanceId: "i",
  },
  "stellar.net.v1.RegistryService/ReportOwners": {
    node: "n",
    instanceId: "i",
    owners: [{ node: "n", cidr: "172.16.0.0/22" }],
  },
  "stellar.net.v1.RegistryService/Heartbeat": { node: "n", instanceId: "i" },
  "stellar.net.v1.RegistryService/ListNodes": {},
  "stellar.net.v1.RegistryService/ListSubnets": {},
  "stellar.net.v1.RegistryService/ListRoutes": {},
  "stellar.net.v1.RegistryService/ListNetworks": {},
  "stellar.net.v1.AgentService/ListHostRoutes": {},
  "stellar.net.v1.AgentService/ListLog": {},
  "stellar.net.v1.ClusterService/GetOverview": {},
  "stellar.net.v1.IdentityService/ListTokens": {},
  "stellar.net.v1.IdentityService/ListCertificates": {},
  "stellar.net.v1.RegistryService/RemoveNode": { node: "n" },
  "stellar.net.v1.RegistryService/ClaimSubnets": {},
  "stellar.net.v1.RegistryService/ReleaseSubnets": { node: "n" },
  "stellar.net.v1.RegistryService/ReserveSubnet": { cidr: "172.16.0.0/22" },
  "stellar.net.v1.RegistryService/UnreserveSubnet": { cidr: "172.16.0.0/22" },
  "stellar.net.v1.RegistryService/AddRoute": {
    cidr: "10.0.0.0/8",
    target: "192.0.2.1",
  },
  "stellar.net.v1.RegistryService/DeleteRoute": {
    cidr: "10.0.0.0/8",
    target: "192.0.2.1",
  },
};

/** A field that must not be empty, of a kind, or one that may be. */
export type FieldRow = readonly [
  call: string,
  field: string,
  kind: FieldKind,
  presence: "required" | "optional",
];

export const FIELDS: readonly FieldRow[] = [
  ["Network/AllocateSubnet", "node", "node", "required"],
  ["Network/GetSubnet", "node", "node", "required"],
  ["Network/DeallocateSubnet", "node", "node", "optional"],
  ["Network/DeallocateSubnet", "subnet_cidr", "prefix", "optional"],
  ["Network/AllocateIP", "id", "container id", "required"],
  ["Network/AllocateIP", "node", "node", "required"],
  ["Network/AllocateIP", "subnet_cidr", "prefix", "optional"],
  ["Network/GetIP", "id", "container id", "required"],
  ["Network/GetIP", "node", "node", "required"],
  ["Network/ReleaseIP", "id", "container id", "required"],
  ["Network/ReleaseIP", "node", "node", "required"],
  ["Network/AddRoute", "cidr", "prefix", "required"],
  ["Network/AddRoute", "target", "address", "required"],
  ["Network/DeleteRoute", "cidr", "prefix", "required"],
  ["Network/DeleteRoute", "target", "address", "optional"],
  ["Network/Configure", "subnet.cidr", "prefix", "required"],
  ["Network/Configure", "subnet.gateway", "address", "required"],
  ["AgentService/Examine", "peer", "node", "optional"],
  ["IdentityService/BeginJoin", "token_id", "token id", "required"],
  ["IdentityService/FinishJoin", "token_id", "token id", "required"],
  ["IdentityService/FinishJoin", "name", "node", "required"],
  ["IdentityService/FinishJoin", "addresses[]", "address", "required"],
  ["IdentityService/CreateToken", "name", "node", "optional"],
  ["IdentityService/RevokeToken", "id", "token id", "required"],
  ["IdentityService/RevokeCertificates", "name", "node", "required"],
  ["IdentityService/RevokeCertificates", "reason", "text", "optional"],
  ["AgentService/ListAudit", "page_size", "limit", "optional"],
  ["AgentService/ListAudit", "caller", "text", "optional"],
  ["AgentService/ListAudit", "call", "text", "optional"],
  ["IpamService/Allocate", "node", "node", "optional"],
  ["IpamService/Allocate", "owner.network", "network name", "optional"],
  ["IpamService/Allocate", "owner.container_id", "container id", "required"],
  [
    "IpamService/Allocate",
    "owner.interface_name",
    "interface name",
    "optional",
  ],
  ["IpamService/Allocate", "addresses[]", "address", "required"],
  ["IpamService/Allocate", "attachment.netns", "path", "optional"],
  ["IpamService/Allocate", "id", "id", "optional"],
  ["IpamService/Release", "attachment.netns", "path", "optional"],
  ["IpamService/Release", "id", "id", "optional"],
  ["IpamService/BatchAllocate", "node", "node", "optional"],
  ["IpamService/BatchRelease", "node", "node", "optional"],
  ["IpamService/BatchRelease", "reason", "text", "optional"],
  ["IpamService/KeepAlive", "node", "node", "optional"],
  [
    "IpamService/BatchAllocate",
    "items[].owner.network",
    "network name",
    "optional",
  ],
  [
    "IpamService/BatchAllocate",
    "items[].owner.container_id",
    "container id",
    "required",
  ],
  [
    "IpamService/BatchAllocate",
    "items[].owner.interface_name",
    "interface name",
    "optional",
  ],
  ["IpamService/BatchAllocate", "items[].id", "id", "optional"],
  [
    "IpamService/BatchRelease",
    "items[].owner.network",
    "network name",
    "optional",
  ],
  [
    "IpamService/BatchRelease",
    "items[].owner.container_id",
    "container id",
    "required",
  ],
  [
    "IpamService/BatchRelease",
    "items[].owner.interface_name",
    "interface name",
    "optional",
  ],
  ["IpamService/BatchRelease", "items[].id", "id", "optional"],
  [
    "IpamService/KeepAlive",
    "items[].owner.network",
    "network name",
    "optional",
  ],
  [
    "IpamService/KeepAlive",
    "items[].owner.container_id",
    "container id",
    "required",
  ],
  [
    "IpamService/KeepAlive",
    "items[].owner.interface_name",
    "interface name",
    "optional",
  ],
  ["IpamService/KeepAlive", "items[].id", "id", "optional"],
  ["IpamService/BatchAllocate", "items[].addresses[]", "address", "required"],
  ["AgentService/ListHostRoutes", "page_size", "limit", "optional"],
  ["AgentService/ListHostRoutes", "node", "node", "optional"],
  ["AgentService/ListLog", "page_size", "limit", "optional"],
  ["ClusterService/GetOverview", "page_size", "limit", "optional"],
  ["IdentityService/ListTokens", "page_size", "limit", "optional"],
  ["IdentityService/ListCertificates", "page_size", "limit", "optional"],
  ["IpamService/Reserve", "node", "node", "optional"],
  ["IpamService/Reserve", "address", "address", "required"],
  ["IpamService/Reserve", "owner.network", "network name", "optional"],
  ["IpamService/Reserve", "owner.container_id", "container id", "required"],
  ["IpamService/Reserve", "owner.interface_name", "interface name", "optional"],
  ["IpamService/Reserve", "reason", "text", "optional"],
  ["IpamService/Unreserve", "node", "node", "optional"],
  ["IpamService/Unreserve", "address", "address", "required"],
  ["IpamService/ListReservations", "node", "node", "optional"],
  ["IpamService/ListReservations", "page_size", "limit", "optional"],
  ["IpamService/ListAddressRuns", "node", "node", "optional"],
  ["IpamService/ListAddressRuns", "prefix", "prefix", "optional"],
  ["IpamService/ListAddressRuns", "page_size", "limit", "optional"],
  ["ClusterService/GetPaths", "nodes[]", "node", "required"],
  ["ClusterService/Find", "what", "text", "required"],
  ["ClusterService/Find", "history", "limit", "optional"],
  ["ClusterService/FindHere", "what", "text", "required"],
  ["ClusterService/FindHere", "history", "limit", "optional"],
  ["ClusterService/ListEvents", "node", "node", "optional"],
  ["ClusterService/ListEvents", "page_size", "limit", "optional"],
  ["IpamService/Release", "node", "node", "optional"],
  ["IpamService/Release", "owner.network", "network name", "optional"],
  ["IpamService/Release", "owner.container_id", "container id", "required"],
  ["IpamService/Release", "owner.interface_name", "interface name", "optional"],
  ["IpamService/Release", "reason", "text", "optional"],
  ["IpamService/ReleaseOthers", "node", "node", "optional"],
  ["IpamService/ReleaseOthers", "network", "network name", "required"],
  ["IpamService/ReleaseOthers", "keep[].network", "network name", "optional"],
  [
    "IpamService/ReleaseOthers",
    "keep[].container_id",
    "container id",
    "required",
  ],
  [
    "IpamService/ReleaseOthers",
    "keep[].interface_name",
    "interface name",
    "optional",
  ],
  ["IpamService/CheckReady", "node", "node", "optional"],
  ["IpamService/GetAllocation", "node", "node", "optional"],
  ["IpamService/GetAllocation", "owner.network", "network name", "optional"],
  [
    "IpamService/GetAllocation",
    "owner.container_id",
    "container id",
    "required",
  ],
  [
    "IpamService/GetAllocation",
    "owner.interface_name",
    "interface name",
    "optional",
  ],
  ["IpamService/ListAllocations", "node", "node", "optional"],
  ["IpamService/ListAllocations", "page_size", "limit", "optional"],
  ["IpamService/ListAllocations", "page_token", "address", "optional"],
  ["IpamService/ListHistory", "node", "node", "optional"],
  ["IpamService/ListHistory", "address", "address", "optional"],
  ["IpamService/ListAllocations", "container_id", "container id", "optional"],
  ["IpamService/ListHistory", "container_id", "container id", "optional"],
  ["IpamService/ListHistory", "page_size", "limit", "optional"],
  ["IpamService/GetAllocation", "address", "address", "optional"],
  ["RegistryService/Join", "node", "node", "required"],
  ["RegistryService/Join", "instance_id", "id", "required"],
  ["RegistryService/Join", "advertised[]", "address", "required"],
  ["RegistryService/Join", "api_url", "URL", "optional"],
  ["RegistryService/Join", "local_prefixes[].cidr", "prefix", "required"],
  ["RegistryService/Join", "local_prefixes[].device", "text", "optional"],
  ["RegistryService/Join", "held_subnets[]", "prefix", "required"],
  ["RegistryService/Join", "cluster_id", "id", "optional"],
  ["RegistryService/Join", "process_id", "id", "optional"],
  ["RegistryService/GetHandover", "node", "node", "required"],
  ["RegistryService/GetHandover", "instance_id", "id", "required"],
  ["RegistryService/GetHandover", "page_token", "address", "optional"],
  ["RegistryService/FinishHandover", "node", "node", "required"],
  ["RegistryService/FinishHandover", "instance_id", "id", "required"],
  ["RegistryService/ReportOwners", "node", "node", "required"],
  ["RegistryService/ReportOwners", "instance_id", "id", "required"],
  ["RegistryService/ReportOwners", "owners[].node", "node", "required"],
  ["RegistryService/ReportOwners", "owners[].cidr", "prefix", "required"],
  ["RegistryService/ListNodes", "page_size", "limit", "optional"],
  ["RegistryService/ListSubnets", "page_size", "limit", "optional"],
  ["RegistryService/ListRoutes", "page_size", "limit", "optional"],
  ["RegistryService/ListNetworks", "page_size", "limit", "optional"],
  ["RegistryService/Heartbeat", "node", "node", "required"],
  ["RegistryService/Heartbeat", "instance_id", "id", "required"],
  ["RegistryService/Heartbeat", "process_id", "id", "optional"],
  ["RegistryService/RemoveNode", "node", "node", "required"],
  ["RegistryService/RemoveNode", "instance_id", "id", "optional"],
  ["RegistryService/ClaimSubnets", "node", "node", "optional"],
  ["RegistryService/ReleaseSubnets", "node", "node", "required"],
  ["RegistryService/ReserveSubnet", "cidr", "prefix", "required"],
  ["RegistryService/ReserveSubnet", "node", "node", "optional"],
  ["RegistryService/ReserveSubnet", "reason", "text", "optional"],
  ["RegistryService/UnreserveSubnet", "cidr", "prefix", "required"],
  ["RegistryService/AddRoute", "cidr", "prefix", "required"],
  ["RegistryService/AddRoute", "target", "address", "required"],
  ["RegistryService/DeleteRoute", "cidr", "prefix", "required"],
  ["RegistryService/DeleteRoute", "target", "address", "optional"],
];

/** Fields of requests that are not in the table, and why. */
export const NOT_PARSED: Readonly<Record<string, string>> = {
  ...notParsed("it is a boolean", "validate_only", [
    ...["Allocate", "BatchAllocate", "BatchRelease", "KeepAlive", "Release"]
      .concat("ReleaseOthers", "Reserve", "Unreserve")
      .map((call) => `IpamService/${call}`),
    ...["ClaimSubnets", "ReleaseSubnets", "RemoveNode", "ReserveSubnet"]
      .concat("UnreserveSubnet", "AddRoute", "DeleteRoute")
      .map((call) => `RegistryService/${call}`),
    "AgentService/Leave",
    ...["CreateToken", "RevokeToken", "RevokeCertificates", "RotateAuthority"]
      .map((call) => `IdentityService/${call}`),
  ]),
  ...notParsed("it is opaque, tested apart", "page_token", [
    ...["ListNetworks", "ListNodes", "ListSubnets", "ListRoutes"]
      .map((call) => `RegistryService/${call}`),
    ...["ListTokens", "ListCertificates"]
      .map((call) => `IdentityService/${call}`),
    ...["AgentService/ListHostRoutes", "AgentService/ListLog"],
    ...["ClusterService/GetOverview", "IpamService/ListReservations"],
    "IpamService/ListAddressRuns",
  ]),
  ...notParsed("it is a map, tested apart", "labels", [
    "IpamService/Allocate",
    "IpamService/ListAllocations",
  ]),
  ...notParsed("JSON has a text, tested apart", "ttl.seconds", [
    "IpamService/Allocate",
  ]),
  ...notParsed("JSON has a text, tested apart", "ttl.nanos", [
    "IpamService/Allocate",
  ]),
  "IpamService/BatchAllocate items[].labels": "it is a map, tested apart",
  "IpamService/BatchAllocate items[].ttl.seconds":
    "JSON has a text, tested apart",
  "IpamService/BatchAllocate items[].ttl.nanos":
    "JSON has a text, tested apart",
  "Network/ReleaseIP ip": "Stellar's clients send any text in it",
  "RegistryService/RemoveNode force": "both values are right",
  "AgentService/Leave force": "both values are right",
  "IpamService/Allocate attachment.boot_id": "the agent fills it in",
  "IpamService/Allocate attachment.netns_inode": "it is compared, not parsed",
  "IpamService/Release attachment.boot_id": "it is compared, not parsed",
  "IpamService/Release attachment.netns_inode": "it is compared, not parsed",
  "RegistryService/Heartbeat report": "it is bytes, tested apart",
  "RegistryService/Heartbeat marker": "it is a number, compared",
  "RegistryService/Heartbeat probe_keys_digest": "it is a number, compared",
  "RegistryService/Heartbeat report_digest": "it is a number, compared",
  ...Object.fromEntries(
    ["number", "at.seconds", "at.nanos", "kind", "subject", "text"].map((
      field,
    ) => [
      `RegistryService/Heartbeat events[].${field}`,
      "an event that is not believed is left out, tested apart",
    ]),
  ),
  "RegistryService/Join marker": "it is a number, compared",
  "RegistryService/Join revision": "it is a number, compared",
  "IpamService/ListAddressRuns at.seconds": "JSON has a text, tested apart",
  "IpamService/ListAddressRuns at.nanos": "JSON has a text, tested apart",
  "ClusterService/ListEvents page_token": "it is opaque, tested apart",
  "ClusterService/ListEvents since.seconds": "JSON has a text, tested apart",
  "ClusterService/ListEvents since.nanos": "JSON has a text, tested apart",
  "ClusterService/ListEvents until.seconds": "JSON has a text, tested apart",
  "ClusterService/ListEvents until.nanos": "JSON has a text, tested apart",
  "AgentService/ListAudit failed": "it is a boolean",
  "AgentService/ListAudit until.seconds": "JSON has a text, tested apart",
  "AgentService/ListAudit until.nanos": "JSON has a text, tested apart",
  "AgentService/ListAudit since.seconds": "JSON has a text, tested apart",
  "AgentService/ListAudit since.nanos": "JSON has a text, tested apart",
  ...Object.fromEntries(
    ["server_nonce", "client_nonce", "proof"].map((field) => [
      `IdentityService/FinishJoin ${field}`,
      "a proof is right or wrong as a whole",
    ]),
  ),
  "IdentityService/FinishJoin signing_request":
    "it is read once the proof was right",
  "IdentityService/RenewCertificate signing_request":
    "the caller is checked first",
  "IdentityService/RenewCertificate addresses[]": "the caller is checked first",
  "IdentityService/CreateToken role": "it is an enumeration",
  "IdentityService/FinishJoin roles[]": "it is an enumeration",
  "IdentityService/CreateToken max_uses": "it is planned with, tested apart",
  "IdentityService/RevokeCertificates role": "it is an enumeration",
  "IdentityService/RevokeCertificates serial":
    "its error does not quote it, tested apart",
  ...Object.fromEntries(
    ["CreateToken lifetime", "RotateAuthority announce"]
      .concat("RotateAuthority overlap")
      .flatMap((field) => [`${field}.seconds`, `${field}.nanos`])
      .map((field) => [
        `IdentityService/${field}`,
        "JSON has a text, tested apart",
      ]),
  ),
  "IdentityService/RotateAuthority compromised": "both values are right",
  "IpamService/ListAllocations leaked": "it is a boolean",
  "IpamService/ReleaseOthers keep_none": "it is a boolean, tested apart",
  "IpamService/ListHistory page_token": "it is opaque, tested apart",
  "AgentService/ListAudit page_token": "it is opaque, tested apart",
  "IpamService/ListHistory until.seconds": "JSON has a text, tested apart",
  "IpamService/ListHistory until.nanos": "JSON has a text, tested apart",
  "IpamService/ListHistory since.seconds": "JSON has a text, tested apart",
  "IpamService/ListHistory since.nanos": "JSON has a text, tested apart",
};

function notParsed(
  why: string,
  field: string,
  calls: readonly string[],
): Record<string, string> {
  return Object.fromEntries(calls.map((call) => [`${call} ${field}`, why]));
}
