import { getLogger } from "@logtape/logtape";
import { NetError } from "../base/error.ts";
import { type Address, compareAddresses } from "../net/address.ts";
import type { Peer, Way } from "./peer.ts";
import { findMtu, likelyMtu } from "./plan/mtu_search.ts";
import type { ProbePings } from "./port.ts";

/** A ping of a second that takes longer was itself held up, in ms. */
const MAX_PING_MS = 1_500;
/**
 * Requests without an answer that decide even so. Up to five go out, and before
 * each of them the ping reads the answers that are there.
 */
const MIN_REQUESTS = 3;
/** Time between two pings of a path whose fault is known, and of one in doubt, in ms. */
const PING_INTERVAL_MS = { known: 10_000, doubt: 2_000 } as const;
/** Peers that are pinged at once. */
const MAX_PINGED = 4;
/** A small packet that every link carries, in bytes. */
const SMALL_BYTES = 84;

const log = getLogger(["stellar-net", "agent", "probe"]);

export interface PathPingsOptions {
  readonly pings: ProbePings;
  /** A monotonic clock, in ms. */
  readonly uptimeMs: () => number;
  /** Called when pings have told something of the path to a peer. */
  readonly onFound: (peer: Peer) => void;
}

/** Where to ping a peer, and when; no way without a common family. */
interface PingStart {
  readonly way: Way | undefined;
  readonly nowMs: number;
}

/** Decides by pings what probes leave open: whether a silent path is dead, and how wide a path is. */
export class PathPings {
  readonly #options: PathPingsOptions;
  #pinged = 0;

  constructor(options: PathPingsOptions) {
    this.#options = options;
  }

  /** Asks whether a silent path is dead, or its peer only does not answer probes. */
  async pingSilent(peer: Peer, { way, nowMs }: PingStart): Promise<void> {
    const isKnown = peer.path.state === "dead" ||
      peer.path.state === "unanswered";
    const isDue = isPingDue(nowMs - peer.pings.silentAtMs, isKnown);
    if (!way || !isDue || !this.#isFree(peer)) return;
    const { end, target, host } = way;
    peer.pings.silentAtMs = nowMs;
    await this.#pinging(peer, async () => {
      const isOther = compareAddresses(host, target) !== 0;
      const [path, alsoHost] = await Promise.all([
        this.#ping(target, { source: end.source }),
        isOther && this.#ping(host, { source: end.host }),
      ]);
      if (path === undefined || alsoHost === undefined) return;
      peer.reachesHost = alsoHost && alsoHost.isAnswered;
      const outcome = path.isAnswered ? "answered" : "lost";
      peer.path.notePing(outcome, this.#options.uptimeMs());
    });
  }

  /** Asks for the largest packet that passes, again and again while it is not the full one. */
  async measureWidth(peer: Peer, { way, nowMs }: PingStart): Promise<void> {
    const { path } = peer;
    const isKnown = path.narrowBytes !== undefined;
    const isDue = isPingDue(nowMs - peer.pings.widthAtMs, isKnown);
    if (!way || !isDue || !this.#isFree(peer)) return;
    const { end: { source, mtuBytes }, target } = way;
    const { pings, uptimeMs, onFound } = this.#options;
    peer.pings.widthAtMs = nowMs;
    await this.#pinging(peer, async () => {
      const probe = (packetBytes: number) =>
        pings.ping(target, { packetBytes, source });
      const full = await this.#ping(target, { packetBytes: mtuBytes, source });
      if (full === undefined) return;
      if (full.isAnswered) return path.noteWidth(undefined);
      if (path.isSilent(uptimeMs())) return;
      if (path.narrowBytes === undefined) path.noteWidth(0);
      onFound(peer);
      const passes = await findMtu({
        ...{ probe, passes: SMALL_BYTES, fails: mtuBytes },
        hint: full.mtuBytes,
      });
      path.noteWidth(likelyMtu(passes));
    });
  }

  #isFree(peer: Peer): boolean {
    return !peer.pings.areOut && this.#pinged < MAX_PINGED;
  }

  async #pinging(peer: Peer, run: () => Promise<void>): Promise<void> {
    peer.pings.areOut = true;
    this.#pinged++;
    try {
      await run();
    } catch (error) {
      if (!(error instanceof NetError)) throw error;
      log.debug("Cannot ping {peer}: {error}", { peer: peer.name, error });
    } finally {
      peer.pings.areOut = false;
      this.#pinged--;
    }
    this.#options.onFound(peer);
  }

  /** Pings an address. @returns undefined if this host could not find out */
  async #ping(
    address: Address,
    options: Parameters<ProbePings["ping"]>[1],
  ): Promise<Awaited<ReturnType<ProbePings["ping"]>> | undefined> {
    const { pings, uptimeMs } = this.#options;
    const startedAtMs = uptimeMs();
    const found = await pings.ping(address, options);
    const isLate = uptimeMs() - startedAtMs > MAX_PING_MS;
    const { silentRequests = MIN_REQUESTS } = found;
    return isLate && silentRequests < MIN_REQUESTS ? undefined : found;
  }
}

function isPingDue(sinceMs: number, isKnown: boolean): boolean {
  return sinceMs >= PING_INTERVAL_MS[isKnown ? "known" : "doubt"];
}
