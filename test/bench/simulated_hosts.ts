import type { Client } from "@connectrpc/connect";
import type { Report } from "../../src/cluster/plan/report.ts";
import type { RegistryService } from "../../src/gen/stellar/net/v1/registry_pb.ts";

/** Calls of hosts at once. */
const AT_ONCE = 64;

/** A simulated host. */
export interface SimulatedHost {
  readonly node: string;
  readonly subnet: string;
}

/** Has hosts join, some at once. */
export async function joinHosts(
  registry: Client<typeof RegistryService>,
  count: number,
): Promise<SimulatedHost[]> {
  const hosts: SimulatedHost[] = [];
  await each(Array.from({ length: count }, (_, i) => i), async (i) => {
    const node = `h${i}`;
    const { subnets: [subnet] } = await registry.join({
      ...{ node, instanceId: node },
      advertised: [`198.18.${i >> 8}.${i & 255}`],
    });
    hosts.push({ node, subnet: subnet! });
  });
  return hosts;
}

/** The report of a host with some problems. @param held addresses */
export function reportOf(
  { subnet }: SimulatedHost,
  problems: number,
  held = 700,
): Report {
  return {
    version: "0.1.0",
    startedAtMs: 1_800_000_000_000,
    bootId: "3b1f7c52-6d0e-4b8a-9d55-0c6f0b0f3a11",
    subnets: [{
      ...{ cidr: subnet, capacity: 2045, held, cooling: 12 },
      ...{ perDay: 3.5, fullAtMs: 1_830_000_000_000 },
    }],
    ...{ leaked: 0, queued: 0 },
    routes: { wanted: 4095, installed: 4094, conflicts: 1, unresolved: 0 },
    problems: Array.from({ length: problems }, (_, i) => ({
      code: `problem-${i}`,
      severity: i === 0 ? "error" : "warning",
      text:
        `the route to ${subnet} via 198.18.0.${i} is not installed: another program has one to the same destination`,
      fix: `ip route del ${subnet}`,
    })),
    probes: {
      ...{ alive: 4_080, lossy: 4, narrow: 3 },
      ...{ dead: problems, unanswered: 5, unmeasured: 3 },
    },
  };
}

/** Does something for each item, some at once. */
export async function each<T>(
  items: readonly T[],
  run: (item: T, i: number) => Promise<unknown>,
): Promise<void> {
  let next = 0;
  const work = async () => {
    for (let i = next++; i < items.length; i = next++) await run(items[i]!, i);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
}
