import { NetError } from "../base/error.ts";
import type { CommitResult, Store } from "./store.ts";
import type { AgentMetrics, CommitOutcome } from "../base/agent_metrics.ts";

/**
 * The store of a registry that is hosted together with others, in which all that
 * goes wrong means that the registry is out of reach: credentials that are
 * refused, say. It is the store that is wrong then, not the node that asks: to
 * that a `failed_precondition` would mean that it is fenced.
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

/** A store whose commits are counted. It is the same in all else. */
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
