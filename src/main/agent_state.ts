import { AuditStore } from "../audit/audit_store.ts";
import type { AgentConfig } from "../config/config.ts";
import { measureStore } from "../store/wrapped_store.ts";
import { FileReleaseQueue } from "../cni/file_release_queue.ts";
import { checkSecretFile } from "../system/secret_file.ts";
import type { Metrics } from "../metrics/metrics.ts";
import { openDenoKv } from "../store/deno_kv/deno_kv.ts";
import type { Store } from "../store/store.ts";
import { openRegistryStore } from "./stores.ts";

/** Where an agent keeps what it has to keep. */
export interface AgentState {
  /** Its own. */
  readonly store: Store;
  /** The registry's, where that is another. */
  readonly registryStore: Store | undefined;
  readonly audit: AuditStore;
  readonly queue: FileReleaseQueue;
  close(): Promise<void>;
}

/** Opens an agent's state. @throws {NetError} as `openDenoKv` does, and `failed_precondition` when others may read it */
export async function openAgentState(
  config: AgentConfig,
  metrics: Metrics,
): Promise<AgentState> {
  const { stateDir, socketPath, keepHistoryMs } = config;
  await using opened = new AsyncDisposableStack();
  const path = config.store === "memory" ? ":memory:" : `${stateDir}/state.db`;
  // Where this agent hosts the registry, it has the authority's key in it.
  if (config.store !== "memory") await checkSecretFile(path);
  const own = await openDenoKv({ path });
  opened.defer(() => own.close());
  const store = measureStore(own, metrics.agent);
  const audit = AuditStore.start({
    store,
    keepMs: keepHistoryMs,
    now: Date.now,
  });
  opened.defer(() => audit.stop());
  const shared = await openRegistryStore(config);
  if (shared) opened.defer(() => shared.close());
  const queue = FileReleaseQueue.open({
    path: `${stateDir}/queue`,
    socketPath,
  });
  const all = opened.move();
  return {
    store,
    registryStore: shared && measureStore(shared, metrics.agent),
    audit,
    queue,
    close: () => all.disposeAsync(),
  };
}
