import { allDone } from "../support/all_done.ts";
import { callSocket } from "../support/call_socket.ts";
import { waitFor } from "../support/wait_for.ts";
import { Lab, secureFlags } from "./lab.ts";
import type { LabContainer } from "./lab_container.ts";
import { type LabEtcd, startLabEtcd } from "./lab_etcd.ts";
import { labAddress, type LabHost } from "./lab_host.ts";

/** A way to run a cluster of two hosts. All kinds use TLS. */
export interface ClusterKind {
  readonly name: string;
  /** Flags of both agents. */
  readonly flags: readonly string[];
  /** Flags of the agent that creates the cluster. */
  readonly networks?: readonly string[];
  /** Typed on each host before its agent starts. */
  readonly setUp?: readonly string[];
  /** Whether the registry is in etcd, and both agents host it. */
  readonly isOnEtcd?: boolean;
}

const BRIDGE = ["--bridge", "stellar0"];

/** The interface, the addresses and the rules that Docker makes. */
const DOCKER = [
  "ip link add docker0 type bridge",
  "ip address add 172.17.0.1/16 dev docker0",
  "ip link set docker0 up",
  "iptables -P FORWARD DROP",
  "iptables -N DOCKER",
  "iptables -N DOCKER-USER",
  "iptables -N DOCKER-ISOLATION-STAGE-1",
  "iptables -N DOCKER-ISOLATION-STAGE-2",
  "iptables -A FORWARD -j DOCKER-USER",
  "iptables -A FORWARD -j DOCKER-ISOLATION-STAGE-1",
  "iptables -A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
  "iptables -A FORWARD -o docker0 -j DOCKER",
  "iptables -A FORWARD -i docker0 ! -o docker0 -j ACCEPT",
  "iptables -A FORWARD -i docker0 -o docker0 -j ACCEPT",
  "iptables -A DOCKER-ISOLATION-STAGE-1 -i docker0 ! -o docker0 -j DOCKER-ISOLATION-STAGE-2",
  "iptables -A DOCKER-ISOLATION-STAGE-1 -j RETURN",
  "iptables -A DOCKER-ISOLATION-STAGE-2 -o docker0 -j DROP",
  "iptables -A DOCKER-ISOLATION-STAGE-2 -j RETURN",
  "iptables -A DOCKER-USER -j RETURN",
  "iptables -t nat -A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE",
];

/** The kinds of clusters that have to be free of warnings. */
export const CLUSTER_KINDS: readonly ClusterKind[] = [
  { name: "no bridge", flags: [] },
  { name: "bridge", flags: BRIDGE },
  {
    name: "dual stack",
    flags: BRIDGE,
    networks: ["--network", "172.16.0.0/12", "--network", "fd00:16::/48"],
  },
  { name: "masquerade", flags: [...BRIDGE, "--masquerade"] },
  // Docker's own network is inside the default one.
  { name: "Docker's rules", flags: BRIDGE, setUp: DOCKER },
  { name: "etcd", flags: BRIDGE, isOnEtcd: true },
];

/** A cluster in which nothing is wrong. Disposing of it removes it. */
export class HealthyCluster implements AsyncDisposable {
  readonly kind: ClusterKind;
  readonly #lab: Lab;
  readonly #etcd: LabEtcd | undefined;
  /** How much of each agent's log was read before. */
  readonly #logged = new Map<LabHost, number>();
  #replaced = 0;

  private constructor(
    kind: ClusterKind,
    { lab, etcd }: { readonly lab: Lab; readonly etcd: LabEtcd | undefined },
  ) {
    this.kind = kind;
    this.#lab = lab;
    this.#etcd = etcd;
  }

  /** Builds one with two containers on each host, and waits until nothing is wrong. */
  static async create(kind: ClusterKind): Promise<HealthyCluster> {
    const { setUp = [], isOnEtcd = false } = kind;
    const lab = await Lab.create({
      hosts: isOnEtcd ? 3 : 2,
      secure: true,
      startAgents: false,
      agentFlags: (host) => flagsOf(kind, host),
    });
    try {
      const [first, second, third] = lab.hosts as [LabHost, LabHost, LabHost?];
      const etcd = third && await startLabEtcd([third]);
      const cluster = new HealthyCluster(kind, { lab, etcd });
      for (const host of cluster.#hosts) {
        for (const line of setUp) await host.must("sh", ["-c", line]);
      }
      await first.agent.start();
      if (!isOnEtcd) await lab.admit(second);
      await second.agent.start();
      for (const host of cluster.#hosts) {
        await host.joined();
        await host.addContainer("first");
        await host.addContainer("replaced");
      }
      await cluster.#settle();
      return cluster;
    } catch (error) {
      await lab[Symbol.asyncDispose]();
      throw error;
    }
  }

