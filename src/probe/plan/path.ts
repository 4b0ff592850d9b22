import type { ProbePacket } from "./packet.ts";

/** Time in which an answer comes on every path that is of use, in ms. */
export const ANSWER_MS = 300;
/** Silence after which pings have to tell whether a path is dead, in ms. */
const SILENT_MS = 1_000;
/** Silence after which it can be dead, in ms. */
const DEAD_MS = 1_200;
/** Silence of a peer that answers pings until it counts as one that answers no probes, in ms. */
const UNANSWERED_MS = 3_000;
/** Requests in a row without an answer that a dead path has at least. */
const MIN_UNANSWERED = 2;
/** Answers in a row after which a dead path is alive. */
const MIN_ANSWERS = 2;
/** Packets of one direction in which losses count. */
const LOSS_WINDOW = 20;
/** Losses among them that make a path lossy: one may be chance. */
const MIN_LOSSES = 2;
/** Packets that must arrive in a row before a path stops being lossy. */
const CLEAN_RUN = 40;
/** Packets of one direction from which the share of loss is computed. */
const MAX_OUTCOMES = 100;
/** A longer gap is an outage, not loss. */
const MAX_GAP = 16;
/** Time for which a loss raises the rate of requests, in ms. */
const BOOST_MS = 3_000;
/** Shortest time between the starts of two such bursts, in ms. */
const BOOST_INTERVAL_MS = 15_000;
/** Silence of a peer's process after which another process may replace it, in ms. */
const SESSION_MS = 2_000;
/** Processes of a peer whose packet numbers are kept, so that no packet counts twice. */
const MAX_SESSIONS = 8;
/** Numbers behind the largest one that may still arrive: the network may reorder packets. At most 31. */
const LATE_NUMBERS = 16;
/** Time after the start of a path, and after an outage, in which losses do not count, in ms. */
const SETTLE_MS = { begin: 5_000, outage: 1_000 } as const;
/** Time for which packets of a peer must arrive before it counts as heard, in ms. */
const HEARD_MS = 1_500;
/** Longest gap between two packets of a peer that counts as heard, in ms, once its path has been dead for as long. */
const HEARD_GAP_MS = 2_500;
/**
 * Numbers of packets of full MTU start behind this one. They are counted
 * separately, because a narrow path loses all of them and no others.
 */
export const FIRST_FULL = 2 ** 31;
/** Requests that wait for their answers, at most. */
const MAX_WAITING = 64;

/** State of a path. */
export type PathState =
  /** The peer has answered no probe yet. */
  | "unmeasured"
  | "alive"
  /** Some packets are lost. */
  | "lossy"
  /** Small packets arrive; those of the full MTU do not. */
  | "narrow"
  /** No probe is answered, but echo requests are. */
  | "unanswered"
  /** No packet gets there and back. */
  | "dead";

/** Result of pings. */
export type PingOutcome = "answered" | "lost";

/** A request that waits for its answer. */
interface Waiting {
  readonly sentAtMs: number;
  readonly isFull: boolean;
}

/**
 * The path between this host and one peer, judged by the packets of probes. Time
 * comes in with each call, in ms of a monotonic clock.
 */
export class Path {
  #number = 0;
  #fullNumber = FIRST_FULL;
  #peerSession = 0n;
  /** The numbers of small and of full packets from each process of the peer, the oldest process first. */
  readonly #numbersOf = new Map<bigint, { small: Numbers; full: Numbers }>();
  /** Packets of the peer that count, see {@linkcode clearLoss}. */
  #received = 0;
  /** What the peer has said of this host's packets. */
  #theirLast = 0;
  #theirReceived = 0;
  readonly #waiting = new Map<number, Waiting>();
  #answeredAtMs: number | undefined;
  #heardAtMs: number | undefined;
  #heardSinceMs = 0;
  #lossFromMs = 0;
  #deadAtMs = 0;
  /** Requests without an answer since the last one. */
  #unanswered = 0;
  #answersInRow = 0;
  #isDead = false;
  #isUnanswered = false;
  #isWidthInDoubt = false;
  /** Whether a packet of full MTU was lost, and no small one has been answered since. */
  #isFullInDoubt = false;
  #narrowBytes: number | undefined;
  #rttMs: number | undefined;
  #boostAtMs = -Infinity;
  /** The last packets from here to the peer, and back. */
  readonly #out = new Outcomes();
  readonly #in = new Outcomes();

