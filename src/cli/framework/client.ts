import { type Client, createClient, type Transport } from "@connectrpc/connect";
import { AgentService } from "../../gen/stellar/net/v1/agent_pb.ts";
import { ClusterService } from "../../gen/stellar/net/v1/cluster_pb.ts";
import { IdentityService } from "../../gen/stellar/net/v1/identity_pb.ts";
import { IpamService } from "../../gen/stellar/net/v1/ipam_pb.ts";
import { RegistryService } from "../../gen/stellar/net/v1/registry_pb.ts";

// Only this module and view.ts import the generated code.
export type {
  Check,
  GetStatusResponse,
  HostRoute,
  ListHostRoutesResponse,
  RegistryLink,
} from "../../gen/stellar/net/v1/agent_pb.ts";
export type {
  Authority,
  Certificate,
  Token,
} from "../../gen/stellar/net/v1/identity_pb.ts";
export { Role } from "../../gen/stellar/net/v1/identity_pb.ts";
export type {
  Event as ClusterEvent,
  GetOverviewResponse,
  HostSummary,
} from "../../gen/stellar/net/v1/cluster_pb.ts";
export type {
  Allocation,
  Reservation,
} from "../../gen/stellar/net/v1/ipam_pb.ts";
export type {
  Node,
  Route,
  Subnet,
} from "../../gen/stellar/net/v1/registry_pb.ts";

/** Clients of an agent's services. */
export interface AgentClients {
  readonly agent: Client<typeof AgentService>;
  readonly cluster: Client<typeof ClusterService>;
  readonly identity: Client<typeof IdentityService>;
  readonly ipam: Client<typeof IpamService>;
  readonly registry: Client<typeof RegistryService>;
}

/** Makes the clients of the agent behind a transport. */
export function createClients(transport: Transport): AgentClients {
  return {
    agent: createClient(AgentService, transport),
    cluster: createClient(ClusterService, transport),
    identity: createClient(IdentityService, transport),
    ipam: createClient(IpamService, transport),
    registry: createClient(RegistryService, transport),
  };
}
