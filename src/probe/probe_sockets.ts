import { getLogger } from "@logtape/logtape";
import { NetError } from "../base/error.ts";
import { formatAddress } from "../net/address.ts";
import type { OwnEnd } from "./plan/peers.ts";
import type { OpenProbeSocket, ProbeDatagram, ProbeSocket } from "./port.ts";

/** Rounds between two attempts to open a socket that could not be opened. */
const REOPEN_ROUNDS = 10;

const log = getLogger(["stellar-net", "agent", "probe"]);

export interface ProbeSocketsOptions {
  readonly open: OpenProbeSocket;
  /** Called with what arrives, and the socket where it does. */
  readonly onDatagram: (datagram: ProbeDatagram, socket: ProbeSocket) => void;
}

/** The ends of this host, with a socket on each address that it sends from or answers at. */
export class ProbeSockets {
  readonly #options: ProbeSocketsOptions;
  readonly #sockets = new Map<string, ProbeSocket>();
  /** Addresses that could not be opened, with the reason and the round of the attempt. */
  readonly #unopened = new Map<string, { why: string; round: number }>();
  #ends: readonly OwnEnd[] = [];

  constructor(options: ProbeSocketsOptions) {
    this.#options = options;
  }

  get ends(): readonly OwnEnd[] {
    return this.#ends;
  }

  /** Addresses from which no probe goes out, a line each. */
  get warnings(): string[] {
    return [...this.#unopened].map(([address, { why }]) =>
      `no probe goes out from ${address}: ${why}`
    );
  }

  /** The socket from which an end sends; undefined if it could not be opened. */
  from({ source }: OwnEnd): ProbeSocket | undefined {
    return this.#sockets.get(formatAddress(source));
  }

  /**
   * Opens and closes sockets, so that they are those of the ends that this host
   * has now.
   *
   * @param round number of the round, to try failed addresses again only after some rounds
   * @returns whether a gateway came or went since the last ends, so that peers
   * send elsewhere from now on
   */
  sync(ends: readonly OwnEnd[], round: number): boolean {
    const before = this.#ends.map(({ source }) => formatAddress(source)).join();
    this.#ends = ends;
    const sources = ends.map(({ source }) => formatAddress(source));
    const wanted = new Set([
      ...sources,
      ...ends.map(({ host }) => formatAddress(host)),
    ]);
    this.#closeAllBut(wanted);
    for (const address of wanted) {
      if (!this.#sockets.has(address)) this.#tryOpen(address, round);
    }
    return before !== "" && before !== sources.join();
  }

  close(): void {
    this.#closeAllBut(new Set());
  }

  #tryOpen(address: string, round: number): void {
    const { open, onDatagram } = this.#options;
    const failed = this.#unopened.get(address);
    if (failed && round - failed.round < REOPEN_ROUNDS) return;
    try {
      const socket: ProbeSocket = open(
        address,
        (datagram) => onDatagram(datagram, socket),
      );
      this.#sockets.set(address, socket);
      this.#unopened.delete(address);
    } catch (error) {
      if (!(error instanceof NetError)) throw error;
      const why = error.message;
      if (failed?.why !== why) log.warn("{why}", { why });
      this.#unopened.set(address, { why, round });
    }
  }

  #closeAllBut(wanted: ReadonlySet<string>): void {
    for (const [address, socket] of this.#sockets) {
      if (wanted.has(address)) continue;
      socket.close();
      this.#sockets.delete(address);
    }
    for (const address of this.#unopened.keys()) {
      if (!wanted.has(address)) this.#unopened.delete(address);
    }
  }
}
