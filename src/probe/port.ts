import type { Address } from "../net/address.ts";

/** The UDP port of probes, at both ends. */
export const PROBE_PORT = 9002;

/** A payload that arrived. */
export interface ProbeDatagram {
  readonly payload: Uint8Array;
  /** Address and port that sent it, the address in canonical form. */
  readonly from: string;
  readonly port: number;
}

/** A socket on one address of this host. */
export interface ProbeSocket {
  /** Sends a payload to the probe port of an address. @returns false if the kernel refuses */
  send(payload: Uint8Array, to: string): Promise<boolean>;
  close(): void;
}

/**
 * Opens a socket on the probe port of an address, and calls `onDatagram` with
 * what arrives there.
 *
 * @throws {NetError} `unavailable` if this host does not have the address, or
 * another program has the port
 */
export type OpenProbeSocket = (
  address: string,
  onDatagram: (datagram: ProbeDatagram) => void,
) => ProbeSocket;

/** Sends pings: what they find decides whether a path is dead or narrow. */
export interface ProbePings {
  /**
   * Sends echo requests until one is answered, for at most a second, and
   * fragments none.
   *
   * @throws {NetError} `unavailable` if it cannot
   */
  ping(address: Address, options: {
    readonly packetBytes?: number;
    readonly source?: Address;
  }): Promise<{
    readonly isAnswered: boolean;
    /** Requests that were sent if neither an answer nor an error came. */
    readonly silentRequests?: number;
    /** MTU that this host or a router reported, in bytes. */
    readonly mtuBytes?: number | undefined;
  }>;
}
