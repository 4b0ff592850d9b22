import assert from "node:assert/strict";
import fc from "fast-check";
import { JoinChallenges } from "../../src/security/join_challenges.ts";

const ID = "0123456789ab";

Deno.test("JoinChallenges takes a nonce of its own once, for its token, within a minute", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: 2 ** 42 }),
      fc.integer({ min: -120_000, max: 120_000 }),
      fc.constantFrom(ID, "ba9876543210"),
      fc.option(fc.nat(255)),
      (startMs, ageMs, tokenId, bit) => {
        let nowMs = startMs;
        const challenges = new JoinChallenges(() => nowMs);
        const { serverNonce } = challenges.begin(ID, undefined);
        nowMs += ageMs;
        if (bit !== null) serverNonce[bit >> 3]! ^= 1 << (bit & 7);
        const isGood = bit === null && tokenId === ID && ageMs >= 0 &&
          ageMs < 60_000;
        const check = () => challenges.check(tokenId, serverNonce);
        if (isGood) check();
        else assert.throws(check, { code: "unavailable" });
        challenges.use(serverNonce);
        assert.throws(() => challenges.use(serverNonce), {
          code: "unavailable",
        });
      },
    ),
    { numRuns: 100 },
  );
});

Deno.test("JoinChallenges takes no nonce of another length, or of another process", () => {
  const challenges = new JoinChallenges(() => 0);
  const others = new JoinChallenges(() => 0).begin(ID, undefined);
  const own = challenges.begin(ID, undefined);
  for (
    const nonce of [
      others.serverNonce,
      new Uint8Array(),
      own.serverNonce.subarray(1),
      new Uint8Array([...own.serverNonce, 0]),
    ]
  ) {
    assert.throws(() => challenges.check(ID, nonce), { code: "unavailable" });
  }
  challenges.check(ID, own.serverNonce);
});

Deno.test("JoinChallenges remembers 10,000 used nonces, and has room again when they expire", () => {
  let nowMs = 0;
  const challenges = new JoinChallenges(() => nowMs);
  const use = () => challenges.use(challenges.begin(ID, undefined).serverNonce);
  for (let i = 0; i < 10_000; i++) use();
  assert.throws(use, {
    code: "unavailable",
    message: /10000 have joined here within the last minute/,
  });
  nowMs += 60_000;
  challenges.check(ID, challenges.begin(ID, undefined).serverNonce);
  use();
});
