import assert from "node:assert/strict";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { createRouterTransport } from "@connectrpc/connect";
import fc from "fast-check";
import type { ClusterEvent } from "../../../src/registry/feed.ts";
import {
  Role as RoleMessage,
  TrustSchema,
} from "../../../src/gen/stellar/net/v1/identity_pb.ts";
import {
  RegistryService,
  WatchResponseSchema,
} from "../../../src/gen/stellar/net/v1/registry_pb.ts";
import type { Trust } from "../../../src/security/trust.ts";
import { publicPart } from "../../../src/security/pki/generations.ts";
import { ROLES } from "../../../src/security/pki/identity.ts";
import type { RevocationRecord } from "../../../src/security/pki/revocation.ts";
import {
  readRole,
  readTrust,
  roleMessage,
  trustMessage,
} from "../../../src/api/messages/identity.ts";
import { encodedWatchMessage } from "../../../src/api/messages/nodes.ts";
import { RpcRegistryPeer } from "../../../src/api/client/registry_peer.ts";
import { createTestAuthority } from "../../security/pki/identities.ts";

const time = fc.integer({ min: 0, max: 4_000_000_000_000 });
const common = { revokedAtMs: time, untilMs: time };
const reason = fc.constantFrom("", "lost", "left \u{1f600}");
const revocation: fc.Arbitrary<RevocationRecord> = fc.oneof(
  fc.record({
    kind: fc.constant("serial" as const),
    serial: fc.constantFrom("00ff", "7f00112233445566778899aabbccddeeff"),
    reason,
    ...common,
  }, { noNullPrototype: true }),
  fc.record({
    kind: fc.constant("name" as const),
    role: fc.constantFrom(...ROLES),
    name: fc.constantFrom("a", "host-1.example"),
    issuedUpToMs: time,
    reason,
    ...common,
  }, { noNullPrototype: true }),
);

Deno.test("readTrust() reads what trustMessage() has made, on the wire too", async () => {
  const authority = publicPart((await createTestAuthority()).record);
  fc.assert(fc.property(
    fc.array(fc.record({ signsFromMs: time, trustedUntilMs: time })),
    fc.array(revocation),
    (times, revocations) => {
      const authorities = times.map((part) => ({ ...authority, ...part }));
      const trust: Trust = { authorities, revocations };
      const bytes = toBinary(TrustSchema, trustMessage(trust));
      assert.deepEqual(readTrust(fromBinary(TrustSchema, bytes)), trust);
    },
  ));
});

Deno.test("readTrust() refuses what is not valid", () => {
  const rows = [
    { authorities: [{}] },
    { authorities: [{ clusterId: "c1", generation: 1 }] },
    { revocations: [{}] },
    { revocations: [{ name: "a", role: 9 as RoleMessage }] },
  ];
  for (const row of rows) {
    assert.throws(() => readTrust(create(TrustSchema, row)), RangeError);
  }
});

Deno.test("readRole() reads what roleMessage() has made", () => {
  for (const role of ROLES) assert.equal(readRole(roleMessage(role)), role);
  assert.equal(readRole(RoleMessage.UNSPECIFIED), undefined);
});

/** What a peer tells of the responses of a watch. */
async function watched(
  ...responses: Parameters<typeof create<typeof WatchResponseSchema>>[1][]
): Promise<(Trust | undefined)[]> {
  const transport = createRouterTransport((router) => {
    router.service(RegistryService, {
      async *watch() {
        for (const response of responses) {
          yield create(WatchResponseSchema, response);
        }
      },
    });
  });
  const peer = new RpcRegistryPeer("https://host1:9000", transport);
  const told: (Trust | undefined)[] = [];
  for await (const { trust } of peer.watch(new AbortController().signal)) {
    told.push(trust);
  }
  return told;
}

Deno.test("RpcRegistryPeer.watch() returns the trust where the host sends one that can be read", async () => {
  const { record } = await createTestAuthority();
  const trust: Trust = { authorities: [publicPart(record)], revocations: [] };
  assert.deepEqual(
    await watched(
      { snapshot: true, trust: trustMessage(trust) },
      { revision: 2n },
      { revision: 3n, trust: { authorities: [{ certificate: "new" }] } },
    ),
    [trust, undefined, undefined],
  );
});

Deno.test("encodedWatchMessage() has the trust of an event", async () => {
  const { record } = await createTestAuthority();
  const trust: Trust = { authorities: [publicPart(record)], revocations: [] };
  const event: ClusterEvent = {
    revision: 0,
    isSnapshot: false,
    nodes: [],
    routes: [],
    removedNodes: [],
    removedRoutes: [],
    trust,
  };
  const bytes = toBinary(WatchResponseSchema, encodedWatchMessage(event));
  const message = fromBinary(WatchResponseSchema, bytes);
  assert.deepEqual(readTrust(message.trust!), trust);
});
