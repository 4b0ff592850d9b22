import type { CommitResult, Store } from "./store.ts";
import type { AgentMetrics, CommitOutcome } from "../base/agent_metrics.ts";

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
