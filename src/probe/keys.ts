import { getLogger } from "@logtape/logtape";
import { Buffer } from "node:buffer";
import { NetError } from "../base/error.ts";
import { isObject } from "../base/json_reader.ts";
import type { JsonValue, Key, Store, Version } from "../store/store.ts";
import { digestKeys, type ProbeKey } from "./seal.ts";

/** Key of the probe keys in the registry's store. */
const RING_KEY: Key = ["probe", "ring"];
/** Key of those that a member knows, in its own store. */
const KNOWN_KEY: Key = ["probe", "known"];
/** Age at which the latest key gets a successor, in ms. */
export const ROTATION_MS = 6 * 3_600_000;
/** The key to send with, the one before and the one behind it. */
const MAX_KEYS = 3;
const MAX_ID = 255;
const SECRET_BYTES = 32;
/** Time for which keys that were read count, in ms: each heartbeat asks for them. */
const CACHE_MS = 5_000;
const log = getLogger(["stellar-net", "agent", "probe"]);

/** Attempts when other agents of the registry make keys at the same moment. */
const MAX_ATTEMPTS = 5;

interface RingRecord {
  readonly keys: readonly ProbeKey[];
  /** When the latest key was made, in ms since 1970. */
  readonly madeAtMs: number;
}

export interface ProbeKeyRingOptions {
  /** The registry's store. */
  readonly store: Store;
  /** The time in ms since 1970. */
  readonly now: () => number;
  /** A monotonic clock, in ms. */
  readonly uptimeMs: () => number;
  readonly randomBytes: (count: number) => Uint8Array<ArrayBuffer>;
}

/**
 * The keys that the registry hands out to members, the latest last. A key is
 * handed out one rotation before members send with it, and authenticates packets
 * for one rotation after that: a member may miss the registry for as long.
 */
export class ProbeKeyRing {
  readonly #options: ProbeKeyRingOptions;
  #keys: readonly ProbeKey[] = [];
  #readAtMs = -Infinity;
  /** The version of the keys that was read last, and when it was first seen here. */
  #seen: { readonly version: Version | null; readonly atMs: number } = {
    version: null,
    atMs: -Infinity,
  };

  constructor(options: ProbeKeyRingOptions) {
    this.#options = options;
  }

  /**
   * The keys that were read last; none before the first time. Reads them again
   * once they are old: a heartbeat does not wait for the store.
   */
  get latest(): readonly ProbeKey[] {
    const isOld = this.#options.uptimeMs() - this.#readAtMs >= CACHE_MS;
    if (isOld) {
      this.read().catch((error) =>
        log.debug("Cannot read the keys of probes: {error}", { error })
      );
    }
    return this.#keys;
  }

  /** Reads the keys, and makes the next one when it is time. @throws {NetError} as the store does */
  async read(): Promise<readonly ProbeKey[]> {
    this.#readAtMs = this.#options.uptimeMs();
    return this.#keys = await this.#readNow();
  }

  async #readNow(): Promise<readonly ProbeKey[]> {
    const { store, now, uptimeMs } = this.#options;
    for (let i = 0; i < MAX_ATTEMPTS; i++) {
      const entry = await store.get(RING_KEY);
      const { keys, madeAtMs } = readRing(entry?.value);
      const version = entry?.version ?? null;
      if (version !== this.#seen.version) {
        this.#seen = { version, atMs: uptimeMs() };
      }
      // A clock that was set back must not stop the rotation, and agents whose
      // clocks differ must not make one key after the other.
      const isDue = now() - madeAtMs >= ROTATION_MS ||
        uptimeMs() - this.#seen.atMs >= ROTATION_MS;
      if (keys.length > 0 && !isDue) return keys;
      const next = [...keys, this.#makeKey(keys)].slice(-MAX_KEYS);
      const value = { madeAtMs: now(), keys: next.map(keyValue) };
      const { committed } = await store.commit({
        checks: [{ key: RING_KEY, version }],
        puts: [{ key: RING_KEY, value }],
      });
      if (committed) return next;
    }
    throw new NetError(
      "unavailable",
      "Cannot make a key for probes: other agents change the keys all the time",
    );
  }

  #makeKey(keys: readonly ProbeKey[]): ProbeKey {
    const id = (keys.at(-1)?.id ?? 0) % MAX_ID + 1;
    return { id, secret: this.#options.randomBytes(SECRET_BYTES) };
  }
}

/** The keys that a member knows. They outlive a restart without the registry. */
export class KnownProbeKeys {
  readonly #store: Store;
  #keys: readonly ProbeKey[];

  private constructor(store: Store, keys: readonly ProbeKey[]) {
    this.#store = store;
    this.#keys = keys;
  }

  static async open(store: Store): Promise<KnownProbeKeys> {
    const entry = await store.get(KNOWN_KEY);
    return new KnownProbeKeys(store, readRing(entry?.value).keys);
  }

  /** The latest is the last. */
  get keys(): readonly ProbeKey[] {
    return this.#keys;
  }

  /** See {@linkcode digestKeys}. */
  get digest(): number {
    return digestKeys(this.#keys);
  }

  /** Takes the keys that the registry hands out. They are lost with a restart if the store fails. */
  async update(keys: readonly ProbeKey[]): Promise<void> {
    const isSame = keys.length === this.#keys.length &&
      keys.every(({ secret }, i) =>
        Buffer.compare(secret, this.#keys[i]!.secret) === 0
      );
    if (isSame) return;
    this.#keys = keys;
    const value = { keys: keys.map(keyValue) };
    try {
      await this.#store.commit({ puts: [{ key: KNOWN_KEY, value }] });
    } catch (error) {
      // A heartbeat brought them, and must not fail with a full disk.
      if (!(error instanceof NetError)) throw error;
      log.warn("Cannot keep the keys of probes over a restart: {error}", {
        error,
      });
    }
  }
}

function keyValue({ id, secret }: ProbeKey): JsonValue {
  return { id, secret: Buffer.from(secret).toString("base64") };
}

/** Reads a record; a damaged one has no keys, and is made anew. */
function readRing(value: JsonValue | undefined): RingRecord {
  const record = isObject(value) ? value : {};
  const { keys, madeAtMs } = record;
  return {
    keys: Array.isArray(keys) ? keys.flatMap(readKey) : [],
    madeAtMs: typeof madeAtMs === "number" ? madeAtMs : 0,
  };
}

function readKey(value: JsonValue): ProbeKey[] {
  if (!isObject(value)) return [];
  const { id, secret } = value;
  if (typeof id !== "number" || typeof secret !== "string") return [];
  const bytes = new Uint8Array(Buffer.from(secret, "base64"));
  return bytes.length === SECRET_BYTES ? [{ id, secret: bytes }] : [];
}
