import { getLogger } from "@logtape/logtape";
import { NetError } from "../base/error.ts";
import { alignedDelay } from "../base/periodic_task.ts";
import {
  type Address,
  compareAddresses,
  formatAddress,
  parseAddress,
} from "../net/address.ts";
import { findMtu, likelyMtu } from "./plan/mtu_search.ts";
import { PACKET_BYTES, type ProbePacket } from "./plan/packet.ts";
import { ANSWER_MS, Path } from "./plan/path.ts";
import {
  addressesOf,
  headerBytes,
  type OwnEnd,
  ownEnds,
  type PathEnds,
  pathEnds,
  type ProbedNode,
  type ProbeLink,
} from "./plan/peers.ts";
import {
  Allowance,
  nextSample,
  ringNeighbours,
  roundMs,
  trainLength,
} from "./plan/schedule.ts";
import type { PathView } from "./plan/verdict.ts";
import {
  type OpenProbeSocket,
  PROBE_PORT,
  type ProbeDatagram,
  type ProbePings,
  type ProbeSocket,
} from "./port.ts";
import {
  nodeId,
  openPacket,
  type ProbeKey,
  sealPacket,
  sendingKey,
} from "./seal.ts";

/** Time between two looks at a path that is in doubt, in ms. */
const LOOK_MS = 250;
/** A timer that is late by so many ms finds answers that nobody has read yet. */
const STALL_MS = 500;
/** A ping of a second that takes longer was itself held up, and decides nothing, in ms. */
const MAX_PING_MS = 1_500;
/** Time between two pings of a path whose fault is known, and of one in doubt, in ms. */
const PING_INTERVAL_MS = { known: 10_000, doubt: 2_000 } as const;
/** Requests to a path in doubt in each look. */
const DOUBT_REQUESTS = 2;
/** Peers that are pinged at once. */
const MAX_PINGED = 4;
/** Rounds after which a peer that was sampled and did not answer is asked again. */
const SAMPLE_TRIES = 3;
/** Rounds between two attempts to open a socket that could not be opened. */
const REOPEN_ROUNDS = 10;
/** Rounds between two looks for new keys, where this agent hosts the registry. */
const KEY_ROUNDS = 60;
/** Answers a second, to one peer and to all, and those saved up. */
const ANSWERS = {
  each: { perSecond: 16, most: 24 },
  all: { perSecond: 64, most: 128 },
} as const;
/** A small packet that every link carries, in bytes. */
const SMALL_BYTES = 84;

const log = getLogger(["stellar-net", "agent", "probe"]);

/** A node of the cluster, as the registry tells. */
export interface ProberNode extends ProbedNode {
  readonly state: "ready" | "unreachable" | "no agent";
}

/** The cluster as the prober needs it. */
export interface ProberView {
  /** Empty before this node is a part of a cluster. */
  readonly clusterId: string;
  readonly self: ProbedNode;
  /** All nodes by name, with this one or without. */
  readonly nodes: ReadonlyMap<string, ProberNode>;
  /** Another number after each change of the nodes. */
  readonly version: number;
}

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
  /** A clock in ms that nobody sets. */
  readonly uptimeMs: () => number;
  /** Called when the state of a path has changed. */
  readonly onChange: () => void;
}

/** Counts of packets since the start. */
export interface ProbeCounts {
  readonly requests: number;
  readonly answers: number;
  /** Packets that got no answer: not authentic, not of a member, or not fresh. */
  readonly refused: number;
}

interface Peer {
  node: ProberNode;
  readonly id: bigint;
  ends: readonly PathEnds[];
  addresses: ReadonlySet<string>;
  readonly path: Path;
  readonly answers: Allowance;
  /** The address that its last request came from; undefined before. */
  target: Address | undefined;
  isNeighbour: boolean;
  shown: PathView["state"];
  shownBytes: number | undefined;
  sinceMs: number;
  isPinged: boolean;
  pingedAtMs: number;
  widthAtMs: number;
  reachesHost: boolean;
  /** Number of requests, to try both addresses of a peer in turn. */
  turn: number;
}

/**
 * Measures the paths to the other nodes, and answers their probes. One timer
 * runs a round a second, and none where there is no peer. A second one runs
 * only while an answer is out.
 */
