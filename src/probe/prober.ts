import { getLogger } from "@logtape/logtape";
import { alignedDelay } from "../base/periodic_task.ts";
import { formatAddress } from "../net/address.ts";
import { PathPings } from "./path_pings.ts";
import type { Peer } from "./peer.ts";
import { peersOf, PeerTable, type ProberView } from "./peer_table.ts";
import { PACKET_BYTES, type ProbePacket } from "./plan/packet.ts";
import { ANSWER_MS } from "./plan/path.ts";
import { headerBytes, ownEnds, type ProbeLink } from "./plan/peers.ts";
import { Allowance, roundMs, trainLength } from "./plan/schedule.ts";
import type { PathView } from "./plan/verdict.ts";
import {
  type OpenProbeSocket,
  PROBE_PORT,
  type ProbeDatagram,
  type ProbePings,
  type ProbeSocket,
} from "./port.ts";
import { ProbeSockets } from "./probe_sockets.ts";
import { openPacket, type ProbeKey, sealPacket, sendingKey } from "./seal.ts";

/** Time between two looks at a path that is in doubt, in ms. */
const LOOK_MS = 250;
/** Lateness of a timer from which answers may still wait to be read, in ms. */
const STALL_MS = 500;
/** Requests to a path in doubt in each look. */
const DOUBT_REQUESTS = 2;
/** Rounds between two looks for new keys, where this agent hosts the registry. */
const KEY_ROUNDS = 60;
/** Answers a second to all peers, and those saved up. */
const ANSWERS = { perSecond: 64, most: 128 } as const;

const log = getLogger(["stellar-net", "agent", "probe"]);

export interface ProberOptions {
  readonly view: () => ProberView;
  /** This host's interfaces; undefined while they are not known. */
  readonly links: () => readonly ProbeLink[] | undefined;
  /** The latest is the last. */
  readonly keys: () => readonly ProbeKey[];
  /** Reads new keys where this agent hosts the registry. */
  readonly refreshKeys?: () => Promise<void>;
  readonly open: OpenProbeSocket;
  readonly pings: ProbePings;
  /** Random id of this process, not 0. */
  readonly session: bigint;
  /** The time in ms since 1970. */
  readonly now: () => number;
  /** A monotonic clock, in ms. */
  readonly uptimeMs: () => number;
  /** Called when the state of a path has changed. */
  readonly onChange: () => void;
}

/** Counts of packets since the start. */
export interface ProbeCounts {
  readonly requests: number;
  readonly answers: number;
  /** Packets that got no answer: they were not authentic, not from a member, or not fresh. */
  readonly refused: number;
}

/**
 * Measures the paths to the other nodes, and answers their probes. One timer
 * runs a round a second as long as there is a peer. A second one runs
 * only while an answer is out.
 */
export class Prober {
  readonly #options: ProberOptions;
  readonly #peers = new PeerTable();
  readonly #sockets: ProbeSockets;
  readonly #pings: PathPings;
  readonly #requests: Allowance;
  readonly #answers: Allowance;
  /** Those with requests that are out, or in doubt. */
  readonly #watched = new Set<Peer>();
  #oldestKey = 0;
  #isStopped = false;
  #round = 0;
  #dueAtMs = 0;
  #roundTimer: ReturnType<typeof setTimeout> | undefined;
  #lookTimer: ReturnType<typeof setTimeout> | undefined;
  #counts = { requests: 0, answers: 0, refused: 0 };