  /** The state that this host shows. */
  get state(): PathState {
    if (this.#isDead) return "dead";
    if (this.#isUnanswered) return "unanswered";
    if (this.#answeredAtMs === undefined) return "unmeasured";
    if (this.#narrowBytes !== undefined) return "narrow";
    return this.#out.isLossy || this.#in.isLossy ? "lossy" : "alive";
  }

  /** Smoothed round-trip time in ms (RFC 6298, section 2); undefined before the first answer. */
  get rttMs(): number | undefined {
    return this.#rttMs;
  }

  /** Shares of packets that were lost of late, 0 to 1: from here to the peer, and back. */
  get loss(): { readonly out: number; readonly in: number } {
    return { out: this.#out.share, in: this.#in.share };
  }

  /** Whether each direction is lossy. */
  get isLossy(): { readonly out: boolean; readonly in: boolean } {
    return { out: this.#out.isLossy, in: this.#in.isLossy };
  }

  /** Size of the largest packet that passes, in bytes; undefined: the full MTU passes. */
  get narrowBytes(): number | undefined {
    return this.#narrowBytes;
  }

  /** Whether packets of the peer arrive though it does not answer: only the way there is dead. */
  hearsPeer(nowMs: number): boolean {
    // At the end of a path, its last packets came a short while ago.
    const isOld = nowMs - this.#deadAtMs >= HEARD_GAP_MS;
    const gapMs = this.#isDead && isOld ? HEARD_GAP_MS : DEAD_MS;
    return nowMs - (this.#heardAtMs ?? -Infinity) < gapMs &&
      nowMs - this.#heardSinceMs >= HEARD_MS;
  }

  /** Counts a packet that goes out. @returns the fields that the path decides */
  send(
    kind: ProbePacket["kind"],
    { nowMs, isFull = false }: {
      readonly nowMs: number;
      readonly isFull?: boolean;
    },
  ): Pick<ProbePacket, "number" | "last" | "received" | "peerSession"> {
    const number = isFull ? ++this.#fullNumber : ++this.#number;
    if (kind === "request") {
      this.#waiting.set(number, { sentAtMs: nowMs, isFull });
      if (this.#waiting.size > MAX_WAITING) this.expire(nowMs);
    }
    const isMet = kind === "answer" || this.#unanswered < MIN_UNANSWERED;
    return {
      number,
      last: this.#numbersOf.get(this.#peerSession)?.small.last ?? 0,
      received: this.#received,
      // A peer that was started again does not take a packet for its old process.
      peerSession: isMet ? this.#peerSession : 0n,
    };
  }

  /**
   * Takes a packet of the peer that is authentic.
   *
   * @param session of this host's process
   * @returns false if it is not fresh: a copy of an earlier packet, or one for
   * an earlier process of this host. It counts for nothing and gets no answer
   */
  receive(
    packet: ProbePacket,
    { session, nowMs }: { readonly session: bigint; readonly nowMs: number },
  ): boolean {
    const isBound = packet.peerSession === session;
    if (!isBound && packet.peerSession !== 0n) return false;
    const kind = packet.number > FIRST_FULL ? "full" : "small";
    const numbers = this.#numbersOf.get(packet.session) ??
      { small: new Numbers(), full: new Numbers() };
    const order = numbers[kind].orderOf(packet.number);
    if (order === "seen") return false;
    const isLate = order === "late";
    if (packet.session !== this.#peerSession) {
      // It would bring back a process that has ended.
      if (isLate) return false;
      const sinceMs = nowMs - (this.#heardAtMs ?? -Infinity);
      // Such a packet may be a copy of one to an earlier process of this host.
      if (!isBound && sinceMs < SESSION_MS) return false;
      if (!this.#meet(packet, nowMs)) return false;
    }
    const lost = isLate ? -1 : packet.number - numbers.small.last - 1;
    numbers[kind].add(packet.number);
    this.#numbersOf.set(packet.session, numbers);
    const isSettled = nowMs >= this.#lossFromMs;
    if (kind === "small") {
      if (isSettled && this.#received > 0) this.#in.add(1, lost);
      this.#received++;
    }
    if (nowMs - (this.#heardAtMs ?? -Infinity) >= HEARD_GAP_MS) {
      this.#heardSinceMs = nowMs;
    }
    this.#heardAtMs = nowMs;
    if (!isBound) return true;
    // What a late packet says was true before what is known.
    if (!isLate) this.#noteOut(packet, isSettled);
    if (packet.kind === "answer") this.#noteAnswer(packet.echo, nowMs);
    return true;
  }

  /** Counts the requests whose time for an answer is over. */
  expire(nowMs: number): void {
    const over = [...this.#waiting].filter(([, { sentAtMs }]) =>
      nowMs - sentAtMs >= ANSWER_MS
    );
    const answeredAtMs = this.#answeredAtMs ?? -Infinity;
    for (const [number, { sentAtMs, isFull }] of over) {
      this.#waiting.delete(number);
      this.#answersInRow = 0;
      // A small packet of the same time got there and back.
      if (isFull && answeredAtMs >= sentAtMs) this.#isWidthInDoubt = true;
      else {
        this.#isFullInDoubt ||= isFull;
        this.#unanswered++;
      }
    }
  }

  /** Whether requests wait for their answers. */
  get isWaiting(): boolean {
    return this.#waiting.size > 0;
  }

  /** Whether the path may be dead, or still is, so that pings have to tell. */
  isSilent(nowMs: number): boolean {
    return this.#unanswered > 0 && this.#silentMs(nowMs) >= SILENT_MS;
  }

  /** Time since the last answer; negative without one. */
  #silentMs(nowMs: number): number {
    return nowMs - (this.#answeredAtMs ?? Infinity);
  }

  /** Whether one packet was lost of late: more packets tell whether it was chance. */
  isBoosted(nowMs: number): boolean {
    if (this.state === "lossy" || this.#isDead) return false;
    const isDue = this.#out.recentLosses > 0 || this.#in.recentLosses > 0 ||
      this.#unanswered > 0 || this.#isFullInDoubt;
    if (isDue && nowMs - this.#boostAtMs >= BOOST_INTERVAL_MS) {
      this.#boostAtMs = nowMs;
    }
    return isDue && nowMs - this.#boostAtMs < BOOST_MS;
  }

  /**
   * Whether pings have to tell how wide the path is: a packet of full MTU was
   * lost while a small one was not, or arrived on a narrow path.
   */
  takeWidthDoubt(): boolean {
    const was = this.#isWidthInDoubt;
    this.#isWidthInDoubt = false;
    return was;
  }

  /** Takes what small pings have found while the path was silent. */
  notePing(outcome: PingOutcome, nowMs: number): void {
    const minMs = outcome === "lost" ? DEAD_MS : UNANSWERED_MS;
    const isSilent = this.#unanswered >= MIN_UNANSWERED &&
      this.#silentMs(nowMs) >= minMs;
    if (!isSilent) return;
    if (outcome === "lost" && !this.#isDead) this.#deadAtMs = nowMs;
    this.#isDead = outcome === "lost";
    this.#isUnanswered = outcome === "answered";
    this.#answersInRow = 0;
  }

  /** Takes the size of the largest packet that pings get through; undefined: the full MTU. */
  noteWidth(bytes: number | undefined): void {
    this.#narrowBytes = bytes;
  }

  /**
   * Does not count a time as silence in which this host could not hear. Answers
   * of that time may still wait to be read.
   */
  skipSilence(stalledMs: number, nowMs: number): void {
    const shift = (atMs: number) => Math.min(nowMs, atMs + stalledMs);
    for (const [number, { sentAtMs, isFull }] of this.#waiting) {
      this.#waiting.set(number, { sentAtMs: shift(sentAtMs), isFull });
    }
    if (this.#answeredAtMs !== undefined) {
      this.#answeredAtMs = shift(this.#answeredAtMs);
    }
  }

  /** Counts losses anew: what was lost until now was lost for a known reason. */
  clearLoss(nowMs: number, after: keyof typeof SETTLE_MS = "begin"): void {
    this.#lossFromMs = nowMs + SETTLE_MS[after];
    this.#received = 0;
    this.#theirLast = 0;
    this.#theirReceived = 0;
    this.#in.clear();
    this.#out.clear();
  }

  /**
   * Begins anew with another process of the peer.
   *
   * @returns false for a packet that may be a copy of one of a process that is forgotten
   */
  #meet({ session, kind, echo }: ProbePacket, nowMs: number): boolean {
    const [oldest] = this.#numbersOf.keys();
    const isFull = this.#numbersOf.size >= MAX_SESSIONS;
    if (isFull && !this.#numbersOf.has(session)) {
      // The answer to an open request cannot be a copy, whichever process is forgotten.
      const isFresh = kind === "answer" && this.#waiting.has(echo);
      if (oldest === undefined || !isFresh) return false;
      this.#numbersOf.delete(oldest);
    }
    this.#peerSession = session;
    this.clearLoss(nowMs);
    return true;
  }

  /** Forgets earlier processes of the peer: no key authenticates their packets any more. */
  forgetSessions(): void {
    for (const session of this.#numbersOf.keys()) {
      if (session !== this.#peerSession) this.#numbersOf.delete(session);
    }
  }

  #noteOut({ last, received }: ProbePacket, isSettled: boolean): void {
    const arrived = received - this.#theirReceived;
    const isCounting = isSettled && this.#theirReceived > 0;
    if (isCounting && arrived >= 0 && last >= this.#theirLast) {
      this.#out.add(arrived, last - this.#theirLast - arrived);
    }
    this.#theirLast = last;
    this.#theirReceived = received;
  }

  #noteAnswer(echo: number, nowMs: number): void {
    const request = this.#waiting.get(echo);
    if (!request) return;
    this.#waiting.delete(echo);
    const rttMs = nowMs - request.sentAtMs;
    this.#rttMs = this.#rttMs === undefined
      ? rttMs
      : this.#rttMs + (rttMs - this.#rttMs) / 8;
    this.#answeredAtMs = nowMs;
    this.#unanswered = 0;
    this.#isUnanswered = false;
    const isNews = request.isFull
      ? this.#narrowBytes !== undefined
      : this.#isFullInDoubt;
    if (isNews) this.#isWidthInDoubt = true;
    this.#isFullInDoubt = false;
    if (++this.#answersInRow < MIN_ANSWERS || !this.#isDead) return;
    this.#isDead = false;
    // The outage is over, and was no loss.
    this.clearLoss(nowMs, "outage");
  }
}

/** The numbers of packets that have arrived (RFC 4303, appendix A2). */
class Numbers {
  /** The largest one; 0 before the first. */
  last = 0;
  /** Bit n: whether the number `last - n` has arrived. */
  #arrived = 0;

  /** Whether a number is the largest, is missing behind it, or has arrived or may have. */
  orderOf(number: number): "next" | "late" | "seen" {
    if (number > this.last) return "next";
    const behind = this.last - number;
    const isMissing = behind <= LATE_NUMBERS && number > 0 &&
      (this.#arrived & 2 ** behind) === 0;
    return isMissing ? "late" : "seen";
  }

  add(number: number): void {
    const ahead = number - this.last;
    if (ahead <= 0) this.#arrived |= 2 ** -ahead;
    else {
      this.#arrived = ahead > LATE_NUMBERS ? 1 : this.#arrived << ahead | 1;
      this.last = number;
    }
  }
}

/** Whether each of the last packets of one direction has arrived. */
class Outcomes {
  /** The latest is the last. */
  #arrived: boolean[] = [];
  #isLossy = false;

  get isLossy(): boolean {
    return this.#isLossy;
  }

  get share(): number {
    const lost = this.#arrived.filter((arrived) => !arrived).length;
    return this.#arrived.length === 0 ? 0 : lost / this.#arrived.length;
  }

  get recentLosses(): number {
    return this.#arrived.slice(-LOSS_WINDOW).filter((a) => !a).length;
  }

  /** @param lost if negative, the number of packets counted as lost that were only late */
  add(arrived: number, lost: number): void {
    if (lost > MAX_GAP) return this.clear();
    for (let i = lost; i < 0; i++) this.#takeLate();
    for (let i = 0; i < lost; i++) this.#arrived.push(false);
    for (let i = 0; i < arrived + Math.min(lost, 0); i++) {
      this.#arrived.push(true);
    }
    this.#arrived.splice(0, this.#arrived.length - MAX_OUTCOMES);
    if (this.recentLosses >= MIN_LOSSES) this.#isLossy = true;
    const run = this.#arrived.slice(-CLEAN_RUN);
    const isClean = run.length === CLEAN_RUN && run.every((a) => a);
    if (isClean) this.clear();
  }

  #takeLate(): void {
    const late = this.#arrived.lastIndexOf(false);
    if (late < 0) return;
    this.#arrived[late] = true;
    const lost = this.#arrived.flatMap((arrived, at) => arrived ? [] : [at]);
    this.#isLossy &&= lost.some((at, i) =>
      at - (lost[i - MIN_LOSSES + 1] ?? -Infinity) < LOSS_WINDOW
    );
  }

  clear(): void {
    this.#arrived = [];
    this.#isLossy = false;
  }
}
