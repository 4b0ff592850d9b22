import { getLogger } from "@logtape/logtape";
import { type ErrorCode, NetError } from "../base/error.ts";
import { sleep } from "../base/periodic_task.ts";
import type { JoinAnswer, RegistryPeer } from "../registry/peer.ts";
import type { JoinRequest } from "../registry/plan/join_plan.ts";
import type { SubnetOwner } from "../registry/plan/restore_grace.ts";
import type { ClusterEvent, ClusterView } from "../registry/view.ts";

/** A watch that is read. */
interface Reading {
  readonly end: AbortController;
  /** Resolves with its first event, or its end. */
  readonly first: Promise<"begun" | "over">;
  /** Resolves with why it ended; undefined when the registry did. */
  readonly over: Promise<{ readonly error: unknown }>;
}

/**
 * A watch of a registry that can move to another connection: it begins there,
 * with all that there is, before it ends here.
 */
export class RegistryWatch {
  readonly #peer: RegistryPeer;
  readonly #onEvent: (event: ClusterEvent) => void;
  #move = Promise.withResolvers<"move">();

  constructor(peer: RegistryPeer, onEvent: (event: ClusterEvent) => void) {
    this.#peer = peer;
    this.#onEvent = onEvent;
  }

  /** Moves to a new connection. Where that cannot be had it stays. */
  move(): void {
    this.#move.resolve("move");
  }

  /** Reads until it ends or the signal ends it. @returns why; undefined when the registry has ended it */
  async run(signal: AbortSignal): Promise<unknown> {
    let current = this.#read(signal);
    for (;;) {
      const next = await Promise.race([current.over, this.#move.promise]);
      if (next !== "move") return next.error;
      this.#move = Promise.withResolvers();
      const other = this.#read(signal);
      const what = await Promise.race([
        other.first,
        current.over.then(() => "begun" as const),
      ]);
      if (what === "over") continue;
      current.end.abort();
      await current.over;
      current = other;
    }
  }

  #read(signal: AbortSignal): Reading {
    const end = new AbortController();
    const stop = () => end.abort();
    signal.addEventListener("abort", stop);
    if (signal.aborted) stop();
    const first = Promise.withResolvers<"begun" | "over">();
    const read = async () => {
      try {
        for await (const event of this.#peer.watch(end.signal)) {
          if (end.signal.aborted) break;
          this.#onEvent(event);
          first.resolve("begun");
        }
        return { error: undefined };
      } catch (error) {
        return { error };
      } finally {
        signal.removeEventListener("abort", stop);
        first.resolve("over");
      }
    };
    return { end, first: first.promise, over: read() };
  }
}

const FIRST_BACK_OFF_MS = 200;
const MAX_BACK_OFF_MS = 5_000;
/** Time to the next attempt when the registry refuses: a person has to do something first. */
const REFUSED_MS = 5_000;
/** How long a call of the registry may take, in ms. */
const CALL_TIMEOUT_MS = 5_000;

/** What a registry says when a node is not what it says it is, or has lost its subnets. */
const REFUSALS: readonly ErrorCode[] = [
  "already_exists",
  "failed_precondition",
];

const log = getLogger(["stellar-net", "agent", "join"]);

/** What a loop tells of. Events come one after the other. */
export interface JoinLoopListener {
  /** The cluster as it was seen last. */
  readonly view: ClusterView;
  /** What to join with, as of now. */
  request(): JoinRequest;
  /** The registry took the node in. What follows waits for it. */
  onJoined(
    peer: RegistryPeer,
    answer: JoinAnswer,
    signal: AbortSignal,
  ): Promise<void>;
  onEvent(event: ClusterEvent): void;
  /** The registry does not answer. */
  onLost(peer: RegistryPeer, error: NetError): void;
  /** The registry answers that it does not want this node. */
  onRefused(peer: RegistryPeer, error: NetError): Promise<void>;
}

/** Options of a loop. */
export interface JoinLoopOptions {
  /** Agents that host the registry, tried in turn. */
  readonly peers: readonly RegistryPeer[];
  readonly listener: JoinLoopListener;
  /** A random number from 0 to 1. */
  readonly random: () => number;
  /** Waits for some milliseconds, or until a signal ends the wait. Default: sleep(). */
  readonly wait?: typeof sleep;
}

/**
 * Joins a registry, follows it and says again and again that this node is
 * alive; where one does not answer, the next is tried after a while.
 */
export class JoinLoop {
  readonly #options: JoinLoopOptions;
  readonly #stop = new AbortController();
  readonly #running: Promise<void>;
  #failures = 0;
  /** Wakes the heartbeat: what is joined with has changed. */
  #wake = new AbortController();
  /** Ends the wait for the next attempt. */
  #retry = new AbortController();
  #watching: RegistryWatch | undefined;