export class Prober {
  readonly #options: ProberOptions;
  readonly #peers = new Map<string, Peer>();
  readonly #byId = new Map<bigint, Peer>();
  readonly #sockets = new Map<string, ProbeSocket>();
  readonly #requests: Allowance;
  readonly #answers: Allowance;
  /** Addresses that could not be opened, with the reason and the round of the attempt. */
  readonly #unopened = new Map<string, { why: string; round: number }>();
  /** Those with requests that are out, or in doubt. */
  readonly #watched = new Set<Peer>();
  #names: readonly string[] = [];
  #neighbours: readonly string[] = [];
  #ends: readonly OwnEnd[] = [];
  #selfId = 0n;
  #clusterId = "";
  #oldestKey = 0;
  /** The view that the peers were read from. */
  #read: ProberView | undefined;
  #isStopped = false;
  #round = 0;
  #dueAtMs = 0;
  #roundTimer: ReturnType<typeof setTimeout> | undefined;
  #lookTimer: ReturnType<typeof setTimeout> | undefined;
  #sample = { name: "", tries: 0 };
  #pinged = 0;
  #counts = { requests: 0, answers: 0, refused: 0 };

  constructor(options: ProberOptions) {
    const nowMs = options.uptimeMs();
    this.#options = options;
    this.#requests = new Allowance({ nowMs });
    this.#answers = new Allowance({ ...ANSWERS.all, nowMs });
  }

