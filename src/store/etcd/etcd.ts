import type { MessageInitShape } from "@bufbuild/protobuf";
import { NetError } from "../../base/error.ts";
import {
  RangeRequest_SortOrder,
  type RangeRequestSchema,
  type RangeResponse,
} from "../../gen/etcd/etcd_pb.ts";
import { CompactedError, EtcdClient, EtcdFailure } from "./client.ts";
import {
  behind,
  decodeEntry,
  encodeCommit,
  ETCD_LIMITS,
  EtcdKeyspace,
  formatVersion,
  type KeyRange,
} from "./codec.ts";
import {
  checkEtcdOptions,
  type EtcdOptions,
  readPassword,
  readTls,
} from "./options.ts";
import { type EtcdSnapshot, EtcdWatch } from "./watch.ts";
import type {
  Commit,
  CommitResult,
  Entry,
  Key,
  ListOptions,
  Store,
  WatchEvent,
  WatchOptions,
} from "../store.ts";
import { WatchBacklog } from "../watch_backlog.ts";

/** Entries read at once. */
const PAGE_SIZE = 500;
/** Most restarts of a list whose revision etcd has compacted. */
const MAX_RESTARTS = 10;

/** A store in etcd. Other processes use it at the same time. */
export interface EtcdStore extends Store {
  /** The last problem of each endpoint (`h1:2379`); undefined when it has answered since, or was not needed. */
  readonly problems: ReadonlyMap<string, string | undefined>;
  /** The certificates of the members that it is connected to, in PEM; none in plain text. */
  readonly certificates: readonly string[];
}

/**
 * Opens a store in an etcd cluster, 3.4 to 3.6. It connects on first use.
 *
 * Reads are linearizable: each sees every commit before it, by any process.
 * Calls go to the first endpoint that answers; a failed one is tried last for a
 * while. A call ends within its time limit, with `unavailable` when no endpoint
 * could carry it out, and with `failed_precondition` when etcd refuses it:
 * credentials, permissions or certificates are wrong. A commit whose outcome is
 * not known is never repeated. A member that hangs may carry it out long after
 * it failed; to checks and watches it is then a commit like any other.
 *
 * A watch fails when its first snapshot cannot be read. After that it waits for
 * etcd for as long as necessary, and resumes without losing a change.
 *
 * @throws {RangeError} when the options cannot be right
 * @throws {NetError} `failed_precondition` when a file cannot be read
 */
export async function openEtcd(options: EtcdOptions): Promise<EtcdStore> {
  checkEtcdOptions(options);
  // Each connection reads them again; errors show at once.
  if (options.tls) await readTls(options.tls);
  if (options.user) await readPassword(options.user);
  return new EtcdStoreAdapter(options);
}

class EtcdStoreAdapter implements EtcdStore {
  readonly url: string;
  readonly limits = ETCD_LIMITS;
  readonly #keyspace: EtcdKeyspace;
  readonly #client: EtcdClient;
  readonly #pending = new Set<Promise<unknown>>();
  readonly #end = new AbortController();
  #closing: Promise<void> | null = null;

  constructor(options: EtcdOptions) {
    const { endpoints, prefix, tls } = options;
    this.url = `${tls ? "etcds" : "etcd"}://${endpoints.join(",")}${prefix}`;
    this.#keyspace = new EtcdKeyspace(prefix);
    const probeKey = this.#keyspace.below([]).start;
    this.#client = new EtcdClient({ ...options, url: this.url, probeKey });
  }

  get certificates(): readonly string[] {
    return this.#client.certificates;
  }

  get problems(): ReadonlyMap<string, string | undefined> {
    return this.#client.problems;
  }