  constructor(options: JoinLoopOptions) {
    this.#options = options;
    this.#running = this.#run();
  }

  /** Joins again soon: what is joined with has changed. */
  joinAgain(): void {
    this.#wake.abort();
  }

  /**
   * Goes over to new connections: what this node shows has changed. What is
   * under way does not fail by that. A registry that was not reached is tried
   * again at once.
   */
  reconnect(): void {
    this.#retry.abort();
    this.#watching?.move();
  }

  /** Ends it. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { peers, listener, wait = sleep } = this.#options;
    const { signal } = this.#stop;
    let turn = 0;
    while (!signal.aborted) {
      const peer = peers[turn % peers.length]!;
      this.#retry = new AbortController();
      const error = await this.#follow(peer);
      if (signal.aborted) return;
      // One that answers, and does not know this node, is the one to join again.
      if (error.code !== "not_found") turn++;
      if (REFUSALS.includes(error.code)) {
        await listener.onRefused(peer, error);
        await wait(this.#jitter(REFUSED_MS), this.#retrySignal());
      } else {
        listener.onLost(peer, error);
        await wait(this.#backOffMs(), this.#retrySignal());
      }
    }
  }

  /** Follows one registry until it cannot be followed any more, and returns why. */
  async #follow(peer: RegistryPeer): Promise<NetError> {
    const end = new AbortController();
    const stop = () => end.abort();
    this.#stop.signal.addEventListener("abort", stop);
    try {
      await this.#join(peer, end.signal);
      const following = [
        this.#watch(peer, end.signal),
        this.#beat(peer, end.signal),
      ];
      const error = await Promise.race(following);
      end.abort();
      // Nothing of it is under way any more when the next is followed, or when
      // this node leaves.
      await Promise.all(following);
      return error;
    } catch (error) {
      return asNetError(error);
    } finally {
      this.#stop.signal.removeEventListener("abort", stop);
    }
  }

  async #join(peer: RegistryPeer, signal: AbortSignal): Promise<void> {
    this.#wake = new AbortController();
    const { listener } = this.#options;
    const request = listener.request();
    const answer = await peer.join(request, within(signal));
    // Before the cluster is seen as the registry knows it now.
    if (answer.isInRestoreGrace) {
      await peer.reportOwners(request, ownersIn(listener.view), within(signal));
    }
    await listener.onJoined(peer, answer, signal);
  }

  async #watch(peer: RegistryPeer, signal: AbortSignal): Promise<NetError> {
    const watch = new RegistryWatch(peer, (event) => {
      this.#failures = 0;
      this.#options.listener.onEvent(event);
    });
    this.#watching = watch;
    const error = await watch.run(signal);
    return error === undefined
      ? new NetError("unavailable", "The registry has ended the watch")
      : asNetError(error);
  }

  async #beat(peer: RegistryPeer, signal: AbortSignal): Promise<NetError> {
    const { listener, wait = sleep } = this.#options;
    const { node, instanceId } = listener.request();
    try {
      let intervalMs = await peer.heartbeat(
        { node, instanceId },
        within(signal),
      );
      while (!signal.aborted) {
        await wait(intervalMs, AbortSignal.any([signal, this.#wake.signal]));
        if (signal.aborted) break;
        if (this.#wake.signal.aborted) await this.#join(peer, signal);
        intervalMs = await peer.heartbeat({ node, instanceId }, within(signal));
      }
    } catch (error) {
      return asNetError(error);
    }
    return new NetError("cancelled", "The agent is stopping");
  }

  #retrySignal(): AbortSignal {
    return AbortSignal.any([this.#stop.signal, this.#retry.signal]);
  }

  #backOffMs(): number {
    const most = FIRST_BACK_OFF_MS * 2 ** Math.min(this.#failures++, 10);
    return this.#jitter(Math.min(most, MAX_BACK_OFF_MS));
  }

  /** Half of it to all of it: many agents do not come back at once. */
  #jitter(ms: number): number {
    return ms * (0.5 + this.#options.random() / 2);
  }
}

function ownersIn(view: ClusterView): SubnetOwner[] {
  return [...view.nodes.values()].flatMap(({ name, subnets }) =>
    subnets.map((subnet) => ({ node: name, subnet }))
  );
}

/** A signal that also ends a call that takes too long. */
function within(signal: AbortSignal): AbortSignal {
  return AbortSignal.any([signal, AbortSignal.timeout(CALL_TIMEOUT_MS)]);
}

function asNetError(error: unknown): NetError {
  if (error instanceof NetError) {
    const isLate = error.code === "cancelled" ||
      error.code === "deadline_exceeded";
    return isLate
      ? new NetError("unavailable", "it does not answer", { cause: error })
      : error;
  }
  log.error("Cannot follow the registry: {error}", { error });
  const message = error instanceof Error ? error.message : String(error);
  return new NetError("internal", message, { cause: error });
}
