import { allDone } from "../support/all_done.ts";
import { waitFor } from "../support/wait_for.ts";
import { History } from "./history.ts";
import { Lab, labUrl, tokenPath } from "./lab.ts";
import { type LabEtcd, startLabEtcd } from "./lab_etcd.ts";
import { labAddress, type LabHost } from "./lab_host.ts";
import { type Listed, listRegistry, NEXT_HOPS } from "./registry_load.ts";

const MEMBERS = 3;

export interface EtcdClusterOptions {
  /** How many agents host the registry. Default 3. */
  readonly registries?: number;
  /** How many have joined these. Default 2. */
  readonly joiners?: number;
  /** Flags of the members besides the usual ones. */
  readonly etcdArgs?: readonly string[];
  /** Flags of all agents besides the usual ones. */
  readonly agentArgs?: readonly string[];
  /** Flags of the agents that host the registry besides these. */
  readonly registryArgs?: readonly string[];
  /** Whether they know each other by certificates, and the others join with tokens. Default false. */
  readonly secure?: boolean;
  /** Called before the agents start. */
  readonly prepare?: (hosts: readonly LabHost[]) => Promise<void>;
}

/**
 * A cluster whose registry is in etcd: hosts whose agents host it, hosts that
 * have joined any of these, and three hosts with a member of etcd each.
 */
export class EtcdRegistryLab implements AsyncDisposable {
  readonly lab: Lab;
  readonly etcd: LabEtcd;
  /** Those whose agents host the registry. */
  readonly registries: readonly LabHost[];
  /** Those that have joined. */
  readonly joiners: readonly LabHost[];

  private constructor(lab: Lab, etcd: LabEtcd, registries: number) {
    this.lab = lab;
    this.etcd = etcd;
    this.registries = lab.hosts.slice(0, registries);
    this.joiners = lab.hosts.slice(registries, -MEMBERS);
  }

  /** Builds it, and waits until all have joined. */
  static async create(
    options: EtcdClusterOptions = {},
  ): Promise<EtcdRegistryLab> {
    const { registries = 3, joiners = 2, etcdArgs } = options;
    const { agentArgs = [], registryArgs = [], secure = false } = options;
    const agents = registries + joiners;
    const numbers = Array.from({ length: MEMBERS }, (_, i) => agents + 1 + i);
    const store = `etcd://${
      numbers.map((number) => `${labAddress(number)}:2379`)
    }/lab`;
    const urls = Array.from(
      { length: registries },
      (_, i) =>
        secure ? labUrl(i + 1).replace("http:", "https:") : labUrl(i + 1),
    );
    const lab = await Lab.create({
      hosts: agents + MEMBERS,
      startAgents: false,
      agentFlags: (host) => [
        ...["--listen", `${host.address}:9000`, "--routes", "apply"],
        ...["--advertise", host.address, ...agentArgs],
        ...secure ? [] : ["--insecure"],
        ...secure && host.number > registries
          ? ["--token-file", tokenPath(host)]
          : [],
        ...host.number <= registries
          ? ["--store", store, ...registryArgs]
          // Each begins with another one.
          : urls.flatMap((_, i) => [
            "--join",
            urls[(i + host.number) % registries]!,
          ]),
      ],
    });
    try {
      const hosts = numbers.map((number) => lab.host(number));
      const etcd = await startLabEtcd(hosts, etcdArgs);
      const cluster = new EtcdRegistryLab(lab, etcd, registries);
      await options.prepare?.(cluster.hosts);
      await allDone(cluster.registries.map(({ agent }) => agent.start()));
      if (secure) {
        await allDone(cluster.joiners.map((host) => lab.admit(host)));
      }
      await allDone(cluster.joiners.map(({ agent }) => agent.start()));
      await allDone(cluster.hosts.map((host) => host.joined()));
      return cluster;
    } catch (error) {
      await lab[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Those with an agent. */
  get hosts(): readonly LabHost[] {
    return [...this.registries, ...this.joiners];
  }

  /**
   * Waits until every agent is in the cluster, all of them list the same, and
   * every kernel has the routes for it.
   *
   * @returns what they list
   */
  async agreed(): Promise<Listed> {
    const history = new History(this.lab);
    const [first, ...others] = this.hosts;
    let problem = "it was not looked at yet";
    let listed: Listed | undefined;
    try {
      return await waitFor("all to agree", async () => {
        for (const host of this.hosts) {
          const { state } = await history.stateOf(host);
          problem = `${host.name} is ${state}`;
          if (state !== "hosted" && state !== "joined") return undefined;
        }
        listed = await listRegistry(first!);
        for (const host of others) {
          const theirs = await listRegistry(host);
          problem = `${host.name} lists ${text(theirs)}, not ${text(listed)}`;
          if (text(theirs) !== text(listed)) return undefined;
        }
        for (const host of this.hosts) {
          const wanted = routesOf(host, listed).join("\n");
          const found = (await host.routes()).join("\n");
          problem = `${host.name} has ${found}, not ${wanted}`;
          if (wanted !== found) return undefined;
        }
        return listed;
      }, { everyMs: 50 }) as Listed;
    } catch (cause) {
      throw new Error(`They do not agree: ${problem}`, { cause });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.etcd[Symbol.asyncDispose]();
    await this.lab[Symbol.asyncDispose]();
  }
}

/** The routes that a host should have, as {@linkcode LabHost.routes} gives them. */
function routesOf(host: LabHost, { nodes, routes }: Listed): string[] {
  const viaOf = (node: string) => {
    const number = /^host(\d+)$/.exec(node)?.[1];
    return number === undefined ? NEXT_HOPS[0]! : labAddress(Number(number));
  };
  return [
    ...[...nodes].filter(([node]) => node !== host.name)
      .flatMap(([node, subnets]) =>
        subnets.map((subnet) => `${subnet} via ${viaOf(node)}`)
      ),
    ...[...routes].map(([cidr, target]) => `${cidr} via ${target}`),
  ].sort();
}

/** The same for the same lists. */
function text({ nodes, routes }: Listed): string {
  return JSON.stringify([[...nodes].sort(), [...routes].sort()]);
}
