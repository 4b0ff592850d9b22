import { dirname } from "node:path";
import type {
  AgentConfig,
  AgentSecurity,
  EtcdChoice,
} from "../config/config.ts";
import { keepFolders } from "../build/keep_folders.ts";
import { AGENT_READS } from "../build/permissions.ts";

/**
 * From here on an agent uses no files but those that its flags name.
 *
 * @param programDir folder of its own modules
 */
export async function keepAgentFolders(
  { stateDir, socketPath, store, security }: AgentConfig,
  programDir: string,
): Promise<void> {
  await keepFolders({
    // Its own modules too: some are loaded when they are needed.
    read: [programDir, ...AGENT_READS.map(({ path }) => path)]
      .concat(typeof store === "object" ? filesOf(store) : [])
      .concat(securityFiles(security)),
    write: [stateDir, dirname(socketPath)]
      .concat(Deno.env.get("NOTIFY_SOCKET")?.match(/^\/.*/) ?? []),
  });
}

function securityFiles(security: AgentSecurity): string[] {
  switch (security.kind) {
    case "cluster":
      return security.tokenPath === undefined ? [] : [security.tokenPath];
    case "given":
      return Object.values(security.paths);
    case "none":
      return [];
  }
}

function filesOf({ tls, user }: EtcdChoice): string[] {
  return [tls?.caPath, tls?.certPath, tls?.keyPath, user?.passwordPath]
    .filter((path) => path !== undefined);
}
