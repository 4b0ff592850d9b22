import { parsePrefix } from "../../src/net/prefix.ts";
import type { ClusterEvent, ClusterNode } from "../../src/registry/feed.ts";

export function node(
  name: string,
  state: ClusterNode["state"] = "ready",
): ClusterNode {
  return {
    ...{ name, state, advertised: [], apiUrl: "" },
    subnets: [parsePrefix("172.16.0.0/22")],
    ...{ joinedAtMs: 0, seenAtMs: undefined },
  };
}

export function change(event: Partial<ClusterEvent>): ClusterEvent {
  return {
    ...{ revision: 1, isSnapshot: false, nodes: [], routes: [] },
    ...{ removedNodes: [], removedRoutes: [] },
    ...event,
  };
}

/** A registry that tests tell what to report to its watchers. */
export class FakeFeed {
  readonly #watchers = new Set<(event: ClusterEvent) => void>();

  send(event: ClusterEvent): void {
    for (const receive of this.#watchers) receive(event);
  }

  async *watch(signal: AbortSignal): AsyncGenerator<ClusterEvent> {
    yield change({ isSnapshot: true, nodes: [node("a")] });
    const waiting: ClusterEvent[] = [];
    let wake = Promise.withResolvers<void>();
    const receive = (event: ClusterEvent) => {
      waiting.push(event);
      wake.resolve();
    };
    this.#watchers.add(receive);
    signal.addEventListener("abort", () => wake.resolve());
    while (!signal.aborted) {
      yield* waiting.splice(0);
      wake = Promise.withResolvers();
      if (waiting.length === 0 && !signal.aborted) await wake.promise;
    }
    this.#watchers.delete(receive);
  }

  get watchers(): number {
    return this.#watchers.size;
  }
}
