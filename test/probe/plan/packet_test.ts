import assert from "node:assert/strict";
import {
  decodePacket,
  encodePacket,
  PACKET_BYTES,
  type ProbePacket,
} from "../../../src/probe/plan/packet.ts";

const PACKET: ProbePacket = {
  kind: "answer",
  keyId: 200,
  session: 2n ** 63n + 5n,
  peerSession: 7n,
  number: 2 ** 32 - 1,
  echo: 6,
  last: 8,
  received: 9,
  from: 10n,
  to: 2n ** 64n - 1n,
};

Deno.test("decodePacket() reads what encodePacket() writes, padded or not", () => {
  for (const bytes of [PACKET_BYTES, PACKET_BYTES + 1, 1472, 65_507]) {
    const payload = encodePacket(PACKET, bytes);
    assert.equal(payload.length, bytes);
    assert.deepEqual(decodePacket(payload), PACKET);
  }
});

Deno.test("encodePacket() refuses sizes that a packet cannot have", () => {
  for (const bytes of [PACKET_BYTES - 1, 65_536, NaN]) {
    assert.throws(() => encodePacket(PACKET, bytes), RangeError);
  }
});

Deno.test("decodePacket() reads nothing else", () => {
  const payload = encodePacket(PACKET, 100);
  const changed = (offset: number, value: number) => {
    const copy = payload.slice();
    copy[offset] = value;
    return copy;
  };
  const others: [string, Uint8Array][] = [
    ["empty", new Uint8Array()],
    ["cut", payload.subarray(0, 99)],
    ["too short", payload.subarray(0, PACKET_BYTES - 1)],
    ["of another program", changed(0, 0)],
    ["of an unknown kind", changed(4, 3)],
    ["of no kind", changed(4, 0)],
  ];
  for (const [name, bytes] of others) {
    assert.equal(decodePacket(bytes), undefined, name);
  }
});
