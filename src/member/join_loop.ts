import { getLogger } from "@logtape/logtape";
import { type ErrorCode, NetError } from "../base/error.ts";
import { BackOff, sleep } from "../base/retry.ts";
import type { JoinAnswer, RegistryPeer } from "../registry/peer.ts";
import type { JoinRequest } from "../registry/plan/join_plan.ts";
import type { SubnetOwner } from "../registry/plan/restore_grace.ts";
import type { ClusterEvent, ClusterView } from "../registry/feed.ts";

/** Waits between attempts to reach a registry, in ms. */
const FIRST_BACK_OFF_MS = 200;
const MAX_BACK_OFF_MS = 5_000;
/** Wait after a registry has refused this node, in ms: a person has to act first. */
const REFUSED_MS = 5_000;
/** Most time for a call of the registry, in ms. */
const CALL_TIMEOUT_MS = 5_000;

/** The codes with which a registry refuses a node: its name is taken, or it has lost its subnets. */
const REFUSALS: readonly ErrorCode[] = [
  "already_exists",
  "failed_precondition",
];

const log = getLogger(["stellar-net", "agent", "join"]);

/** A watch that is being read. */
interface OpenWatch {
  readonly end: AbortController;
  /** Resolves with its first event, or its end. */
  readonly first: Promise<"begun" | "over">;
  /** Resolves when it has ended, with the error; undefined when the registry ended it. */
  readonly over: Promise<{ readonly error: unknown }>;
}

/**
 * A watch of a registry that can move to another connection: it ends on the old
 * one after the new one has sent its snapshot.
 */
export class RegistryWatch {
  readonly #peer: RegistryPeer;
  readonly #onEvent: (event: ClusterEvent) => void;
  #move = Promise.withResolvers<"move">();

  constructor(peer: RegistryPeer, onEvent: (event: ClusterEvent) => void) {
    this.#peer = peer;
    this.#onEvent = onEvent;
  }

  /** Moves to a new connection. If that fails, the watch stays on the old one. */
  move(): void {
    this.#move.resolve("move");
  }

