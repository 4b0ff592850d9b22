import { RecentMap } from "../base/recent_map.ts";
import type { Key, Store } from "../store/store.ts";
import type { ClusterHappening } from "./plan/events.ts";

/** Time after a request within which the change that it makes is observed, in ms. */
const VALID_MS = 30_000;
/** Requests that are remembered. */
const MAX_REQUESTS = 1_000;
/** Prefix of the requests in the store of several agents. */
const PREFIX: Key = ["requester"];

/** What a request changes: an extra route, in canonical form, or a node. */
export type Requested = `route ${string}` | `node ${string}`;

interface Request {
  readonly by: string;
  readonly atMs: number;
}

/**
 * Remembers the callers of changes for a moment, so that the events of these
 * changes name them. Of several agents that host one registry, the one that is
 * called need not be the one that records: it puts the caller into the store.
 */
export class Requesters {
  readonly #options: {
    readonly store: Store;
    readonly isShared: boolean;
    readonly now: () => number;
  };
  readonly #requests = new RecentMap<string, Request>(MAX_REQUESTS);

  constructor(
    options: {
      readonly store: Store;
      readonly isShared: boolean;
      /** The time in ms since 1970. */
      readonly now: () => number;
    },
  ) {
    this.#options = options;
  }

  /** Remembers the caller of a change that is about to be made. Never fails. */
  async note(what: Requested, by: string): Promise<void> {
    const { store, isShared, now } = this.#options;
    const atMs = now();
    this.#requests.set(what, { by, atMs });
    if (!isShared) return;
    try {
      const key = [...PREFIX, what];
      await store.commit({ puts: [{ key, value: { by, atMs } }] });
    } catch {
      // The change itself will say that the store is out of reach.
    }
  }

  /** The caller that an event's change was requested by; empty for none. */
  async find(event: ClusterHappening): Promise<string> {
    const what = requestedOf(event);
    if (what === undefined) return "";
    const own = this.#validOf(this.#requests.get(what));
    if (own !== "" || !this.#options.isShared) return own;
    try {
      const entry = await this.#options.store.get([...PREFIX, what]);
      return this.#validOf(entry?.value as Request | undefined);
    } catch {
      return "";
    }
  }

  /** Removes what is out of date from the store of several agents. */
  async prune(): Promise<void> {
    const { store, now } = this.#options;
    const old: Key[] = [];
    for await (const { key, value } of store.list(PREFIX)) {
      const { atMs } = value as unknown as Request;
      if (now() - atMs > VALID_MS) old.push(key);
    }
    while (old.length > 0) {
      await store.commit({ deletes: old.splice(0, store.limits.maxMutations) });
    }
  }

  #validOf(request: Request | undefined): string {
    return request && this.#options.now() - request.atMs <= VALID_MS
      ? request.by
      : "";
  }
}

function requestedOf(event: ClusterHappening): Requested | undefined {
  switch (event.kind) {
    case "route added":
    case "route deleted":
      return `route ${event.subject}`;
    case "joined":
    case "left":
    case "subnet claimed":
    case "subnet grown":
    case "subnet returned":
      return `node ${event.node}`;
    default:
      return undefined;
  }
}
