import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { createClient } from "@connectrpc/connect";
import type { AllocationEvent } from "../../addresses/allocation_feed.ts";
import type { Allocation } from "../../addresses/plan/allocation.ts";
import type { Agent } from "../../agent/agent.ts";
import { sleep } from "../../base/retry.ts";
import {
  AllocationSchema,
  IpamService,
  RemovedAllocationSchema,
  type WatchAllocationsResponseSchema,
} from "../../gen/stellar/net/v1/ipam_pb.ts";
import type { Peers } from "../client/peers.ts";
import { allocationMessage } from "../messages/addresses.ts";
import { fromConnectError } from "../messages/errors.ts";
import { fill, MAX_PAGE_BYTES } from "../messages/pages.ts";

/** Wait before a node that did not answer is watched again, in ms. */
const RETRY_MS = 2_000;

type Message = MessageInitShape<typeof WatchAllocationsResponseSchema>;

/** The parts that the watches of an agent need. */
export interface AllocationWatchOptions {
  readonly agent: Agent;
  readonly peers: Pick<Peers, "ofNode">;
  /** The time in ms since 1970. */
  readonly now: () => number;
}

/** Watches the allocations of one node that are kept by this agent. */
export async function* watchNode(
  { agent, now }: Pick<AllocationWatchOptions, "agent" | "now">,
  node: string,
  { from, signal }: { readonly from: string; readonly signal: AbortSignal },
): AsyncGenerator<Message> {
  for await (const event of agent.addresses.watch(node, { from, signal })) {
    yield* eventMessages(agent, node, event, now());
  }
  signal.throwIfAborted();
}

/** The messages of an event: as many as it takes to stay below 4 MiB each. */
function* eventMessages(
  agent: Agent,
  node: string,
  event: AllocationEvent,
  nowMs: number,
): Generator<Message> {
  let allocations: readonly Allocation[] = event.allocations;
  let removed = event.removed;
  const snapshot = event.kind === "snapshot";
  for (;;) {
    const part = fill(allocations, {
      schema: AllocationSchema,
      message: (allocation) =>
        allocationMessage(
          node,
          allocation,
          agent.addresses.stateOf(node, allocation),
        ),
    }, MAX_PAGE_BYTES / 2);
    const gone = fill(removed, {
      schema: RemovedAllocationSchema,
      message: ({ owner, id }) =>
        create(RemovedAllocationSchema, { owner, id }),
    }, MAX_PAGE_BYTES / 2);
    allocations = allocations.slice(part.length);
    removed = removed.slice(gone.length);
    const more = allocations.length + removed.length > 0;
    yield {
      node,
      snapshot,
      more,
      allocations: part,
      removed: gone,
      ...!more && {
        revision: event.revision,
        progress: true,
        asOf: timestampFromMs(nowMs),
      },
    };
    if (!more) return;
  }
}

/**
 * Watches the allocations of all nodes, at an agent that hosts the registry. It
 * asks the agent of each node, and reads from one only as fast as the watcher does.
 */
export async function* watchAllNodes(
  options: AllocationWatchOptions,
  from: Readonly<Record<string, string>>,
  signal: AbortSignal,
): AsyncGenerator<Message> {
  const { agent } = options;
  const stop = new AbortController();
  const end = AbortSignal.any([signal, stop.signal]);
  const merged = new Merged();
  const watched = new Map<string, AbortController>();
  const follow = async () => {
    for await (const event of agent.requireHost().nodes.watch(end)) {
      const names = event.nodes.map(({ name }) => name);
      const removed = event.isSnapshot
        ? [...watched.keys()].filter((name) => !names.includes(name))
        : event.removedNodes;
      for (const name of names) {
        if (watched.has(name)) continue;
        const one = new AbortController();
        watched.set(name, one);
        const watch = { from: from[name] ?? "" };
        void pump(options, name, {
          ...watch,
          put: (message) => merged.put(message),
          signal: AbortSignal.any([end, one.signal]),
        });
      }
      for (const node of removed) {
        watched.get(node)?.abort();
        watched.delete(node);
        await merged.put({ node, gone: true });
      }
    }
  };
  const following = follow().catch((error) => merged.fail(error));
  const onEnd = () => merged.fail(signal.reason);
  signal.addEventListener("abort", onEnd);
  try {
    yield* merged;
  } finally {
    signal.removeEventListener("abort", onEnd);
    stop.abort();
    merged.fail(new Error("the watcher has gone"));
    await following;
  }
}

/** Passes on what a node tells, again and again, until a signal. */
async function pump(
  { agent, peers, now }: AllocationWatchOptions,
  node: string,
  watch: {
    readonly from: string;
    readonly put: (message: Message) => Promise<void>;
    readonly signal: AbortSignal;
  },
): Promise<void> {
  const { put, signal } = watch;
  let { from } = watch;
  while (!signal.aborted) {
    let problem = "it has ended the watch";
    try {
      const peer = await peers.ofNode(node);
      const messages: AsyncIterable<Message> = peer
        ? createClient(IpamService, peer.transport).watchAllocations(
          { node, fromRevisions: from === "" ? {} : { [node]: from } },
          { signal },
        )
        : watchNode({ agent, now }, node, { from, signal });
      for await (const message of messages) {
        await put(message);
        if (message.revision) from = message.revision;
      }
    } catch (error) {
      if (signal.aborted) return;
      problem = fromConnectError(error).message;
    }
    if (signal.aborted) return;
    try {
      await put({ node, problem });
    } catch {
      // The watcher has gone.
      return;
    }
    await sleep(RETRY_MS, signal);
  }
}

/** A queue of several writers for one reader: each writer waits until its item is taken. */
class Merged {
  readonly #waiting: { message: Message; taken: () => void }[] = [];
  #wake = Promise.withResolvers<void>();
  #failure: { readonly error: unknown } | undefined;

  /** Resolves when the reader has taken a message. @throws when there is no reader any more */
  async put(message: Message): Promise<void> {
    if (this.#failure) throw this.#failure.error;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting.push({ message, taken: resolve });
    this.#wake.resolve();
    await promise;
  }

  /** Ends the reader with an error. Only the first one counts. */
  fail(error: unknown): void {
    this.#failure ??= { error };
    for (const { taken } of this.#waiting.splice(0)) taken();
    this.#wake.resolve();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Message> {
    for (;;) {
      if (this.#failure) throw this.#failure.error;
      const next = this.#waiting.shift();
      if (next) {
        next.taken();
        yield next.message;
        continue;
      }
      this.#wake = Promise.withResolvers();
      await this.#wake.promise;
    }
  }
}
