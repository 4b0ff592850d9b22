import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { ServiceImpl } from "@connectrpc/connect";
import type { Agent } from "../../agent/agent.ts";
import type { AgentService } from "../../gen/stellar/net/v1/agent_pb.ts";
import { networkMessage, usageMessage } from "../convert.ts";

/** What the process around an agent knows. */
export interface ProcessInfo {
  readonly version: string;
  /** Where it listens: paths of sockets, and addresses with ports. */
  readonly listeners: () => readonly string[];
  /** What an operator should know. */
  readonly warnings: () => readonly string[];
}

/** The native service of what an agent tells about itself. */
export function createAgent(
  agent: Agent,
  process: ProcessInfo,
): ServiceImpl<typeof AgentService> {
  return {
    async getStatus() {
      const status = await agent.status();
      return {
        node: status.node,
        instanceId: status.instanceId,
        version: process.version,
        startedAt: timestampFromMs(status.startedAtMs),
        clusterId: status.cluster.clusterId,
        networks: status.cluster.networks.map(networkMessage),
        subnets: status.usage.map(usageMessage),
        nodes: status.nodes,
        routes: status.routes,
        store: status.store,
        listeners: [...process.listeners()],
        warnings: [...process.warnings()],
        queued: status.queued,
        leaked: status.leaked,
      };
    },
  };
}