  /** Reads until the watch or the signal ends. @returns the error; undefined when the registry ended the watch */
  async run(signal: AbortSignal): Promise<unknown> {
    let current = this.#read(signal);
    for (;;) {
      const next = await Promise.race([current.over, this.#move.promise]);
      if (next !== "move") return next.error;
      this.#move = Promise.withResolvers();
      const other = this.#read(signal);
      const outcome = await Promise.race([
        other.first,
        current.over.then(() => "begun" as const),
      ]);
      if (outcome === "over") continue;
      current.end.abort();
      await current.over;
      current = other;
    }
  }

  #read(signal: AbortSignal): OpenWatch {
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

/** The listener of a {@linkcode JoinLoop}. Its methods are called one after the other. */
export interface JoinLoopListener {
  /** The cluster as it was seen last. */
  readonly view: ClusterView;
  /** The request to join with now. */
  request(): JoinRequest;
  /** The registry has admitted the node. The loop waits for the promise. */
  onJoined(
    peer: RegistryPeer,
    answer: JoinAnswer,
    signal: AbortSignal,
  ): Promise<void>;
  onEvent(event: ClusterEvent): void;
  /** The registry has answered a heartbeat, so the view is right. */
  onHeard?(): void;
  /** The registry does not answer. */
  onLost(peer: RegistryPeer, error: NetError): void;
  /** The registry refuses this node. */
  onRefused(peer: RegistryPeer, error: NetError): Promise<void>;
}

export interface JoinLoopOptions {
  /** Agents that host the registry, tried in turn. */
  readonly peers: readonly RegistryPeer[];
  readonly listener: JoinLoopListener;
  readonly random: () => number;
  /** Waits for some milliseconds, or until a signal. Default: sleep(). */
  readonly wait?: typeof sleep;
}

/**
 * Joins a registry, follows it and sends heartbeats. When a registry does not
 * answer, it tries the next one after a back-off.
 */
export class JoinLoop {
  readonly #options: JoinLoopOptions;
  readonly #lost: BackOff;
  readonly #refused: BackOff;
  readonly #stop = new AbortController();
  readonly #running: Promise<void>;
  /** Wakes the heartbeat, to join again. */
  #wake = new AbortController();
  /** Wakes the heartbeat. */
  #beat = new AbortController();
  /** Ends the wait for the next attempt. */
  #retry = new AbortController();
  #watching: RegistryWatch | undefined;

  constructor(options: JoinLoopOptions) {
    const { random } = options;
    this.#options = options;
    this.#lost = new BackOff({
      firstMs: FIRST_BACK_OFF_MS,
      maxMs: MAX_BACK_OFF_MS,
      random,
    });
    this.#refused = new BackOff({ firstMs: REFUSED_MS, random });
    this.#running = this.#run();
  }

  /** Joins again soon: the request has changed. */
  joinAgain(): void {
    this.#wake.abort();
  }

  /** Sends the next heartbeat now. */
  beatSoon(): void {
    this.#beat.abort();
  }

  /**
   * Moves to new connections, since this node's certificate has changed. Calls
   * in flight do not fail. If no registry was reached, tries again at once.
   */
  reconnect(): void {
    this.#retry.abort();
    this.#watching?.move();
  }

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
      // A registry that does not know this node answers: join it again.
      if (error.code !== "not_found") turn++;
      const isRefused = REFUSALS.includes(error.code);
      if (isRefused) await listener.onRefused(peer, error);
      else listener.onLost(peer, error);
      const backOff = isRefused ? this.#refused : this.#lost;
      await wait(
        backOff.next(),
        AbortSignal.any([signal, this.#retry.signal]),
      );
    }
  }

  /** Follows one registry for as long as possible. Returns the error that ended it. */
  async #follow(peer: RegistryPeer): Promise<NetError> {
    const end = new AbortController();
    const stop = () => end.abort();
    this.#stop.signal.addEventListener("abort", stop);
    try {
      await this.#join(peer, end.signal);
      const following = [
        this.#watch(peer, end.signal),
        this.#sendHeartbeats(peer, end.signal),
      ];
      const error = await Promise.race(following);
      end.abort();
      // Both have ended before the next registry is followed or this node leaves.
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
    const answer = await peer.join(request, withTimeout(signal));
    // Before the registry's snapshot replaces the view.
    if (answer.isInRestoreGrace) {
      const owners = ownersIn(listener.view);
      await peer.reportOwners(request, owners, withTimeout(signal));
    }
    await listener.onJoined(peer, answer, signal);
  }

  /** Joins again. @returns false when this node has changed too often: a later attempt succeeds */
  async #tryToJoin(peer: RegistryPeer, signal: AbortSignal): Promise<boolean> {
    try {
      await this.#join(peer, signal);
      return true;
    } catch (error) {
      const isLimited = error instanceof NetError &&
        error.details.reason === "CLIENT_LIMIT";
      if (!isLimited) throw error;
      log.debug("Joining again later: {error}", { error: error.message });
      return false;
    }
  }

  async #watch(peer: RegistryPeer, signal: AbortSignal): Promise<NetError> {
    const watch = new RegistryWatch(peer, (event) => {
      this.#lost.reset();
      this.#options.listener.onEvent(event);
    });
    this.#watching = watch;
    const error = await watch.run(signal);
    return error === undefined
      ? new NetError("unavailable", "The registry has ended the watch")
      : asNetError(error);
  }

  async #sendHeartbeats(
    peer: RegistryPeer,
    signal: AbortSignal,
  ): Promise<NetError> {
    const { listener, wait = sleep } = this.#options;
    const { node, instanceId, processId } = listener.request();
    const agent = { node, instanceId, ...processId && { processId } };
    const beat = () => peer.heartbeat(agent, withTimeout(signal));
    let isDue = false;
    try {
      let intervalMs = await beat();
      listener.onHeard?.();
      while (!signal.aborted) {
        const wakes = [signal, this.#wake.signal, this.#beat.signal];
        await wait(intervalMs, AbortSignal.any(wakes));
        if (signal.aborted) break;
        this.#beat = new AbortController();
        if (isDue || this.#wake.signal.aborted) {
          isDue = !await this.#tryToJoin(peer, signal);
        }
        intervalMs = await beat();
        listener.onHeard?.();
      }
    } catch (error) {
      return asNetError(error);
    }
    return new NetError("cancelled", "The agent is stopping");
  }
}

function ownersIn(view: ClusterView): SubnetOwner[] {
  return [...view.nodes.values()].flatMap(({ name, subnets }) =>
    subnets.map((subnet) => ({ node: name, subnet }))
  );
}

/** A signal that also ends a call that takes too long. */
function withTimeout(signal: AbortSignal): AbortSignal {
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
