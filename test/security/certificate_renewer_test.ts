import assert from "node:assert/strict";
import {
  renewalDueMs,
  type RenewalFacts,
} from "../../src/security/certificate_renewer.ts";
import { parseAddress } from "../../src/net/address.ts";
import type { TrustRecord } from "../../src/security/pki/authority.ts";
import type { PeerIdentity } from "../../src/security/pki/identity.ts";
import { NetError } from "../../src/base/error.ts";
import { withNode } from "./node_identity_world.ts";

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

Deno.test("CertificateRenewer doubles its wait with each failure, up to 15 s, or a minute with a certificate", () => {
  const waits: number[] = [];
  const refusal = new NetError("unavailable", "Cannot reach it: off");
  return withNode(async (node, world) => {
    await world.time.pass(60_000);
    // Three quarters each, as it draws 0.5.
    const first = [375, 750, 1_500, 3_000, 6_000, 11_250, 11_250];
    assert.deepEqual(waits.slice(0, first.length), first);
    world.refusal = undefined;
    await world.time.pass(15_000);
    world.refusal = refusal;
    waits.length = 0;
    node.renewNow();
    await world.time.pass(600_000);
    assert.deepEqual(waits.slice(0, first.length), [
      ...[375, 750, 1_500, 3_000, 6_000],
      ...[12_000, 24_000],
    ]);
    assert.equal(Math.max(...waits), 45_000);
  }, {
    prepare: (world) => world.refusal = refusal,
    node: ({ time }) => ({
      wait: (ms, signal) => {
        waits.push(ms);
        return time.wait(ms, signal);
      },
    }),
  });
});
