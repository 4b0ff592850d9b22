import assert from "node:assert/strict";
import { settled, startInOrder, strangersAmong } from "../lab/cluster.ts";
import { clusterFlags, Lab, type LabOptions } from "../lab/lab.ts";
import type { LabContainer } from "../lab/lab_container.ts";
import type { LabHost } from "../lab/lab_host.ts";
import { SourceServer } from "../lab/source_seen.ts";
import { allDone } from "../support/all_done.ts";

const HOSTS = 3;
/** On each host. */
const CONTAINERS = ["c1", "c2"];

/** The first subnets of each family. */
const IPV4 = ["172.16.0.0/22", "172.16.4.0/22", "172.16.8.0/22"];
const IPV6 = ["fd00:1::/64", "fd00:1:0:1::/64", "fd00:1:0:2::/64"];
const DUAL = ["--network", "172.16.0.0/12", "--network", "fd00:1::/48"];

const CLUSTERS: readonly {
  readonly name: string;
  /** Flags of the agent that has the registry. */
  readonly networks: readonly string[];
  /** Flags of all agents. */
  readonly flags: readonly string[];
  readonly subnets: readonly (readonly string[])[];
  /** The interfaces of a host before it has containers. */
  readonly links: readonly string[];
}[] = [
  {
    name: "with bridges made by CNI",
    networks: [],
    flags: [],
    subnets: IPV4.map((ipv4) => [ipv4]),
    links: ["lo", "eth0"],
  },
  {
    name: "of both families",
    networks: DUAL,
    flags: [],
    subnets: IPV4.map((ipv4, index) => [ipv4, IPV6[index]!]),
    links: ["lo", "eth0"],
  },
  {
    name: "of both families, with bridges made by the agents",
    networks: DUAL,
    flags: ["--bridge", "stellar0"],
    subnets: IPV4.map((ipv4, index) => [ipv4, IPV6[index]!]),
    links: ["lo", "eth0", "stellar0"],
  },
];

/** Which address a host sees a container of another host come from, over each family. */
async function sourcesAtHost(
  lab: Lab,
  from: LabContainer,
): Promise<readonly string[]> {
  const { address, address6 } = lab.host(2);
  const sources: string[] = [];
  for (const to of [address, address6].slice(0, from.addresses.length)) {
    await using server = await SourceServer.start(lab.host(2), to);
    sources.push(await server.sourceOf(from));
  }
  return sources;
}

async function linksOf(host: LabHost): Promise<string[]> {
  const links = JSON.parse(await host.ip("-json link show"));
  return links.map(({ ifname }: { ifname: string }) => ifname);
}

/** Tests clusters of three hosts, of one kind of lab. */
export function testClusterReach(
  kind: string,
  lab: () => Promise<Pick<LabOptions, "executable">>,
): void {
  for (const cluster of CLUSTERS) {
    Deno.test(`a cluster ${cluster.name}${kind}: every container reaches every other`, async (t) => {
      await testCluster(t, cluster, await lab());
    });
  }
}

async function testCluster(
  t: Deno.TestContext,
  { networks, flags, subnets, links }: typeof CLUSTERS[number],
  options: Pick<LabOptions, "executable">,
): Promise<void> {
  await using lab = await Lab.create({
    ...options,
    hosts: HOSTS,
    startAgents: false,
    agentFlags: (host) => [
      ...clusterFlags(host),
      ...host.number === 1 ? networks : [],
      ...flags,
    ],
  });
  const members = await startInOrder(lab);
  await t.step("each host has the next subnet", () => {
    assert.deepEqual([...members.values()], subnets);
  });
  await t.step("each kernel has the routes to the others", async () => {
    await settled(members);
  });
  await t.step("each host has a bridge if the agent makes it", async () => {
    await lab.waitFor(`the links ${links}`, async () => {
      const found = await allDone(lab.hosts.map(linksOf));
      return found.every((names) => `${names}` === `${links}`);
    });
  });
  const containers = (await allDone(lab.hosts.map(async (host) => {
    const added: LabContainer[] = [];
    for (const label of CONTAINERS) {
      added.push(await host.addContainer(label));
    }
    return added;
  }))).flat();
  const [first] = containers;
  await t.step("containers are seen with their own addresses", async () => {
    assert.deepEqual(await strangersAmong(containers), []);
    assert.deepEqual(await sourcesAtHost(lab, first!), first!.addresses);
  });
  await t.step(
    "masquerading changes only what leaves the networks",
    async () => {
      await allDone(lab.hosts.map(async ({ agent }) => {
        agent.flags = [...agent.flags, "--masquerade"];
        await agent.restart();
      }));
      await lab.waitFor("masquerading", async () => {
        const { address, address6 } = lab.host(1);
        const seen = await sourcesAtHost(lab, first!);
        return seen.every((source) => [address, address6].includes(source));
      });
      assert.deepEqual(await strangersAmong(containers), []);
    },
  );
}
