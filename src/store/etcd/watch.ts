import type { MessageInitShape } from "@bufbuild/protobuf";
import { ConnectError } from "@connectrpc/connect";
import { getLogger } from "@logtape/logtape";
import { NetError } from "../../base/error.ts";
import { BackOff, sleep } from "../../base/retry.ts";
import type {
  WatchCreateRequestSchema,
  WatchRequestSchema,
  WatchResponse,
} from "../../gen/etcd/etcd_pb.ts";
import { CompactedError, type EtcdClient, EtcdFailure } from "./client.ts";
import { decodeChange, type EtcdKeyspace, type KeyRange } from "./codec.ts";
import type { EtcdConnection } from "./connection.ts";
import type { Entry } from "../store.ts";
import type { WatchBacklog } from "../watch_backlog.ts";

export interface EtcdWatchOptions {
  readonly client: EtcdClient;
  readonly keyspace: EtcdKeyspace;
  /** The watched keys. */
  readonly range: KeyRange;
  /** Reads all of the range as of one revision. */
  readonly snapshot: () => Promise<EtcdSnapshot>;
  /** The revision of the store now. */
  readonly revision: () => Promise<bigint>;
  /** Ends the watch. */
  readonly signal: AbortSignal;
}

/** Entries as of one revision. */
export interface EtcdSnapshot {
  readonly entries: readonly Entry[];
  readonly revision: bigint;
}

/** Waits between two attempts to follow, in ms. */
const FIRST_BACK_OFF_MS = 50;
const MAX_BACK_OFF_MS = 2_000;

const log = getLogger(["stellar-net", "store"]);

/**
 * Follows a range of keys into a backlog, until its signal.
 *
 * After a break it resumes behind the last change that it has seen, at another
 * endpoint if necessary. It restarts from a snapshot when etcd has compacted
 * the next change, when the revision has gone back, and when the backlog was
 * dropped.
 */
export class EtcdWatch {
  readonly #options: EtcdWatchOptions;
  readonly #backlog: WatchBacklog;
  /** The revision of the next change; null: restart from a snapshot. */
  #next: bigint | null = null;
  readonly #backOff = new BackOff({
    firstMs: FIRST_BACK_OFF_MS,
    maxMs: MAX_BACK_OFF_MS,
    random: Math.random,
  });
  /** Why it cannot follow; undefined while it follows. */
  #problem: string | undefined;

  constructor(options: EtcdWatchOptions, backlog: WatchBacklog) {
    this.#options = options;
    this.#backlog = backlog;
  }

  /**
   * Follows until the signal.
   *
   * @throws {NetError} when the first snapshot cannot be read, and
   * `failed_precondition` when the data is damaged
   */
  async run(): Promise<void> {
    const { signal } = this.#options;
    let hasBegun = false;
    while (!signal.aborted) {
      try {
        await this.#begin();
        hasBegun = true;
        await this.#follow();
      } catch (error) {
        if (signal.aborted) return;
        if (error instanceof CompactedError) {
          this.#next = null;
        } else if (!hasBegun || !(error instanceof EtcdFailure)) {
          throw error;
        } else {
          this.#warn(error.message);
          await sleep(this.#backOff.next(), signal);
        }
      }
    }
  }

  /** Logs why it cannot follow: once, since etcd may be away for days. */
  #warn(problem: string): void {
    if (problem !== this.#problem) {
      log.warning("{problem}; trying again", { problem });
    }
    this.#problem = problem;
  }

  async #begin(): Promise<void> {
    if (this.#next === null) {
      const { entries, revision } = await this.#options.snapshot();
      this.#backlog.restart(entries);
      this.#next = revision + 1n;
    } else if (await this.#options.revision() < this.#next - 1n) {
      // etcd was restored from a backup.
      throw new CompactedError();
    }
  }

  async #follow(): Promise<void> {
    const { client, signal } = this.#options;
    const connection = await client.connect("watch");
    const stop = new AbortController();
    const onEnd = () => stop.abort();
    signal.addEventListener("abort", onEnd, { once: true });
    this.#backlog.onLost = onEnd;
    try {
      if (signal.aborted) return;
      await this.#read(connection, stop.signal);
      throw new ConnectError("the watch was closed");
    } catch (error) {
      if (signal.aborted) return;
      if (this.#backlog.isLost) {
        await this.#backlog.wanted();
        throw new CompactedError();
      }
      // An error of this store itself: damaged data, or a compacted revision.
      if (error instanceof NetError || error instanceof CompactedError) {
        throw error;
      }
      throw await client.fail(connection, { action: "watch", error });
    } finally {
      signal.removeEventListener("abort", onEnd);
      stop.abort();
    }
  }

  async #read(connection: EtcdConnection, signal: AbortSignal): Promise<void> {
    const { range: { start, end } } = this.#options;
    const create = {
      key: start,
      rangeEnd: end,
      startRevision: this.#next!,
    };
    const responses = connection.watch.watch(requestWatch(create, signal), {
      headers: connection.headers,
      signal,
    });
    for await (const response of responses) this.#take(response);
  }

  #take(response: WatchResponse): void {
    if (response.compactRevision > 0n) throw new CompactedError();
    if (response.canceled) throw new ConnectError(response.cancelReason);
    this.#backOff.reset();
    if (this.#problem !== undefined) log.info("Following etcd again");
    this.#problem = undefined;
    const { keyspace } = this.#options;
    const changes = response.events.map((event) =>
      decodeChange(event, keyspace)
    );
    const last = response.events.at(-1)?.kv?.modRevision;
    if (last === undefined) return;
    this.#backlog.push(changes);
    this.#next = last + 1n;
  }
}

/** One request. The stream stays open until the signal, since its end would end the watch. */
async function* requestWatch(
  value: MessageInitShape<typeof WatchCreateRequestSchema>,
  signal: AbortSignal,
): AsyncGenerator<MessageInitShape<typeof WatchRequestSchema>> {
  yield { requestUnion: { case: "createRequest", value } };
  if (signal.aborted) return;
  await new Promise((resolve) => signal.addEventListener("abort", resolve));
}
