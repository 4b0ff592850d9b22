import { allDone } from "../support/all_done.ts";
import { waitFor } from "../support/wait_for.ts";
import type { Lab } from "./lab.ts";
import type { LabHost } from "./lab_host.ts";
import type { LabContainer } from "./lab_container.ts";
import { SourceServer } from "./source_seen.ts";

/** The hosts that are in a cluster, and their subnets. */
export type Members = ReadonlyMap<LabHost, readonly string[]>;

/** Starts the agents one after the other: the first host gets the first subnet. */
export async function startInOrder(lab: Lab): Promise<Members> {
  const members = new Map<LabHost, readonly string[]>();
  for (const host of lab.hosts) {
    await host.agent.start();
    members.set(host, await host.joined());
  }
  return members;
}

/** The routes that a host should have, as {@linkcode LabHost.routes} gives them. */
export function routesOf(host: LabHost, members: Members): string[] {
  return [...members].filter(([other]) => other !== host)
    .flatMap(([other, subnets]) =>
      subnets.map((subnet) =>
        `${subnet} via ${subnet.includes(":") ? other.address6 : other.address}`
      )
    ).sort();
}

/** Waits until the kernels of hosts have the routes that they should have, and no others. */
export async function settled(
  members: Members,
  hosts: Iterable<LabHost> = members.keys(),
): Promise<void> {
  await allDone([...hosts].map(async (host) => {
    const wanted = routesOf(host, members).join("\n");
    await waitFor(
      `${host.name} to have the routes\n${wanted}\n`,
      async () => (await host.routes()).join("\n") === wanted,
    );
  }));
}

/**
 * Connects every container with every other, over each family.
 *
 * @returns what did not come with the address of the one that it came from:
 * both ends and the address seen, or the error
 */
export async function strangersAmong(
  containers: readonly LabContainer[],
): Promise<string[]> {
  const strangers: string[] = [];
  for (const to of containers) {
    for (const [family, address] of to.addresses.entries()) {
      await using server = await SourceServer.start(to, address);
      for (const from of containers.filter((other) => other !== to)) {
        const seen = await server.sourceOf(from).catch(String);
        if (seen === from.addresses[family]) continue;
        strangers.push(`${from.name} to ${to.name} ${address}: ${seen}`);
      }
    }
  }
  return strangers;
}
