import type { Family } from "../../net/address.ts";

/** What became of an echo request. */
export interface PingAnswer {
  readonly isAnswered: boolean;
  /** The MTU that a router, or this host, said to be the largest; undefined when none did. */
  readonly mtuBytes: number | undefined;
}

/** Bytes of an echo request in front of its payload: headers of IP and ICMP (RFC 792, RFC 4443). */
const HEADER_BYTES: Record<Family, number> = { 4: 20 + 8, 6: 40 + 8 };

/** How much payload makes an echo request a packet of a size; 0 where that is too small for one. */
export function pingPayloadBytes(packetBytes: number, family: Family): number {
  return Math.max(0, packetBytes - HEADER_BYTES[family]);
}

/**
 * Reads what `ping` of iputils printed on both its outputs; undefined when it
 * did not get as far as to send.
 */
export function parsePing(text: string): PingAnswer | undefined {
  const received = /\b\d{1,10} packets transmitted, (\d{1,10}) received/
    .exec(text)?.[1];
  if (received === undefined) return undefined;
  // "Frag needed and DF set (mtu = 1400)", "Packet too big: mtu=1400",
  // "local error: message too long, mtu: 1500".
  const mtu = /\bmtu ?[=:] ?(\d{1,10})/i.exec(text)?.[1];
  return {
    isAnswered: received !== "0",
    mtuBytes: mtu === undefined ? undefined : Number(mtu),
  };
}
