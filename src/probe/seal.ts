import type { Buffer } from "node:buffer";
import { createHash, createHmac, timingSafeEqual } from "node:crypto";
import {
  decodePacket,
  encodePacket,
  PACKET_BYTES,
  type ProbePacket,
  SIGNED_BYTES,
} from "./plan/packet.ts";

/** A secret that all members of a cluster know. */
export interface ProbeKey {
  /** 1 to 255; a later key may have the id of one that is forgotten. */
  readonly id: number;
  /** 32 random bytes. */
  readonly secret: Uint8Array<ArrayBuffer>;
}

const CODE_BYTES = PACKET_BYTES - SIGNED_BYTES;

/** The id of a node in packets: 8 bytes of a digest of its name and cluster. */
export function nodeId(clusterId: string, node: string): bigint {
  return createHash("sha256").update(`${clusterId}\n${node}`).digest()
    .readBigUInt64BE();
}

/**
 * The key to send with: the one before the latest, which members have had for a
 * while; undefined without keys.
 *
 * @param keys in the order in which they were made
 */
export function sendingKey(keys: readonly ProbeKey[]): ProbeKey | undefined {
  return keys.at(-2) ?? keys.at(-1);
}

/**
 * 4 bytes of a digest of keys, by which a registry knows whether a host has
 * them; 0 for none. Ids do not tell: a registry that was restored makes keys
 * with the ids of others that it had made before.
 */
export function digestKeys(keys: readonly ProbeKey[]): number {
  if (keys.length === 0) return 0;
  const hash = createHash("sha256");
  for (const { id, secret } of keys) hash.update(`${id}\n`).update(secret);
  return hash.digest().readUInt32BE();
}

/** Encodes a packet with its authentication code (HMAC-SHA-256, RFC 2104, cut to 16 bytes). */
export function sealPacket(
  packet: Omit<ProbePacket, "keyId">,
  key: ProbeKey,
  bytes?: number,
): Uint8Array<ArrayBuffer> {
  const payload = encodePacket({ ...packet, keyId: key.id }, bytes);
  payload.set(codeOf(payload, key), SIGNED_BYTES);
  return payload;
}

/** Decodes an authentic packet; undefined for every other payload. */
export function openPacket(
  payload: Uint8Array,
  keys: readonly ProbeKey[],
): ProbePacket | undefined {
  const packet = decodePacket(payload);
  const key = keys.find(({ id }) => id === packet?.keyId);
  if (!packet || !key) return undefined;
  const code = payload.subarray(SIGNED_BYTES, PACKET_BYTES);
  return timingSafeEqual(code, codeOf(payload, key)) ? packet : undefined;
}

function codeOf(payload: Uint8Array, { secret }: ProbeKey): Buffer {
  return createHmac("sha256", secret).update(payload.subarray(0, SIGNED_BYTES))
    .digest().subarray(0, CODE_BYTES);
}
