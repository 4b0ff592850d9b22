/** Bytes of a packet without padding, and of every answer. */
export const PACKET_BYTES = 72;
/** Leading bytes of a packet that its authentication code covers. */
export const SIGNED_BYTES = 56;
/** Largest payload that a packet's length field holds, in bytes. */
const MAX_BYTES = 0xffff;

const MAGIC = 0x534e5031;
const KINDS = ["request", "answer"] as const;

/**
 * A probe packet. Each one states what its sender has received, so that both
 * ends know which direction loses packets.
 */
export interface ProbePacket {
  /** An answer goes out at once for each request, and never for an answer. */
  readonly kind: (typeof KINDS)[number];
  /** Id of the key that authenticates it, 0 to 255. */
  readonly keyId: number;
  /** Random id of the sender's process, not 0. */
  readonly session: bigint;
  /** Session of the receiver; 0: the sender does not know it. */
  readonly peerSession: bigint;
  /** Number of this packet among all from this sender to this receiver, from 1. */
  readonly number: number;
  /** In an answer: number of the request; else 0. */
  readonly echo: number;
  /** Largest number that the sender has received from the receiver; 0: none. */
  readonly last: number;
  /** Packets that the sender has received from the receiver. */
  readonly received: number;
  /** Ids of the two nodes: see `nodeId` of the seal. */
  readonly from: bigint;
  readonly to: bigint;
}

/**
 * Encodes a packet, without its authentication code. All numbers are in network
 * byte order.
 *
 * @param bytes size of the payload; the rest of it is padding. Default: no padding
 */
export function encodePacket(
  packet: ProbePacket,
  bytes: number = PACKET_BYTES,
): Uint8Array<ArrayBuffer> {
  if (!(bytes >= PACKET_BYTES && bytes <= MAX_BYTES)) {
    throw new RangeError(
      `Cannot encode a probe of ${bytes} bytes: ${PACKET_BYTES} to ${MAX_BYTES} are possible`,
    );
  }
  const payload = new Uint8Array(bytes);
  const view = new DataView(payload.buffer);
  view.setUint32(0, MAGIC);
  view.setUint8(4, KINDS.indexOf(packet.kind) + 1);
  view.setUint8(5, packet.keyId);
  view.setUint16(6, bytes);
  view.setBigUint64(8, packet.session);
  view.setBigUint64(16, packet.peerSession);
  view.setUint32(24, packet.number);
  view.setUint32(28, packet.echo);
  view.setUint32(32, packet.last);
  view.setUint32(36, packet.received);
  view.setBigUint64(40, packet.from);
  view.setBigUint64(48, packet.to);
  return payload;
}

/** Decodes a payload; undefined if it is not a probe packet. */
export function decodePacket(payload: Uint8Array): ProbePacket | undefined {
  if (payload.length < PACKET_BYTES) return undefined;
  const view = new DataView(payload.buffer, payload.byteOffset, payload.length);
  const kind = KINDS[view.getUint8(4) - 1];
  const isOurs = view.getUint32(0) === MAGIC &&
    view.getUint16(6) === payload.length;
  if (!isOurs || kind === undefined) return undefined;
  return {
    kind,
    keyId: view.getUint8(5),
    session: view.getBigUint64(8),
    peerSession: view.getBigUint64(16),
    number: view.getUint32(24),
    echo: view.getUint32(28),
    last: view.getUint32(32),
    received: view.getUint32(36),
    from: view.getBigUint64(40),
    to: view.getBigUint64(48),
  };
}
