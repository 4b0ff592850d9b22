import assert from "node:assert/strict";
import fc from "fast-check";
import { createKey } from "../../src/security/pki/key.ts";
import { findRevocation } from "../../src/security/pki/revocation.ts";
import { openDenoKv } from "../../src/store/deno_kv/deno_kv.ts";
import { HOUR_MS } from "./pki/identities.ts";
import { type TestMember, TestRegistry } from "./registries.ts";

const NAMES = ["a", "b"] as const;

/** What may happen, with what it happens to by number. */
type Step =
  | { readonly kind: "join"; readonly name: number; readonly key: number }
  | { readonly kind: "renew" | "revoke one"; readonly member: number }
  | { readonly kind: "revoke"; readonly name: number }
  | { readonly kind: "wait"; readonly ms: number }
  | { readonly kind: "rotate" | "tidy" | "restart" };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant("join" as const),
      name: fc.nat(1),
      key: fc.nat(1),
    }),
  },
  fc.record({
    kind: fc.constantFrom("renew" as const, "revoke one" as const),
    member: fc.nat(9),
  }),
  fc.record({ kind: fc.constant("revoke" as const), name: fc.nat(1) }),
  fc.record({
    kind: fc.constant("wait" as const),
    ms: fc.constantFrom(1, 999, 1000, HOUR_MS, 26 * HOUR_MS, 800 * HOUR_MS),
  }),
  fc.record({
    kind: fc.constantFrom(
      "rotate" as const,
      "tidy" as const,
      "restart" as const,
    ),
  }),
);

/** Another has joined when a certificate that has ended long ago is shown. */
const RETURNS_LATE: Step[] = [
  { kind: "join", name: 1, key: 1 },
  { kind: "wait", ms: 800 * HOUR_MS },
  { kind: "join", name: 1, key: 0 },
  { kind: "renew", member: 0 },
];

Deno.test("IdentityRegistry: whatever happens, no two keys hold one name, and nothing that was revoked comes back", async () => {
  const keys = [createKey(), createKey()] as const;
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 24 }), async (steps) => {
      const store = await openDenoKv({ path: ":memory:" });
      try {
        await walk(await TestRegistry.open(store), steps, keys);
      } finally {
        await store.close();
      }
    }),
    { numRuns: 40, examples: [[RETURNS_LATE]] },
  );
});

async function walk(
  first: TestRegistry,
  steps: readonly Step[],
  keys: readonly [string, string],
): Promise<void> {
  let t = first;
  const members: TestMember[] = [];
  const revoked = new Set<TestMember>();
  for (const step of steps) {
    const member = "member" in step
      ? members[step.member % Math.max(1, members.length)]
      : undefined;
    try {
      switch (step.kind) {
        case "join": {
          const name = NAMES[step.name]!;
          const key = keys[step.key]!;
          members.push(await t.join(await t.token(), { name, key }));
          break;
        }
        case "renew":
          if (member) members.push(await t.renew(member));
          break;
        case "revoke one":
          if (!member) break;
          await t.registry.revoke({ serial: member.identity.serial }, "");
          revoked.add(member);
          break;
        case "revoke": {
          const name = NAMES[step.name]!;
          await t.registry.revoke({ role: "node", name }, "");
          for (const m of members) if (m.identity.name === name) revoked.add(m);
          break;
        }
        case "wait":
          t.clock.nowMs += step.ms;
          break;
        case "rotate":
          await t.registry.rotate({ announceMs: 1000 });
          break;
        case "tidy":
          await t.registry.tidy();
          break;
        case "restart":
          t = await t.another();
      }
    } catch (error) {
      // What is not possible now is refused, and said why.
      assert.equal((error as Error).name, "NetError", String(error));
    }
    await check(t, members, revoked);
  }
}

async function check(
  { registry, clock }: TestRegistry,
  members: readonly TestMember[],
  revoked: ReadonlySet<TestMember>,
): Promise<void> {
  const { authorities, revocations } = await registry.trust();
  const holding = members.filter(({ identity }) =>
    clock.nowMs < identity.notAfterMs &&
    authorities.some((a) => a.generation === identity.generation) &&
    !findRevocation(revocations, identity)
  );
  for (const member of holding) assert.ok(!revoked.has(member));
  for (const name of NAMES) {
    const held = holding.filter(({ identity }) => identity.name === name);
    assert.ok(new Set(held.map(({ key }) => key)).size <= 1);
  }
  // Those that hold are in the list, so that they can be revoked.
  const listed = (await registry.listCertificates())
    .filter(({ isRevoked }) => !isRevoked).map(({ serial }) => serial);
  assert.deepEqual(
    holding.map(({ identity }) => identity.serial).sort(),
    listed.sort(),
  );
}
