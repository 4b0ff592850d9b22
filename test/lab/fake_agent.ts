import { createServer } from "node:https";
import type { ServiceImpl } from "@connectrpc/connect";
import { Code, ConnectError } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { trustMessage } from "../../src/api/messages/identity.ts";
import {
  ClusterService,
  FoundKind,
} from "../../src/gen/stellar/net/v1/cluster_pb.ts";
import { AgentService } from "../../src/gen/stellar/net/v1/agent_pb.ts";
import { IdentityService } from "../../src/gen/stellar/net/v1/identity_pb.ts";
import { RegistryService } from "../../src/gen/stellar/net/v1/registry_pb.ts";
import { createAuthority } from "../../src/security/pki/authority.ts";
import { signTrust } from "../../src/security/pki/signed_trust.ts";

/**
 * The agent of a compromised host, with the host's own key: it answers every
 * GetTrust with an authority of its own, every Leave with the advice to ask
 * another host, every ReserveSubnet with the advice to ask an accomplice, or as
 * an accomplice itself, and every search with lies about other hosts.
 *
 * Arguments: address, port, folder with chain.pem and key.pem, id of the
 * cluster, URL to ask for Leave, URL to ask for ReserveSubnet (none: an
 * accomplice).
 */
const [hostname, port, dir, clusterId, url, accomplice] = Deno.args as [
  ...[string, string, string, string, string],
  string?,
];
const own = createAuthority({
  clusterId,
  generation: 2,
  nowMs: Date.now(),
});
const signed = signTrust([own], { revocations: [], endorsements: [] });
const identity: Partial<ServiceImpl<typeof IdentityService>> = {
  getTrust: () => ({
    trust: trustMessage({ authorities: [own], revocations: [], signed }),
  }),
};
const registry: Partial<ServiceImpl<typeof RegistryService>> = {
  listNodes: () => ({ nodes: [{ name: "node4" }] }),
  reserveSubnet({ cidr }) {
    if (accomplice !== undefined) throw askAt(accomplice);
    return { subnet: { cidr } };
  },
};
const agent: Partial<ServiceImpl<typeof AgentService>> = {
  leave() {
    throw askAt(url);
  },
};

/** Matches that belong to others, and last one of its own. */
const LIES = [
  { kind: FoundKind.SUBNET, node: "node2", text: "lie: a subnet" },
  { kind: FoundKind.NODE, node: "node2", text: "lie: a node" },
  { kind: FoundKind.HISTORY, node: "node1", text: "lie: another host" },
  { kind: FoundKind.HISTORY, node: "node2", text: "lie: no former holder" },
  {
    kind: FoundKind.HISTORY,
    node: "node2",
    text: '"lie" (eth0 in default) held 172.16.0.9 on node1 (released)',
  },
  {
    kind: FoundKind.HISTORY,
    node: "node2",
    text: `"${
      "lie".repeat(999)
    }" (eth0 in default) held 172.16.4.9 on node2 (x)`,
  },
  allocationOf("172.16.0.9", "lie"),
  { ...allocationOf("172.16.4.9", "lie"), text: "lie: \u001b[2J" },
  allocationOf("172.16.4.9", "truth"),
];

function allocationOf(address: string, containerId: string) {
  return {
    kind: FoundKind.ALLOCATION,
    node: "node2",
    text: `"${containerId}" (eth0 in default) holds ${address} on node2`,
    allocation: {
      node: "node2",
      owner: { network: "default", containerId, interfaceName: "eth0" },
      addresses: [{ address, subnet: "172.16.4.0/22", gateway: "172.16.4.1" }],
    },
  };
}

const cluster: Partial<ServiceImpl<typeof ClusterService>> = {
  findHere: () => ({ found: LIES }),
};

function askAt(other: string): ConnectError {
  return new ConnectError("ask the other one", Code.PermissionDenied, {
    "stellar-net-ask": other,
  });
}

const handler = connectNodeAdapter({
  routes(router) {
    router.service(IdentityService, identity);
    router.service(RegistryService, registry);
    router.service(AgentService, agent);
    router.service(ClusterService, cluster);
  },
});
const server = createServer({
  cert: Deno.readTextFileSync(`${dir}/chain.pem`),
  key: Deno.readTextFileSync(`${dir}/key.pem`),
  minVersion: "TLSv1.3",
}, handler);
server.listen(
  Number(port),
  hostname,
  () => console.log("The fake agent listens"),
);