  get #hosts(): readonly LabHost[] {
    return this.#lab.hosts.slice(0, 2);
  }

  /** Replaces a container by another one, as happens all day. */
  async replace(): Promise<void> {
    const host = this.#hosts[this.#replaced++ % 2]!;
    await host.removeContainer("replaced");
    await host.addContainer("replaced");
  }

  /** All that the agents complain about, and the packets that get lost: a sentence each. */
  async complaints(): Promise<string[]> {
    const found = await allDone(this.#hosts.map(async (host) => [
      ...await this.#findings(host),
      ...await this.#logWarnings(host),
    ]));
    return [...found.flat(), ...await this.#lostPackets()];
  }

  async #settle(): Promise<void> {
    let found: readonly string[] = [];
    try {
      await waitFor(`no warning of "${this.kind.name}"`, async () => {
        found = await this.complaints();
        return found.length === 0;
      }, { timeoutMs: 90_000, everyMs: 500 });
    } catch (cause) {
      throw new Error(found.join("\n"), { cause });
    }
  }

  async #findings(host: LabHost): Promise<string[]> {
    const { socketPath } = host.agent;
    const peer = this.#hosts.find((other) => other !== host)!.name;
    const { checks } = await callSocket<Examined>(socketPath, {
      call: "AgentService/Examine",
      body: { peer },
    });
    const { warnings = [] } = await callSocket<{ warnings?: string[] }>(
      socketPath,
      { call: "AgentService/GetStatus" },
    );
    const { nodes } = await callSocket<Nodes>(socketPath, {
      call: "RegistryService/ListNodes",
    });
    return [
      ...checks.filter(({ status }) => status !== "CHECK_STATUS_OK")
        .map(({ name, found }) => `doctor on ${host.name}: ${name}: ${found}`),
      ...warnings.map((text) => `status on ${host.name}: ${text}`),
      ...nodes.filter(({ state, problem }) =>
        state !== "NODE_STATE_READY" || problem
      ).map((node) => `nodes on ${host.name}: ${JSON.stringify(node)}`),
    ];
  }

  async #logWarnings(host: LabHost): Promise<string[]> {
    const from = this.#logged.get(host) ?? 0;
    const log = await host.agent.log();
    this.#logged.set(host, log.length);
    const lines = log.slice(from).split("\n");
    return lines.filter((line) => line !== "")
      .map((line) => JSON.parse(line) as { level: string; message: string })
      .filter(({ level }) => level !== "INFO" && level !== "DEBUG")
      .map(({ level, message }) => `log of ${host.name}: ${level} ${message}`);
  }

  async #lostPackets(): Promise<string[]> {
    const [first, second] = this.#hosts as [LabHost, LabHost];
    const pairs = [[first, second], [second, first]] as const;
    const lost = await allDone(pairs.map(async ([from, to]) => {
      const source: LabContainer = from.container("first");
      const targets = to.container("first").addresses;
      const answers = await allDone(
        targets.map((address) =>
          source.exec("ping", ["-nqc1", "-w5", address])
        ),
      );
      return answers.flatMap(({ code }, at) =>
        code === 0 ? [] : [`${source.name} does not reach ${targets[at]}`]
      );
    }));
    return lost.flat();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#etcd?.[Symbol.asyncDispose]();
    await this.#lab[Symbol.asyncDispose]();
  }
}

interface Examined {
  readonly checks: readonly {
    readonly name: string;
    readonly status: string;
    readonly found: string;
  }[];
}

interface Nodes {
  readonly nodes: readonly {
    readonly state: string;
    readonly problem?: string;
  }[];
}

function flagsOf(kind: ClusterKind, host: LabHost): string[] {
  const { flags, networks = [], isOnEtcd } = kind;
  const store = ["--store", `etcd://${labAddress(3)}:2379/lab`];
  const isFirst = host.number === 1;
  const own = isOnEtcd
    ? ["--listen", `${host.address}:9000`, "--routes", "apply", ...store]
      .concat("--advertise", host.address, "--advertise", host.address6)
    : secureFlags(host);
  return [...own, ...flags, ...isFirst ? networks : []];
}