  /** Begins rounds if there is a peer now. They go on by themselves until there is none. */
  update(): void {
    if (this.#isStopped || this.#roundTimer !== undefined) return;
    const { self, nodes } = this.#options.view();
    const hasPeers = [...nodes.values()].some((node) => isPeer(node, self));
    if (hasPeers) this.#schedule(0);
  }

  /** The paths, in the order of the peers' names. */
  get paths(): PathView[] {
    const nowMs = this.#options.uptimeMs();
    return [...this.#peers.values()].map((peer) => this.#viewOf(peer, nowMs));
  }

  get counts(): ProbeCounts {
    return this.#counts;
  }

  /** Faults of the prober itself, a line each. */
  get warnings(): string[] {
    return [...this.#unopened].map(([address, { why }]) =>
      `no probe goes out from ${address}: ${why}`
    );
  }

  stop(): void {
    this.#isStopped = true;
    clearTimeout(this.#roundTimer);
    clearTimeout(this.#lookTimer);
    for (const socket of this.#sockets.values()) socket.close();
    this.#sockets.clear();
  }

  #schedule(delayMs: number): void {
    this.#dueAtMs = this.#options.uptimeMs() + delayMs;
    this.#roundTimer = setTimeout(() => this.#runRound(), delayMs);
  }

  #runRound(): void {
    this.#roundTimer = undefined;
    const nowMs = this.#options.uptimeMs();
    this.#readView(this.#options.view());
    if (this.#peers.size === 0) return this.#closeSockets(new Set());
    this.#syncSockets();
    if (this.#round++ % KEY_ROUNDS === 0) void this.#refreshKeys();
    // Answers may wait to be read: they come first, and nothing was silent.
    if (nowMs - this.#dueAtMs > STALL_MS) {
      for (const { path } of this.#peers.values()) path.restartSilence(nowMs);
    }
    const hasSample = this.#sendTrains(nowMs);
    const intervalMs = roundMs(this.#neighbours.length, hasSample);
    this.#schedule(alignedDelay(intervalMs, nowMs));
    if (this.#watched.size > 0) this.#lookIn(ANSWER_MS);
  }

  /** Sends the requests of a round. @returns whether one of them is a sample */
  #sendTrains(nowMs: number): boolean {
    const neighbours = this.#neighbours;
    const sample = this.#chooseSample(new Set(neighbours), nowMs);
    const peers = neighbours.map((name) => this.#peers.get(name)!);
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

  /** The peer whose turn it is, a few rounds long if it does not answer. */
  #chooseSample(
    neighbours: ReadonlySet<string>,
    nowMs: number,
  ): Peer | undefined {
    const last = this.#peers.get(this.#sample.name);
    const isOpen = last !== undefined && !last.isNeighbour &&
      last.path.isSilent(nowMs) && this.#sample.tries < SAMPLE_TRIES;
    if (isOpen) {
      this.#sample.tries++;
      return last;
    }
    const name = nextSample(this.#sample.name, {
      peers: this.#names,
      neighbours,
    });
    if (name === undefined) return undefined;
    this.#sample = { name, tries: 1 };
    return this.#peers.get(name);
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
      if (isSilent) void this.#pingSilent(peer, nowMs);
      if (!isKnown && isSilent || path.isBoosted(nowMs)) {
        for (let i = 0; i < DOUBT_REQUESTS; i++) {
          this.#request(peer, nowMs, false);
        }
      }
      this.#examine(peer, nowMs);
    }
    if (this.#watched.size > 0) this.#lookIn(LOOK_MS);
  }

  /** Draws what follows from what has come in, or has not. */
  #examine(peer: Peer, nowMs: number): void {
    const { path } = peer;
    if (path.takeWidthDoubt()) void this.#measureWidth(peer, nowMs);
    this.#note(peer);
    if (path.isWaiting || path.isBoosted(nowMs)) this.#watched.add(peer);
    else this.#watched.delete(peer);
    if (this.#watched.size > 0) return;
    clearTimeout(this.#lookTimer);
    this.#lookTimer = undefined;
  }

  #request(peer: Peer, nowMs: number, isFull: boolean): void {
    const key = sendingKey(this.#options.keys());
    const way = this.#wayTo(peer);
    if (!key || !way || this.#requests.take(1, nowMs) === 0) return;
    const { end, target } = way;
    const socket = this.#sockets.get(formatAddress(end.source));
    if (!socket) return;
    const full = Math.max(
      PACKET_BYTES,
      end.mtuBytes - headerBytes(end.family),
    );
    const { path, id: to } = peer;
    const packet = {
      ...{ kind: "request" as const, echo: 0, from: this.#selfId, to },
      session: this.#options.session,
      ...path.send("request", { nowMs, isFull }),
    };
    this.#watched.add(peer);
    this.#counts.requests++;
    const payload = sealPacket(packet, key, isFull ? full : undefined);
    void socket.send(payload, formatAddress(target));
  }

  /** Where probes to a peer go from and to; undefined without a common family. */
  #wayTo(
    peer: Peer,
  ): { readonly end: OwnEnd; readonly target: Address } | undefined {
    for (const end of this.#ends) {
      const theirs = peer.ends.find(({ family }) => family === end.family);
      if (!theirs) continue;
      const { target } = peer;
      if (target?.family === end.family) return { end, target };
      // Whether it has a bridge is not known before its first packet.
      const { gateway = theirs.host } = theirs;
      return { end, target: peer.turn++ % 2 === 0 ? gateway : theirs.host };
    }
    return undefined;
  }

  #receive(datagram: ProbeDatagram, socket: ProbeSocket): void {
    const { from, port, payload } = datagram;
    const nowMs = this.#options.uptimeMs();
    const packet = openPacket(payload, this.#options.keys());
    const peer = packet && this.#byId.get(packet.from);
    const isOfMember = peer !== undefined && packet!.to === this.#selfId &&
      port === PROBE_PORT && peer.addresses.has(from);
    const { session } = this.#options;
    if (!isOfMember || !peer.path.receive(packet!, { session, nowMs })) {
      this.#counts.refused++;
      return;
    }
    this.#noteTarget(peer, packet!, from);
    if (packet!.kind === "request") this.#answer(peer, packet!, socket, from);
    this.#examine(peer, nowMs);
    if (this.#watched.size > 0) this.#lookIn(LOOK_MS);
  }

  /** A peer sends requests from its gateway if that is there: containers' packets go there, too. */
  #noteTarget(peer: Peer, { kind }: ProbePacket, from: string): void {
    const { target, path } = peer;
    if (kind === "answer" && target !== undefined) return;
    const next = parseAddress(from);
    if (target && compareAddresses(target, next) === 0) return;
    if (target) path.clearLoss(this.#options.uptimeMs());
    peer.target = next;
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
      ...{ kind: "answer" as const, from: this.#selfId, to: peer.id },
      session: this.#options.session,
      echo: request.number,
      ...peer.path.send("answer", { nowMs }),
    };
    void socket.send(sealPacket(packet, key), to);
  }

  /** Asks by pings whether a silent path is dead, or its peer only does not answer probes. */
  async #pingSilent(peer: Peer, nowMs: number): Promise<void> {
    const way = this.#wayTo(peer);
    const isKnown = peer.path.state === "dead" ||
      peer.path.state === "unanswered";
    const isDue = isPingDue(nowMs - peer.pingedAtMs, isKnown);
    if (!way || peer.isPinged || !isDue || this.#pinged >= MAX_PINGED) return;
    const { end, target } = way;
    const host = peer.ends.find(({ family }) => family === end.family)!.host;
    peer.pingedAtMs = nowMs;
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

  /** Asks by pings for the largest packet that passes, again and again while it is not the full one. */
  async #measureWidth(peer: Peer, nowMs: number): Promise<void> {
    const way = this.#wayTo(peer);
    const isKnown = peer.path.narrowBytes !== undefined;
    const isDue = isPingDue(nowMs - peer.widthAtMs, isKnown);
    if (!way || peer.isPinged || !isDue || this.#pinged >= MAX_PINGED) return;
    const { end: { source, mtuBytes }, target } = way;
    const { path } = peer;
    peer.widthAtMs = nowMs;
    await this.#pinging(peer, async () => {
      const probe = (packetBytes: number) =>
        this.#options.pings.ping(target, { packetBytes, source });
      const full = await this.#ping(target, { packetBytes: mtuBytes, source });
      if (full === undefined) return;
      if (full.isAnswered) return path.noteWidth(undefined);
      if (path.isSilent(this.#options.uptimeMs())) return;
      if (path.narrowBytes === undefined) path.noteWidth(0);
      this.#note(peer);
      const passes = await findMtu({
        ...{ probe, passes: SMALL_BYTES, fails: mtuBytes },
        hint: full.mtuBytes,
      });
      path.noteWidth(likelyMtu(passes));
    });
  }

  async #pinging(peer: Peer, run: () => Promise<void>): Promise<void> {
    peer.isPinged = true;
    this.#pinged++;
    try {
      await run();
    } catch (error) {
      if (!(error instanceof NetError)) throw error;
      log.debug("Cannot ping {peer}: {error}", {
        peer: peer.node.name,
        error,
      });
    } finally {
      peer.isPinged = false;
      this.#pinged--;
    }
    if (!this.#isStopped) this.#note(peer);
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
    return isLate && !found.isAnswered ? undefined : found;
  }

  /** Tells of a state that has changed. */
  #note(peer: Peer): void {
    const { state, narrowBytes } = peer.path;
    const isSame = state === peer.shown;
    if (isSame && narrowBytes === peer.shownBytes) return;
    peer.shownBytes = narrowBytes;
    if (isSame) return this.#options.onChange();
    const before = peer.shown;
    peer.shown = state;
    peer.sinceMs = this.#options.now();
    const isFault = state === "dead" || state === "lossy" || state === "narrow";
    if (isFault) {
      log.warn("The path to {peer} is {state}", {
        peer: peer.node.name,
        state,
      });
    } else {
      log.info("The path to {peer} is {state}, and was {before}", {
        ...{ peer: peer.node.name, state, before },
      });
    }
    this.#options.onChange();
  }

  #viewOf(peer: Peer, nowMs: number): PathView {
    const { path, node, target } = peer;
    const end = this.#ends.find(({ family }) =>
      peer.ends.some((theirs) => theirs.family === family)
    );
    return {
      peer: node.name,
      state: peer.shown,
      sinceMs: peer.sinceMs,
      isNeighbour: peer.isNeighbour,
      rttMs: path.rttMs,
      loss: path.loss,
      isLossy: path.isLossy,
      fullBytes: end?.mtuBytes ?? 0,
      narrowBytes: path.narrowBytes,
      hearsPeer: path.hearsPeer(nowMs),
      reachesHost: peer.reachesHost,
      endsAtHost: target !== undefined &&
        peer.ends.some(({ host }) => compareAddresses(host, target) === 0),
      isReady: node.state === "ready",
    };
  }

  #readView(view: ProberView): void {
    const { now, uptimeMs } = this.#options;
    const { clusterId, self, nodes, version } = view;
    const isRead = this.#read?.version === version &&
      this.#read.clusterId === clusterId;
    if (isRead) return;
    this.#read = view;
    if (clusterId !== this.#clusterId) {
      this.#clusterId = clusterId;
      this.#peers.clear();
      this.#byId.clear();
      this.#watched.clear();
    }
    this.#selfId = nodeId(clusterId, self.name);
    const present = clusterId === ""
      ? []
      : [...nodes.values()].filter((node) => isPeer(node, self));
    const names = present.map(({ name }) => name).sort();
    const neighbours = new Set(ringNeighbours(self.name, names));
    for (const node of present) {
      const known = this.#peers.get(node.name);
      const place = {
        node,
        ends: pathEnds(node),
        addresses: new Set(addressesOf(node).map(formatAddress)),
        isNeighbour: neighbours.has(node.name),
      };
      if (known) {
        Object.assign(known, place);
        // It may have moved to an address that it did not have.
        const { target } = known;
        if (target && !place.addresses.has(formatAddress(target))) {
          known.target = undefined;
        }
        continue;
      }
      const nowMs = uptimeMs();
      const id = nodeId(clusterId, node.name);
      const peer: Peer = {
        ...{ ...place, id, path: new Path(), target: undefined, turn: 0 },
        answers: new Allowance({ ...ANSWERS.each, nowMs }),
        ...{
          shown: "unmeasured",
          shownBytes: undefined,
          sinceMs: now(),
          isPinged: false,
        },
        ...{ pingedAtMs: -Infinity, widthAtMs: -Infinity, reachesHost: false },
      };
      this.#peers.set(node.name, peer);
      this.#byId.set(id, peer);
    }
    const there = new Set(names);
    for (const [name, peer] of this.#peers) {
      if (there.has(name)) continue;
      this.#peers.delete(name);
      this.#byId.delete(peer.id);
      this.#watched.delete(peer);
    }
    this.#names = names;
    this.#neighbours = names.filter((name) => neighbours.has(name));
  }

  /** Has a socket on each address that this host sends from or answers at. */
  #syncSockets(): void {
    const { view, links, open } = this.#options;
    const before = this.#ends.map(({ source }) => formatAddress(source)).join();
    this.#ends = ownEnds(view().self, links() ?? []);
    const sources = this.#ends.map(({ source }) => formatAddress(source));
    // The gateway came or went: peers send elsewhere from now on.
    if (before !== "" && before !== sources.join()) {
      const nowMs = this.#options.uptimeMs();
      for (const { path } of this.#peers.values()) path.clearLoss(nowMs);
    }
    const wanted = new Set([
      ...sources,
      ...this.#ends.map(({ host }) => formatAddress(host)),
    ]);
    this.#closeSockets(wanted);
    for (const address of wanted) {
      if (this.#sockets.has(address)) continue;
      const failed = this.#unopened.get(address);
      if (failed && this.#round - failed.round < REOPEN_ROUNDS) continue;
      try {
        const socket: ProbeSocket = open(
          address,
          (datagram) => this.#receive(datagram, socket),
        );
        this.#sockets.set(address, socket);
        this.#unopened.delete(address);
      } catch (error) {
        if (!(error instanceof NetError)) throw error;
        const why = error.message;
        if (failed?.why !== why) log.warn("{why}", { why });
        this.#unopened.set(address, { why, round: this.#round });
      }
    }
  }

  #closeSockets(wanted: ReadonlySet<string>): void {
    for (const [address, socket] of this.#sockets) {
      if (wanted.has(address)) continue;
      socket.close();
      this.#sockets.delete(address);
    }
    for (const address of this.#unopened.keys()) {
      if (!wanted.has(address)) this.#unopened.delete(address);
    }
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
    for (const { path } of this.#peers.values()) path.forgetSessions();
  }
}

function isPingDue(sinceMs: number, isKnown: boolean): boolean {
  return sinceMs >= PING_INTERVAL_MS[isKnown ? "known" : "doubt"];
}

/** Whether a node is another one that has an agent. */
function isPeer(node: ProberNode, self: ProbedNode): boolean {
  return node.name !== self.name && node.state !== "no agent" &&
    node.advertised.length > 0;
}
