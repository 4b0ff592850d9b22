import { AuditStore } from "../audit/audit_store.ts";
import type { AgentConfig } from "../config/config.ts";
import { measureStore, type Store } from "../store/store.ts";
import { FileReleaseQueue } from "../cni/file_release_queue.ts";
import { findGroup } from "../system/groups.ts";
import { checkSecretFile } from "../system/secret_file.ts";
import type { Metrics } from "../metrics/metrics.ts";
import { openDenoKv } from "../store/deno_kv/deno_kv.ts";
import type { EtcdStore } from "../store/etcd/etcd.ts";

/** The stores and files of an agent. */
export interface AgentState {
  /** The agent's own. */
  readonly store: Store;
  /** The registry's; undefined where it is the agent's own. */
  readonly registryStore: Store | undefined;
  /** The certificates that etcd's members show, in PEM. */
  readonly etcdCertificates: () => readonly string[];
  readonly audit: AuditStore;
  readonly queue: FileReleaseQueue;
  close(): Promise<void>;
}

/** Opens the state of an agent. @throws {NetError} as `openDenoKv` does, and `failed_precondition` when others may read it */
export async function openAgentState(
  config: AgentConfig,
  metrics: Metrics,
): Promise<AgentState> {
  const { stateDir, socketPath, keepHistoryMs } = config;
  await using opened = new AsyncDisposableStack();
  const path = config.store === "memory" ? ":memory:" : `${stateDir}/state.db`;
  // The file of an agent that hosts the registry holds the CA's key.
  if (config.store !== "memory") await checkSecretFile(path);
  const own = await openDenoKv({ path });
  opened.defer(() => own.close());
  const store = measureStore(own, {
    metrics: metrics.agent,
    kind: "kv",
  });
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
    groupId: config.socketGroup === undefined
      ? undefined
      : await findGroup(config.socketGroup),
  });
  const all = opened.move();
  return {
    store,
    registryStore: shared && measureStore(shared, {
      metrics: metrics.agent,
      kind: "etcd",
    }),
    etcdCertificates: () => shared?.certificates ?? [],
    audit,
    queue,
    close: () => all.disposeAsync(),
  };
}

/**
 * Opens the registry's store in etcd; undefined where the registry is in the
 * agent's own store.
 *
 * @throws {NetError} `failed_precondition` when others may use a file with a secret
 */
export async function openRegistryStore(
  { store }: Pick<AgentConfig, "store">,
): Promise<EtcdStore | undefined> {
  if (typeof store !== "object") return undefined;
  for (const path of [store.tls?.keyPath, store.user?.passwordPath]) {
    if (path !== undefined) await checkSecretFile(path);
  }
  const { openEtcd } = await import("../store/etcd/etcd.ts");
  return await openEtcd(store);
}
