import { getLogger } from "@logtape/logtape";
import {
  type Address,
  compareAddresses,
  formatAddress,
  parseAddress,
} from "../net/address.ts";
import type { ProbePacket } from "./plan/packet.ts";
import { Path } from "./plan/path.ts";
import {
  addressesOf,
  type OwnEnd,
  type PathEnds,
  pathEnds,
  type ProbedNode,
} from "./plan/peers.ts";
import { Allowance } from "./plan/schedule.ts";
import type { PathView } from "./plan/verdict.ts";

/** Answers a second to one peer, and those saved up. */
const ANSWERS = { perSecond: 16, most: 24 } as const;

const log = getLogger(["stellar-net", "agent", "probe"]);

/** A node of the cluster, as the registry tells. */
export interface ProberNode extends ProbedNode {
  readonly state: "ready" | "unreachable" | "no agent";
}

/** Where probes to a peer go from and to. */
export interface Way {
  readonly end: OwnEnd;
  readonly target: Address;
  /** The address of the peer's host, which may be the target. */
  readonly host: Address;
}

/** Another node, its addresses, the path to it, and the state that this host shows of that path. */
export class Peer {
  /** Its id in packets. */
  readonly id: bigint;
  readonly path = new Path();
  /** Bounds the answers that it gets. */
  readonly answers: Allowance;
  /** Whether it gets requests in every round. */
  isNeighbour = false;
  /** Whether pings are out, and when the last ones of each purpose began, in ms of uptime. */
  readonly pings = {
    areOut: false,
    silentAtMs: -Infinity,
    widthAtMs: -Infinity,
  };
  /** Whether the last pings of a silent path reached the host behind a silent gateway. */
  reachesHost = false;
  #node: ProberNode;
  #ends: readonly PathEnds[] = [];
  #addresses: ReadonlySet<string> = new Set();
  /** The address that its last request came from; undefined before. */
  #target: Address | undefined;
  /** Counts the ways that were looked for, to try both addresses of a peer in turn. */
  #turn = 0;
  #shown: PathView["state"] = "unmeasured";
  #shownBytes: number | undefined;
  #sinceMs: number;

  /**
   * @param nowMs uptime in ms
   * @param sinceMs the time in ms since 1970
   */
  constructor(node: ProberNode, { id, nowMs, sinceMs }: {
    readonly id: bigint;
    readonly nowMs: number;
    readonly sinceMs: number;
  }) {
    this.id = id;
    this.answers = new Allowance({ ...ANSWERS, nowMs });
    this.#node = node;
    this.#sinceMs = sinceMs;
    this.#take(node);
  }

  get name(): string {
    return this.#node.name;
  }

  /** Takes the addresses and the state that its node has now. */
  update(node: ProberNode): void {
    if (node !== this.#node) this.#take(node);
  }

  #take(node: ProberNode): void {
    this.#node = node;
    this.#ends = pathEnds(node);
    this.#addresses = new Set(addressesOf(node).map(formatAddress));
    // It may have moved to an address that it did not have.
    const isGone = this.#target && !this.sendsFrom(formatAddress(this.#target));
    if (isGone) this.#target = undefined;
  }

  /** Whether its probes may come from an address in canonical form. */
  sendsFrom(address: string): boolean {
    return this.#addresses.has(address);
  }

  /** The way from this host's ends to the peer; undefined without a common family. */
  wayFrom(ends: readonly OwnEnd[]): Way | undefined {
    for (const end of ends) {
      const theirs = this.#ends.find(({ family }) => family === end.family);
      if (!theirs) continue;
      const { host } = theirs;
      const target = this.#target;
      if (target?.family === end.family) return { end, target, host };
      // Whether it has a bridge is not known before its first packet.
      const { gateway = host } = theirs;
      return { end, host, target: this.#turn++ % 2 === 0 ? gateway : host };
    }
    return undefined;
  }

  /** Takes the source of a packet: a peer sends requests from its gateway if that is there, and containers' packets go there, too. */
  noteSource(from: string, { kind, nowMs }: {
    readonly kind: ProbePacket["kind"];
    readonly nowMs: number;
  }): void {
    const target = this.#target;
    if (kind === "answer" && target !== undefined) return;
    const next = parseAddress(from);
    if (target && compareAddresses(target, next) === 0) return;
    if (target) this.path.clearLoss(nowMs);
    this.#target = next;
  }

  /**
   * Shows the state that the path has now.
   *
   * @param atMs the time in ms since 1970
   * @returns whether this host showed another one before
   */
  show(atMs: number): boolean {
    const { state, narrowBytes } = this.path;
    const before = this.#shown;
    const isSame = state === before;
    if (isSame && narrowBytes === this.#shownBytes) return false;
    this.#shownBytes = narrowBytes;
    if (isSame) return true;
    this.#shown = state;
    this.#sinceMs = atMs;
    const peer = this.name;
    const isFault = state === "dead" || state === "lossy" || state === "narrow";
    if (isFault) log.warn("The path to {peer} is {state}", { peer, state });
    else {
      log.info("The path to {peer} is {state}, and was {before}", {
        ...{ peer, state, before },
      });
    }
    return true;
  }

  /** The path from this host's ends to the peer, as this host shows it. */
  viewFrom(ends: readonly OwnEnd[], nowMs: number): PathView {
    const { path } = this;
    const target = this.#target;
    const end = ends.find(({ family }) =>
      this.#ends.some((theirs) => theirs.family === family)
    );
    return {
      peer: this.name,
      state: this.#shown,
      sinceMs: this.#sinceMs,
      isNeighbour: this.isNeighbour,
      rttMs: path.rttMs,
      loss: path.loss,
      isLossy: path.isLossy,
      fullBytes: end?.mtuBytes ?? 0,
      narrowBytes: path.narrowBytes,
      hearsPeer: path.hearsPeer(nowMs),
      reachesHost: this.reachesHost,
      endsAtHost: target !== undefined &&
        this.#ends.some(({ host }) => compareAddresses(host, target) === 0),
      isReady: this.#node.state === "ready",
    };
  }
}
