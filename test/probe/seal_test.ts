import assert from "node:assert/strict";
import { PACKET_BYTES } from "../../src/probe/plan/packet.ts";
import {
  nodeId,
  openPacket,
  type ProbeKey,
  sealPacket,
  sendingKey,
} from "../../src/probe/seal.ts";

const KEY = probeKey(7, 1);
const PACKET = {
  kind: "request" as const,
  ...{ session: 3n, peerSession: 4n, number: 5, echo: 0 },
  ...{ last: 6, received: 7, from: nodeId("c", "a"), to: nodeId("c", "b") },
};

export function probeKey(id: number, fill: number): ProbeKey {
  return { id, secret: new Uint8Array(32).fill(fill) };
}

Deno.test("openPacket() opens what sealPacket() seals with any of its keys", () => {
  const keys = [probeKey(6, 9), KEY, probeKey(8, 2)];
  for (const bytes of [undefined, 1472]) {
    const payload = sealPacket(PACKET, KEY, bytes);
    assert.equal(payload.length, bytes ?? PACKET_BYTES);
    assert.deepEqual(openPacket(payload, keys), { ...PACKET, keyId: 7 });
  }
});

Deno.test("openPacket() opens nothing in which a bit is changed, but for padding", () => {
  const payload = sealPacket(PACKET, KEY, PACKET_BYTES + 1);
  for (let bit = 0; bit < PACKET_BYTES * 8; bit++) {
    const forged = payload.slice();
    forged[bit >> 3]! ^= 1 << (bit & 7);
    assert.equal(openPacket(forged, [KEY]), undefined, `bit ${bit}`);
  }
});

Deno.test("openPacket() opens nothing without the key, or with another one of its id", () => {
  const payload = sealPacket(PACKET, KEY);
  assert.equal(openPacket(payload, []), undefined);
  assert.equal(openPacket(payload, [probeKey(8, 1)]), undefined);
  assert.equal(openPacket(payload, [probeKey(7, 2)]), undefined);
});

Deno.test("sendingKey() is one that members have had for a rotation", () => {
  const keys = [probeKey(1, 1), probeKey(2, 2), probeKey(3, 3)];
  assert.equal(sendingKey([])?.id, undefined);
  assert.equal(sendingKey(keys.slice(0, 1))?.id, 1);
  assert.equal(sendingKey(keys.slice(0, 2))?.id, 1);
  assert.equal(sendingKey(keys)?.id, 2);
});

Deno.test("nodeId() differs by name and by cluster", () => {
  const ids = [nodeId("c", "a"), nodeId("c", "b"), nodeId("d", "a")];
  assert.equal(new Set(ids).size, 3);
  assert.equal(nodeId("c", "a"), ids[0]);
});
