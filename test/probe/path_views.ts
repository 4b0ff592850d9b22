import type { PathView } from "../../src/probe/plan/verdict.ts";

/** A path to a neighbour without a fault, but for some changes. */
export function pathView(changes: Partial<PathView> = {}): PathView {
  return {
    ...{ peer: "host2", state: "alive", sinceMs: 1_000, isNeighbour: true },
    ...{ rttMs: undefined, loss: { out: 0, in: 0 } },
    isLossy: { out: false, in: false },
    ...{ fullBytes: 1500, narrowBytes: undefined },
    ...{
      hearsPeer: true,
      reachesHost: false,
      endsAtHost: false,
      isReady: true,
    },
    ...changes,
  };
}