  async get(key: Key): Promise<Entry | null> {
    const { kvs: [kv] } = await this.#range({
      key: this.#keyspace.encode(key),
    });
    return kv ? decodeEntry(kv, this.#keyspace) : null;
  }

  async *list(prefix: Key, options: ListOptions = {}): AsyncGenerator<Entry> {
    const range = this.#keyspace.select(prefix, options);
    const { limit = Infinity, reverse = false } = options;
    if (!(limit === Infinity || Number.isSafeInteger(limit)) || limit < 0) {
      throw new RangeError(
        `Cannot list: the limit ${limit} is not a number of entries`,
      );
    }
    if (range === null || limit === 0) return;
    for await (const page of this.#pages(range, { limit, reverse })) {
      for (const entry of page.entries) yield entry;
    }
  }

  async commit(commit: Commit): Promise<CommitResult> {
    const request = encodeCommit(commit, this.#keyspace);
    const { succeeded, header } = await this.#track(
      "write to",
      () =>
        this.#client.call({
          action: "write to",
          isRepeatable: false,
          run: ({ kv }, options) => kv.txn(request, options),
        }),
    );
    return succeeded
      ? { committed: true, version: formatVersion(header!.revision) }
      : { committed: false };
  }

  async *watch(
    prefix: Key,
    options: WatchOptions,
  ): AsyncGenerator<WatchEvent> {
    const range = this.#keyspace.below(prefix);
    this.#refuseWhenClosed("watch");
    if (options.signal.aborted) return;
    const left = new AbortController();
    const signal = AbortSignal.any([
      options.signal,
      this.#end.signal,
      left.signal,
    ]);
    const backlog = new WatchBacklog();
    signal.addEventListener("abort", () => backlog.end(), { once: true });
    const watch = new EtcdWatch({
      client: this.#client,
      keyspace: this.#keyspace,
      range,
      snapshot: () => this.#snapshot(range),
      revision: async () => (await this.#count(range)).header!.revision,
      signal,
    }, backlog);
    const running = watch.run().catch((error) => backlog.end(error));
    void this.#keep(running);
    try {
      yield* backlog.read();
    } finally {
      left.abort();
    }
  }

  close(): Promise<void> {
    return this.#closing ??= this.#close();
  }

  async #close(): Promise<void> {
    this.#end.abort();
    this.#client.stopWaiting();
    await Promise.allSettled(this.#pending);
    await this.#client.close();
  }

  /** Reads all of a range as of one revision. */
  async #snapshot(range: KeyRange): Promise<EtcdSnapshot> {
    for (let i = 0; i < MAX_RESTARTS; i++) {
      const entries: Entry[] = [];
      let revision: bigint | undefined;
      let isOne = true;
      const options = { limit: Infinity, reverse: false };
      for await (const page of this.#pages(range, options)) {
        revision ??= page.revision;
        isOne &&= revision === page.revision;
        if (!isOne) break;
        entries.push(...page.entries);
      }
      if (isOne) return { entries, revision: revision! };
    }
    throw this.#tooSlow();
  }

  /**
   * Reads a range, all pages as of one revision. When etcd compacts that
   * revision meanwhile, the remaining pages are of a later one.
   */
  async *#pages(
    range: KeyRange,
    { limit, reverse }: { readonly limit: number; readonly reverse: boolean },
  ): AsyncGenerator<EtcdSnapshot> {
    let rest: KeyRange | null = range;
    let revision = 0n;
    let left = limit;
    let restarts = 0;
    while (rest !== null && left > 0) {
      let page: RangeResponse;
      try {
        page = await this.#range({
          key: rest.start,
          rangeEnd: rest.end,
          limit: BigInt(Math.min(PAGE_SIZE, left)),
          revision,
          sortOrder: reverse
            ? RangeRequest_SortOrder.DESCEND
            : RangeRequest_SortOrder.NONE,
        });
      } catch (error) {
        if (!(error instanceof CompactedError)) throw error;
        if (restarts++ === MAX_RESTARTS) throw this.#tooSlow();
        revision = 0n;
        continue;
      }
      if (revision === 0n) revision = page.header!.revision;
      const entries = page.kvs.map((kv) => decodeEntry(kv, this.#keyspace));
      yield { entries, revision };
      if (!page.more) return;
      left -= entries.length;
      rest = behind(rest, { key: page.kvs.at(-1)!.key, reverse });
    }
  }

  #count({ start, end }: KeyRange): Promise<RangeResponse> {
    return this.#range({ key: start, rangeEnd: end, countOnly: true });
  }

  #range(
    request: MessageInitShape<typeof RangeRequestSchema>,
  ): Promise<RangeResponse> {
    return this.#track("read from", () =>
      this.#client.call({
        action: "read from",
        isRepeatable: true,
        run: ({ kv }, options) => kv.range(request, options),
      }));
  }

  #tooSlow(): EtcdFailure {
    return new EtcdFailure(
      "unavailable",
      `Cannot read from ${this.url}: etcd compacted it away ${MAX_RESTARTS} times ` +
        "before it was read; compact it less often, and keep 5m at least",
    );
  }

  #track<T>(action: string, call: () => Promise<T>): Promise<T> {
    this.#refuseWhenClosed(action);
    return this.#keep(call());
  }

  async #keep<T>(work: Promise<T>): Promise<T> {
    this.#pending.add(work);
    try {
      return await work;
    } finally {
      this.#pending.delete(work);
    }
  }

  #refuseWhenClosed(action: string): void {
    if (this.#closing === null) return;
    throw new NetError(
      "unavailable",
      `Cannot ${action} ${this.url}: it is closed`,
    );
  }
}
