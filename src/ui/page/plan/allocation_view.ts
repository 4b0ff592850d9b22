import type {
  Allocation,
  Owner,
  WatchAllocationsResponse,
} from "../../../gen/stellar/net/v1/ipam_pb.ts";

/** The allocations of a node as the page knows them. */
export interface AllocationsState {
  /** By owner; undefined until the first snapshot is whole. */
  readonly byOwner: ReadonlyMap<string, Allocation> | undefined;
  /** To resume from; empty before the first snapshot. */
  readonly revision: string;
  /** Messages with more behind them. */
  readonly parts: readonly WatchAllocationsResponse[];
}

export const NO_ALLOCATIONS: AllocationsState = {
  byOwner: undefined,
  revision: "",
  parts: [],
};

/** Applies a message of the watch. The allocations change once all its parts are there. */
export function applyAllocations(
  state: AllocationsState,
  message: WatchAllocationsResponse,
): AllocationsState {
  const parts = [...state.parts, message];
  if (message.more) return { ...state, parts };
  const { revision } = message;
  const isSnapshot = parts.some(({ snapshot }) => snapshot);
  // Progress alone says nothing of allocations.
  if (!isSnapshot && !state.byOwner) return { ...state, parts: [] };
  const hasChanges = isSnapshot ||
    parts.some(({ allocations, removed }) =>
      allocations.length + removed.length > 0
    );
  if (!hasChanges) {
    return { ...state, revision: revision || state.revision, parts: [] };
  }
  const byOwner = new Map(isSnapshot ? [] : state.byOwner);
  for (const { allocations, removed } of parts) {
    for (const { owner } of removed) byOwner.delete(ownerKey(owner));
    for (const allocation of allocations) {
      byOwner.set(ownerKey(allocation.owner), allocation);
    }
  }
  return { byOwner, revision, parts: [] };
}

/** Tells owners apart. */
export function ownerKey(owner: Owner | undefined): string {
  return [owner?.network, owner?.containerId, owner?.interfaceName].join("\n");
}
