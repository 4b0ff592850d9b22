import { useEffect, useState } from "preact/hooks";
import { BackOff, sleep } from "../../../base/retry.ts";
import type { Allocation } from "../../../gen/stellar/net/v1/ipam_pb.ts";
import { explainError, ipamApi } from "../api.ts";
import {
  type AllocationsState,
  applyAllocations,
  NO_ALLOCATIONS,
} from "../plan/allocation_view.ts";
import type { Loaded } from "./use_load.ts";

const FIRST_RETRY_MS = 500;
const MAX_RETRY_MS = 10_000;

/** The allocations of a node, kept up to date. @param node empty: none is followed */
export function useAllocations(
  node: string,
): Loaded<ReadonlyMap<string, Allocation>> {
  const [followed, setFollowed] = useState<
    Loaded<ReadonlyMap<string, Allocation>> & { readonly node: string }
  >({ value: undefined, why: undefined, node });
  useEffect(() => {
    if (node === "") return;
    const ending = new AbortController();
    void follow(node, ending.signal, (state) => {
      if (!ending.signal.aborted) setFollowed({ ...state, node });
    });
    return () => ending.abort();
  }, [node]);
  return followed.node === node
    ? followed
    : { value: undefined, why: undefined };
}

async function follow(
  node: string,
  signal: AbortSignal,
  show: (state: Loaded<ReadonlyMap<string, Allocation>>) => void,
): Promise<void> {
  const backOff = new BackOff({
    firstMs: FIRST_RETRY_MS,
    maxMs: MAX_RETRY_MS,
    random: Math.random,
  });
  let state: AllocationsState = NO_ALLOCATIONS;
  while (!signal.aborted) {
    let why = "the stream has ended";
    try {
      const fromRevisions: Record<string, string> = state.revision === ""
        ? {}
        : { [node]: state.revision };
      const stream = ipamApi.watchAllocations({ node, fromRevisions }, {
        signal,
      });
      for await (const message of stream) {
        state = applyAllocations(state, message);
        backOff.reset();
        show({ value: state.byOwner, why: undefined });
      }
    } catch (error) {
      why = explainError(error);
    }
    state = { ...state, parts: [] };
    if (!signal.aborted) show({ value: state.byOwner, why });
    await sleep(backOff.next(), signal);
  }
}
