import { NetError } from "../../base/error.ts";
import { compareAddresses, parseAddress } from "../../net/address.ts";
import type { Call } from "../framework/call.ts";
import type { Allocation } from "../framework/client.ts";
import { readPages } from "../framework/list.ts";
import { type View, viewOf } from "../framework/view.ts";

type AllocationView = View<Allocation>;

/** A node whose allocations are not in a list of all nodes. */
export interface SilentNode {
  readonly node: string;
  /** Why, as far as it is known. */
  readonly problem: string;
}

/**
 * The allocations of all nodes in order of address: the last snapshot of each in
 * a watch. It waits for each node that is alive, at most for the timeout of a call.
 */
export async function readAllAllocations(
  call: Call,
): Promise<
  {
    readonly allocations: readonly AllocationView[];
    readonly silentNodes: readonly SilentNode[];
  }
> {
  const { ipam, registry } = call.clients();
  const nodes = await readPages(async (pageToken) => {
    const page = await registry.listNodes({ pageToken });
    return [page.nodes.map(viewOf), page.nextPageToken];
  });
  const silent = new Map(nodes.map(({ name, state }) => [
    name,
    state === "unreachable"
      ? "it sends no heartbeats"
      : "it did not answer in time",
  ]));
  const isAwaited = new Set(
    nodes.filter(({ state }) => state !== "unreachable")
      .map(({ name }) => name),
  );
  const found = new Map<string, readonly AllocationView[]>();
  /** The first pages of snapshots. */
  const partial = new Map<string, readonly AllocationView[]>();
  const stop = new AbortController();
  try {
    const messages = ipam.watchAllocations(
      { allNodes: true },
      { signal: stop.signal },
    );
    for await (const message of messages) {
      const { node, problem, more, snapshot, gone } = message;
      const before = partial.get(node) ?? [];
      partial.delete(node);
      if (problem !== "") silent.set(node, problem);
      else {
        const pages = [...before, ...message.allocations.map(viewOf)];
        if (more) {
          partial.set(node, pages);
          continue;
        }
        // An agent that is asked again begins with another snapshot.
        if (snapshot) found.set(node, pages);
        if (gone) found.delete(node);
        silent.delete(node);
      }
      isAwaited.delete(node);
      if (isAwaited.size === 0) break;
    }
  } catch (error) {
    const isLate = error instanceof NetError &&
      error.code === "deadline_exceeded";
    if (!isLate) throw error;
  } finally {
    stop.abort();
  }
  return {
    allocations: [...found.values()].flat()
      .filter(({ node }) => !silent.has(node))
      .sort((a, b) => compareAddresses(firstOf(a), firstOf(b))),
    silentNodes: [...silent].map(([node, problem]) => ({ node, problem })),
  };
}

function firstOf({ addresses: [first] }: AllocationView) {
  return parseAddress(first?.address ?? "0.0.0.0");
}
