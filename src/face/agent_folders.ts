import { dirname } from "node:path";
import type { AgentConfig, EtcdChoice } from "../agent/config.ts";
import { keepFolders } from "../build/keep_folders.ts";
import { AGENT_READS } from "../build/permissions.ts";

/**
 * From here on an agent uses no files but those that its flags name.
 *
 * @param programDir folder of its own modules
 */
export async function keepAgentFolders(
  { stateDir, socketPath, store, tls }: AgentConfig,
  programDir: string,
): Promise<void> {
  await keepFolders({
    // Its own modules too: some are loaded when they are needed.
    read: [programDir, ...AGENT_READS.map(({ path }) => path)]
      .concat(typeof store === "object" ? filesOf(store) : [])
      .concat(tls ? [tls.certPath, tls.keyPath, tls.caPath] : []),
    write: [stateDir, dirname(socketPath)]
      .concat(Deno.env.get("NOTIFY_SOCKET")?.match(/^\/.*/) ?? []),
  });
}

function filesOf({ tls, user }: EtcdChoice): string[] {
  return [tls?.caPath, tls?.certPath, tls?.keyPath, user?.passwordPath]
    .filter((path) => path !== undefined);
}
