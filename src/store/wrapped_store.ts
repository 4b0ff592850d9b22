import { NetError } from "../base/error.ts";
import type { CommitResult, Store } from "./store.ts";
import type { AgentMetrics, CommitOutcome } from "../base/agent_metrics.ts";

/**
 * The store of a registry that several agents host. Its `failed_precondition`
 * errors become `unavailable`: when etcd refuses the credentials, the fault is
 * the store's, while a joining node would take `failed_precondition` as fencing.
 */
export function asRegistryStore(store: Store): Store {
  return {
    url: store.url,
    limits: store.limits,
    get: (key) => store.get(key).catch(rethrow),
    async *list(prefix, options) {
      try {
        yield* store.list(prefix, options);
      } catch (error) {
        rethrow(error);
      }
    },
    commit: (commit) => store.commit(commit).catch(rethrow),
    async *watch(prefix, options) {
      try {
        yield* store.watch(prefix, options);
      } catch (error) {
        rethrow(error);
      }
    },
    close: () => store.close(),
  };
}

function rethrow(error: unknown): never {
  if (error instanceof NetError && error.code === "failed_precondition") {
    throw new NetError("unavailable", error.message, { cause: error });
  }
  throw error;
}

/** The same store, with metrics of its commits. */
export function measureStore(store: Store, metrics: AgentMetrics): Store {
  return {
    url: store.url,
    limits: store.limits,
    get: (key) => store.get(key),
    list: (prefix, options) => store.list(prefix, options),
    watch: (prefix, options) => store.watch(prefix, options),
    close: () => store.close(),
    async commit(commit): Promise<CommitResult> {
      const { puts = [], deletes = [] } = commit;
      const size = {
        mutations: puts.length + deletes.length,
        startedAtMs: metrics.clock(),
      };
      let outcome: CommitOutcome = "failed";
      try {
        const result = await store.commit(commit);
        outcome = result.committed ? "committed" : "conflict";
        return result;
      } finally {
        metrics.committed(outcome, size);
      }
    },
  };
}