  constructor(options: ProberOptions) {
    const { open, pings, uptimeMs } = options;
    const nowMs = uptimeMs();
    this.#options = options;
    this.#requests = new Allowance({ nowMs });
    this.#answers = new Allowance({ ...ANSWERS, nowMs });
    this.#sockets = new ProbeSockets({
      open,
      onDatagram: (datagram, socket) => this.#receive(datagram, socket),
    });
    this.#pings = new PathPings({
      ...{ pings, uptimeMs },
      onFound: (peer) => this.#show(peer),
    });
  }

  /** Begins rounds if there is a peer now. They go on by themselves until there is none. */
  update(): void {
    if (this.#isStopped || this.#roundTimer !== undefined) return;
    if (peersOf(this.#options.view()).length > 0) this.#schedule(0);
  }

  /** The paths, in the order of the peers' names. */
  get paths(): PathView[] {
    const nowMs = this.#options.uptimeMs();
    const { ends } = this.#sockets;
    return this.#peers.all.map((peer) => peer.viewFrom(ends, nowMs));
  }

  get counts(): ProbeCounts {
    return this.#counts;
  }

  /** Faults of the prober itself, a line each. */
  get warnings(): string[] {
    return this.#sockets.warnings;
  }

  stop(): void {
    this.#isStopped = true;
    clearTimeout(this.#roundTimer);
    clearTimeout(this.#lookTimer);
    this.#sockets.close();
  }

  #schedule(delayMs: number): void {
    this.#dueAtMs = this.#options.uptimeMs() + delayMs;
    this.#roundTimer = setTimeout(() => this.#runRound(), delayMs);
  }

  #runRound(): void {
    this.#roundTimer = undefined;
    const nowMs = this.#options.uptimeMs();
    this.#readView(nowMs);
    if (this.#peers.all.length === 0) return this.#sockets.close();
    if (this.#round++ % KEY_ROUNDS === 0) void this.#refreshKeys();
    // Unread answers may wait in the sockets, so the peers were not silent.
    const lateMs = nowMs - this.#dueAtMs;
    if (lateMs > STALL_MS) {
      for (const { path } of this.#peers.all) path.skipSilence(lateMs, nowMs);
    }
    const hasSample = this.#sendTrains(nowMs);
    const intervalMs = roundMs(this.#peers.neighbours.length, hasSample);
    this.#schedule(alignedDelay(intervalMs, nowMs));
    if (this.#watched.size > 0) this.#lookIn(ANSWER_MS);
  }

  /** Takes the peers and this host's ends as they are now. */
  #readView(nowMs: number): void {
    const { view, links, now } = this.#options;
    const cluster = view();
    const gone = this.#peers.update(cluster, { nowMs, sinceMs: now() });
    for (const peer of gone) this.#watched.delete(peer);
    if (this.#peers.all.length === 0) return;
    const ends = ownEnds(cluster.self, links() ?? []);
    if (!this.#sockets.sync(ends, this.#round)) return;
    for (const { path } of this.#peers.all) path.clearLoss(nowMs);
  }

  /** Sends the requests of a round. @returns whether one of them is a sample */
  #sendTrains(nowMs: number): boolean {
    const sample = this.#peers.takeSample(nowMs);
    const peers = this.#peers.neighbours;
    const isMeasured = ({ path }: Peer) => path.state !== "unmeasured";
    const length = trainLength(peers.filter(isMeasured).length);
    for (const peer of peers) {
      // One is enough to find out whether a peer answers at all.
      const requests = isMeasured(peer) ? length : 1;
      for (let i = 0; i < requests; i++) {
        // A train of one alternates, since a small packet has to pass, too.
        const isFull = requests === 1
          ? this.#round % 2 === 1 && isMeasured(peer)
          : i === requests - 1;
        this.#request(peer, nowMs, isFull);
      }
    }
    if (sample) this.#request(sample, nowMs, false);
    return sample !== undefined;
  }

  /** Looks soon at the requests that are out. */
  #lookIn(delayMs: number): void {
    if (this.#lookTimer !== undefined || this.#isStopped) return;
    const dueAtMs = this.#options.uptimeMs() + delayMs;
    this.#lookTimer = setTimeout(() => {
      this.#lookTimer = undefined;
      const isLate = this.#options.uptimeMs() - dueAtMs > STALL_MS;
      if (isLate) this.#lookIn(LOOK_MS);
      else this.#look();
    }, delayMs);
  }

  #look(): void {
    const nowMs = this.#options.uptimeMs();
    for (const peer of [...this.#watched]) {
      const { path } = peer;
      path.expire(nowMs);
      const isKnown = path.state === "dead" || path.state === "unanswered";
      const isSilent = path.isSilent(nowMs);
      if (isSilent) {
        const way = peer.wayFrom(this.#sockets.ends);
        void this.#pings.pingSilent(peer, { way, nowMs });
      }
      if (!isKnown && isSilent || path.isBoosted(nowMs)) {
        for (let i = 0; i < DOUBT_REQUESTS; i++) {
          this.#request(peer, nowMs, false);
        }
      }
      this.#examine(peer, nowMs);
    }
    if (this.#watched.size > 0) this.#lookIn(LOOK_MS);
  }

  /** Updates the state of a path after an answer, or after the lack of one. */
  #examine(peer: Peer, nowMs: number): void {
    const { path } = peer;
    if (path.takeWidthDoubt()) {
      const way = peer.wayFrom(this.#sockets.ends);
      void this.#pings.measureWidth(peer, { way, nowMs });
    }
    this.#show(peer);
    if (path.isWaiting || path.isBoosted(nowMs)) this.#watched.add(peer);
    else this.#watched.delete(peer);
    if (this.#watched.size > 0) return;
    clearTimeout(this.#lookTimer);
    this.#lookTimer = undefined;
  }

  /** Reports a state that has changed. */
  #show(peer: Peer): void {
    // A ping may end after its peer was removed.
    const isGone = this.#peers.withId(peer.id) !== peer;
    if (this.#isStopped || isGone) return;
    if (peer.show(this.#options.now())) this.#options.onChange();
  }

  #request(peer: Peer, nowMs: number, isFull: boolean): void {
    const key = sendingKey(this.#options.keys());
    const way = peer.wayFrom(this.#sockets.ends);
    if (!key || !way || this.#requests.take(1, nowMs) === 0) return;
    const { end, target } = way;
    const socket = this.#sockets.from(end);
    if (!socket) return;
    const full = Math.max(
      PACKET_BYTES,
      end.mtuBytes - headerBytes(end.family),
    );
    const { path, id: to } = peer;
    const from = this.#peers.selfId;
    const packet = {
      ...{ kind: "request" as const, echo: 0, from, to },
      session: this.#options.session,
      ...path.send("request", { nowMs, isFull }),
    };
    this.#watched.add(peer);
    this.#counts.requests++;
    const payload = sealPacket(packet, key, isFull ? full : undefined);
    void socket.send(payload, formatAddress(target));
  }

  #receive(datagram: ProbeDatagram, socket: ProbeSocket): void {
    const { from, port, payload } = datagram;
    const nowMs = this.#options.uptimeMs();
    const packet = openPacket(payload, this.#options.keys());
    const peer = packet && this.#peers.withId(packet.from);
    const isOfMember = peer !== undefined &&
      packet!.to === this.#peers.selfId && port === PROBE_PORT &&
      peer.sendsFrom(from);
    const { session } = this.#options;
    if (!isOfMember || !peer.path.receive(packet!, { session, nowMs })) {
      this.#counts.refused++;
      return;
    }
    peer.noteSource(from, { kind: packet!.kind, nowMs });
    if (packet!.kind === "request") this.#answer(peer, packet!, socket, from);
    this.#examine(peer, nowMs);
    if (this.#watched.size > 0) this.#lookIn(LOOK_MS);
  }

  #answer(
    peer: Peer,
    request: ProbePacket,
    socket: ProbeSocket,
    to: string,
  ): void {
    const nowMs = this.#options.uptimeMs();
    const key = sendingKey(this.#options.keys());
    const isAllowed = peer.answers.take(1, nowMs) > 0 &&
      this.#answers.take(1, nowMs) > 0;
    if (!key || !isAllowed) return;
    this.#counts.answers++;
    const packet = {
      ...{ kind: "answer" as const, from: this.#peers.selfId, to: peer.id },
      session: this.#options.session,
      echo: request.number,
      ...peer.path.send("answer", { nowMs }),
    };
    void socket.send(sealPacket(packet, key), to);
  }

  async #refreshKeys(): Promise<void> {
    try {
      await this.#options.refreshKeys?.();
    } catch (error) {
      log.debug("Cannot read the keys of probes: {error}", { error });
    }
    const oldest = this.#options.keys()[0]?.id ?? 0;
    if (oldest === this.#oldestKey) return;
    this.#oldestKey = oldest;
    for (const { path } of this.#peers.all) path.forgetSessions();
  }
}
