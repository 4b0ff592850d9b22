import assert from "node:assert/strict";
import fc from "fast-check";
import { HostReconciler } from "../../src/host/reconciler.ts";
import type { HostNetwork } from "../../src/host/network.ts";
import { formatAddress } from "../../src/net/address.ts";
import { FORWARDING, type HostDesired } from "../../src/host/plan/host_plan.ts";
import { isOwn } from "../../src/host/plan/packet_chain.ts";
import { hostDesired } from "../host/plan/host_plans.ts";

/** Name of the bridge that the suite asks for. */
export const SUITE_BRIDGE = "br0";

/** What happens to a host behind the agent's back. */
export type Mishap =
  | "bridge deleted"
  | "bridge down"
  | "address deleted"
  | "forwarding off"
  | "table deleted"
  | "table flushed"
  | "rules lost"
  | "policy of accept"
  | "policy of drop";

/** A host to try; its filter `ip filter FORWARD` is of iptables, and has a rule of an operator. */
export interface SuiteHost extends AsyncDisposable {
  readonly network: HostNetwork;
  /** Does what happens; what cannot happen now is not an error. */
  suffer(mishap: Mishap): Promise<void>;
}

const MISHAPS: readonly Mishap[] = [
  "bridge deleted",
  "bridge down",
  "address deleted",
  "forwarding off",
  "table deleted",
  "table flushed",
  "rules lost",
  "policy of accept",
  "policy of drop",
];

const bridge = { name: SUITE_BRIDGE, mtuBytes: 1500 };
const STATES: readonly (readonly [name: string, desired: HostDesired])[] = [
  ["left", hostDesired({ bridge, subnets: "", networks: "" })],
  ["in the cluster", hostDesired({ bridge })],
  ["masqueraded", hostDesired({ bridge, masquerade: true })],
  ["of another subnet", hostDesired({ bridge, subnets: "172.16.8.0/22" })],
  [
    "with jumbo frames",
    hostDesired({ bridge: { ...bridge, mtuBytes: 9000 }, masquerade: true }),
  ],
  [
    "of two networks",
    hostDesired({
      bridge,
      subnets: "172.16.0.0/22 10.0.4.0/24",
      networks: "172.16.0.0/12 10.0.0.0/16",
      masquerade: true,
    }),
  ],
];

/** What is the agent's to see to, as lines. */
async function describe(
  network: HostNetwork,
  { subnets }: HostDesired,
): Promise<string[]> {
  const state = await network.read(SUITE_BRIDGE);
  const link = state.interfaces!.links.find((l) => l.name === SUITE_BRIDGE);
  return [
    ...(link?.addresses ?? []).filter(({ scope }) => scope === "global")
      .map(({ address, prefix }) =>
        `${formatAddress(address)}/${prefix.length}`
      ).sort(),
    // Bridge and forwarding are left when the node has left: others may use them.
    ...subnets.length === 0 ? [] : [
      `${link?.kind} ${link?.isUp ? "up" : "down"} ${link?.mtuBytes}`,
      `forwarding ${state.sysctls.get(FORWARDING[4])}`,
    ],
    ...state.tables!.flatMap(({ chains }) =>
      chains.flatMap(({ rules }) => rules.map(({ text }) => text))
    ),
    ...state.filters!.flatMap(({ chain }) => [
      ...chain.rules.filter((rule) => !isOwn(rule)).map(({ text }) => text),
      ...chain.rules.filter(isOwn).map(({ id }) => id).sort(),
    ]),
  ];
}

function reconcilerOf(network: HostNetwork): HostReconciler {
  return new HostReconciler({ network, apply: true });
}

/**
 * Leads hosts from state to state, with mishaps in between: each state looks
 * the same whatever the way to it, and is reached in one look.
 *
 * @param options.walks how many walks of up to a dozen steps
 */
export async function testHostNetwork(
  create: () => Promise<SuiteHost>,
  { walks }: { readonly walks: number },
): Promise<void> {
  const texts = new Map<string, string[]>();
  for (const [name, desired] of STATES) {
    await using host = await create();
    await host.suffer("policy of drop");
    await reconcilerOf(host.network).setDesired(desired);
    texts.set(name, await describe(host.network, desired));
  }
  assert.equal(new Set([...texts.values()].map(String)).size, STATES.length);

  const step = fc.record({
    state: fc.nat(STATES.length - 1),
    mishaps: fc.subarray([...MISHAPS], { maxLength: 3 }),
    isRestarted: fc.boolean(),
  });
  const walk = fc.array(step, { minLength: 6, maxLength: 12 });
  const seed = Number(Deno.env.get("TEST_SEED") ?? Date.now());
  await fc.assert(
    fc.asyncProperty(walk, async (steps) => {
      await using host = await create();
      let reconciler = reconcilerOf(host.network);
      for (const { state, mishaps, isRestarted } of steps) {
        const [name, desired] = STATES[state]!;
        for (const mishap of mishaps) await host.suffer(mishap);
        // Gateways of former subnets are known to the process that put them there.
        await reconciler.setDesired(desired);
        await host.suffer("policy of drop");
        await reconciler.reconcile();
        const text = await describe(host.network, desired);
        assert.deepEqual(text, texts.get(name), name);
        assert.deepEqual(reconciler.warnings, []);
        if (isRestarted) reconciler = reconcilerOf(host.network);
        assert.deepEqual((await reconciler.setDesired(desired)).changes, []);
      }
    }),
    { numRuns: walks, seed, endOnFailure: true },
  );
}
