import assert from "node:assert/strict";
import {
  renewalDueMs,
  type RenewalFacts,
} from "../../src/security/certificate_renewer.ts";
import { parseAddress } from "../../src/net/address.ts";
import type { TrustRecord } from "../../src/security/pki/authority.ts";
import type { PeerIdentity } from "../../src/security/pki/identity.ts";

const HOUR_MS = 3600_000;
const DAY_MS = 24 * HOUR_MS;

const IDENTITY: PeerIdentity = {
  clusterId: "c1",
  role: "node",
  name: "host2",
  serial: "01",
  fingerprint: "",
  issuedAtMs: 0,
  notBeforeMs: 0,
  notAfterMs: DAY_MS,
  generation: 1,
  addresses: [],
};

function authority(generation: number, signsFromMs: number): TrustRecord {
  const trustedUntilMs = generation === 1 ? 40 * DAY_MS : 4000 * DAY_MS;
  const texts = { clusterId: "c1", certificate: "", fingerprint: "" };
  return { ...texts, generation, signsFromMs, trustedUntilMs };
}

const [A, B] = ["198.18.0.2", "2001:2::2"].map(parseAddress) as [
  ReturnType<typeof parseAddress>,
  ReturnType<typeof parseAddress>,
];

const ROWS: readonly [
  what: string,
  facts: Partial<RenewalFacts>,
  dueMs: number,
][] = [
  ["after two thirds of its time", {}, 16 * HOUR_MS],
  ["up to a tenth of its time earlier", { jitter: 1 }, 13.6 * HOUR_MS],
  ["at once for another address", { addresses: [A] }, 0],
  ["at once for one address more", {
    addresses: [A, B, parseAddress("198.18.0.3")],
  }, 0],
  [
    "in its time for addresses in another order",
    { addresses: [A, B, A] },
    16 * HOUR_MS,
  ],
  ["at once when its authority is not known", {
    authorities: [authority(2, 0)],
  }, 0],
  [
    "at once when its authority is that of another cluster",
    { authorities: [{ ...authority(1, 0), clusterId: "c2" }] },
    0,
  ],
  [
    "when the next authority begins to sign",
    { authorities: [authority(1, 0), authority(2, HOUR_MS)] },
    HOUR_MS,
  ],
  [
    "up to ten minutes after that",
    { authorities: [authority(1, 0), authority(2, HOUR_MS)], jitter: 1 },
    HOUR_MS + 600_000,
  ],
  [
    "in its time when the next one signs later",
    { authorities: [authority(1, 0), authority(2, 20 * HOUR_MS)] },
    16 * HOUR_MS,
  ],
  [
    "soon when the one before is not trusted for long",
    {
      authorities: [
        { ...authority(1, 0), trustedUntilMs: HOUR_MS + 10_000 },
        authority(2, HOUR_MS),
      ],
      jitter: 1,
    },
    HOUR_MS + 1_000,
  ],
];

Deno.test("renewalDueMs() is", async (t) => {
  for (const [what, facts, dueMs] of ROWS) {
    await t.step(what, () => {
      const due = renewalDueMs({
        certificate: { identity: IDENTITY, addresses: [B, A] },
        authorities: [authority(1, 0)],
        addresses: [A, B],
        jitter: 0,
        ...facts,
      });
      assert.equal(Math.round(due), dueMs);
    });
  }
});
