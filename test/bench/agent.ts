import { createClient } from "@connectrpc/connect";
import { RegistryService } from "../../src/gen/stellar/net/v1/registry_pb.ts";
import { createRpcTransport } from "../../src/api/client/client.ts";
import { waitFor } from "../support/wait_for.ts";
import {
  spawnAgent,
  type SpawnAgentOptions,
  type SpawnedAgent,
} from "../support/spawn_agent.ts";
import config from "../../deno.json" with { type: "json" };

/** What V8 is told where an agent is started as docs/performance.md has it. */
export const V8_FLAGS = /--v8-flags=(\S+)/.exec(
  config.tasks.start.command,
)![1]!;

/** Starts an agent whose node gets a whole subnet of the given length. */
export function startAgent(
  subnetPrefix: number,
  { args = [], ...options }: SpawnAgentOptions = {},
): Promise<SpawnedAgent> {
  return spawnAgent({
    ...options,
    args: ["--network", "10.0.0.0/8", "--subnet-prefix", String(subnetPrefix)]
      .concat("--cool-down", "1s", args),
    env: { DENO_V8_FLAGS: V8_FLAGS },
  });
}

/**
 * Starts an agent that keeps the registry of 8,192 nodes: some are those that
 * this host's own prefixes exclude.
 *
 * @param store where it keeps it. Default: Deno KV, in its state
 */
export async function startRegistry(
  store?: string,
  node = "registry",
): Promise<SpawnedAgent> {
  const agent = await spawnAgent({
    node,
    args: ["--network", "10.0.0.0/8", "--subnet-prefix", "21"]
      .concat("--log-level", "warning", store ? ["--store", store] : []),
    env: { DENO_V8_FLAGS: V8_FLAGS },
  });
  const registry = createClient(
    RegistryService,
    createRpcTransport({ url: agent.url }),
  );
  // It serves before a store of others has answered.
  await waitFor("the registry to be open", async () => {
    await registry.listNetworks({});
    return true;
  });
  return agent;
}
