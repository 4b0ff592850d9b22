import { timestampMs } from "@bufbuild/protobuf/wkt";
import { createClient, type Transport } from "@connectrpc/connect";
import type { PeerAnswer } from "../../doctor/path_facts.ts";
import { AgentService } from "../../gen/stellar/net/v1/agent_pb.ts";

const TIMEOUT_MS = 3_000;

/**
 * Asks an agent who it is.
 *
 * @throws {NetError} when it does not answer within some seconds
 */
export async function askAgent(transport: Transport): Promise<PeerAnswer> {
  const client = createClient(AgentService, transport);
  const { node, instanceId, version, now } = await client.getStatus(
    {},
    { timeoutMs: TIMEOUT_MS },
  );
  return { node, instanceId, version, nowMs: now ? timestampMs(now) : 0 };
}
