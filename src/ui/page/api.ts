import { type Client, ConnectError, createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-web";
import { AgentService } from "../../gen/stellar/net/v1/agent_pb.ts";
import { ClusterService } from "../../gen/stellar/net/v1/cluster_pb.ts";
import { IpamService } from "../../gen/stellar/net/v1/ipam_pb.ts";
import { RegistryService } from "../../gen/stellar/net/v1/registry_pb.ts";
import { withToken } from "./token.ts";

/**
 * The services of the agent behind the page. The server of the page passes on
 * calls that change nothing, with the rights of the user who started it.
 */
const transport = createConnectTransport({
  baseUrl: location.origin,
  useBinaryFormat: true,
  interceptors: [withToken],
});

export const agentApi: Client<typeof AgentService> = createClient(
  AgentService,
  transport,
);
export const clusterApi: Client<typeof ClusterService> = createClient(
  ClusterService,
  transport,
);
export const ipamApi: Client<typeof IpamService> = createClient(
  IpamService,
  transport,
);
export const registryApi: Client<typeof RegistryService> = createClient(
  RegistryService,
  transport,
);

/** Why a call failed, for people. A browser says of a server that is gone only that it is. */
export function explainError(error: unknown): string {
  const { rawMessage, cause } = ConnectError.from(error);
  return cause instanceof TypeError
    ? "the command stellar-net ui that serves this page does not answer: it has ended, or the connection to its host is cut"
    : rawMessage;
}
