import { provenClockOffsetMs } from "../base/clock_offset.ts";
import { NetError } from "../base/error.ts";
import type { PathProbe } from "../host/path_probe.ts";
import type { Address } from "../net/address.ts";
import { formatPrefix, overlaps, type Prefix } from "../net/prefix.ts";
import { holds, type HostInterfaces } from "../routes/plan/uplink.ts";
import type { Store } from "../store/store.ts";
import { checkAddresses } from "./address_checks.ts";
import type { Agent } from "../agent/agent.ts";
import {
  checkAdvertised,
  checkCapacity,
  checkClock,
  checkConflicts,
  checkIdentities,
  checkLeaks,
  checkQueue,
  checkRegistry,
  checkRegistryStore,
  checkSocket,
  checkStore,
  type SocketFacts,
  type SubnetConflict,
  withUnit,
} from "./agent_checks.ts";
import type { ContactWait } from "../member/first_contact.ts";
import type { Member } from "../member/member.ts";
import type { Check } from "../host/checks/check.ts";
import type { SubnetListing } from "../registry/plan/subnet_listing.ts";
import type { ClusterNode } from "../registry/feed.ts";
import type { HostController } from "../host/controller.ts";
import { checkDocker, type DockerFacts } from "./docker_checks.ts";
import { checkPackets } from "./packet_checks.ts";
import { checkPath } from "./path_checks.ts";
import type { PathFacts, PeerAnswer } from "./peer_checks.ts";
import type { PathView } from "../probe/plan/verdict.ts";
import { checkProbes } from "./probe_checks.ts";
import { checkRoutes } from "./route_checks.ts";

/** The parts of the agent and the host that the checks need. */
export interface DoctorOptions {
  readonly agent: Agent;
  readonly controller: HostController;
  readonly probe: PathProbe;
  readonly store: Store;
  /** The registry's store; undefined where it is the agent's own, or elsewhere. */
  readonly registryStore: Store | undefined;
  /** The mark by which the agent knows its own routes. */
  readonly protocol: number;
  readonly version: string;
  /** Looks at the agent's socket. */
  readonly statSocket: () => Promise<SocketFacts>;
  /** Asks another agent for its identity, for a few seconds at most. */
  readonly callPeer: (url: string) => Promise<PeerAnswer>;
  /** The paths that probes measure; undefined if the agent does not probe. */
  readonly paths?: () => readonly PathView[] | undefined;
  /** What the agent knows of Docker; undefined without `--docker`, and where it may not ask. */
  readonly docker?: (() => Promise<DockerFacts>) | undefined;
  /** The unit of systemd that the agent runs in; undefined for none. */
  readonly unit: string | undefined;
  /** The time in ms since 1970. */
  readonly now: () => number;
}

/** Most time between a join and the registry's first snapshot, in ms. */
const SNAPSHOT_MS = 5_000;
const POLL_MS = 50;

interface Examination {
  readonly checks: Promise<Check[]>;
  /** The one after it, when callers wait for one. */
  next?: Promise<Check[]>;
}

/** Examines this host, and the path to another node. */
export class Doctor {
  readonly #options: DoctorOptions;
  /** The examinations under way, by peer. */
  readonly #running = new Map<string | undefined, Examination>();

  constructor(options: DoctorOptions) {
    this.#options = options;
  }

  /**
   * Runs all checks. Takes some seconds where something is wrong. Callers that
   * ask for the same while an examination is under way share the next one, so
   * that each learns the state after its call.
   *
   * @param peer name of the node to check the path to; undefined for none
   * @param wait limit on the time in which an agent that has just started gets to know the peer
   * @throws {NetError} `not_found` when no node has that name, `unavailable`
   * when this node has not heard of the others yet
   */
  async examine(
    peer: string | undefined,
    wait: ContactWait,
  ): Promise<Check[]> {
    if (peer !== undefined) await this.#options.agent.member.contacted(wait);
    return await this.#share(peer);
  }

  #share(peer: string | undefined): Promise<Check[]> {
    const running = this.#running.get(peer);
    if (!running) return this.#start(peer);
    const next = () => this.#start(peer);
    return running.next ??= running.checks.then(next, next);
  }

  #start(peer: string | undefined): Promise<Check[]> {
    const examination: Examination = { checks: this.#examine(peer) };
    this.#running.set(peer, examination);
    const end = () => {
      if (!examination.next) this.#running.delete(peer);
    };
    examination.checks.then(end, end);
    return examination.checks;
  }

  async #examine(peer: string | undefined): Promise<Check[]> {
    const { agent, controller, probe } = this.#options;
    const node = peer === undefined ? undefined : await this.#find(peer);
    const { nodes } = await agent.member.current();
    const all = [...nodes.values()];
    const interfaces = await controller.readInterfaces();
    const report = await controller.reconcileRoutes();
    const [own, host, addresses, packets, docker, path] = await Promise.all([
      this.#checkAgent(all, interfaces),
      controller.examine(),
      this.#checkAddresses(interfaces),
      this.#checkPackets(all, interfaces),
      this.#checkDocker(),
      node
        ? checkPath(node, probe, this.#pathFacts({ all, interfaces, report }))
        : [],
    ]);
    const { protocol, unit, paths } = this.#options;
    return [
      ...own.map((check) => withUnit(check, unit)),
      ...host,
      ...checkRoutes(report, { protocol }),
      ...addresses,
      ...paths ? checkProbes(paths(), peer) : [],
      ...packets,
      ...docker,
      ...path,
    ];
  }

  async #checkDocker(): Promise<Check[]> {
    const { docker } = this.#options;
    return docker ? checkDocker(await docker()) : [];
  }

  async #find(peer: string): Promise<ClusterNode> {
    const { member } = this.#options.agent;
    const lateMs = this.#options.now() + SNAPSHOT_MS;
    for (;;) {
      const { nodes, revision } = await member.current();
      const node = nodes.get(peer);
      if (node) return node;
      const { state, problem } = member.link;
      const isHosted = state === "hosted";
      const isLate = this.#options.now() >= lateMs;
      if (revision > 0 || isHosted && isLate) {
        throw new NetError(
          "not_found",
          `Cannot examine the path to "${peer}": no node has that name; "stellar-net node list" lists those that are known`,
        );
      }
      if (isLate || state !== "joined" && !isHosted) {
        throw new NetError(
          "unavailable",
          `Cannot examine the path to "${peer}": this node has not heard of the others yet${
            problem === "" ? "" : `: ${problem}`
          }; run "stellar-net doctor" without a name`,
        );
      }
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  }

  async #checkAgent(
    nodes: readonly ClusterNode[],
    interfaces: HostInterfaces | undefined,
  ): Promise<Check[]> {
    const { agent, controller, store } = this.#options;
    const { registryStore, statSocket } = this.#options;
    const { advertised } = controller;
    const missing = interfaces
      ? advertised.filter((address) => !holds(interfaces, address))
      : [];
    const { link, usage, queued, leaked } = await agent.status();
    const subnets = usage.map(({ subnet }) => subnet);
    return [
      checkSocket(await statSocket()),
      checkStore({ url: store.url, problem: await findProblem(store) }),
      ...registryStore
        ? [
          checkRegistryStore({
            url: registryStore.url,
            problem: await findProblem(registryStore),
          }),
        ]
        : [],
      checkRegistry(link, subnets.length > 0),
      ...checkIdentities(await listNodes(agent) ?? nodes),
      ...checkAdvertised(missing, advertised),
      ...await this.#checkClock(),
      ...checkConflicts(
        subnets,
        await this.#findConflicts(subnets, nodes),
        link,
      ),
      ...checkCapacity(
        usage.map((use) => ({
          ...use,
          held: BigInt(use.held),
          reserved: BigInt(use.reserved),
        })),
      ),
      checkQueue(queued),
      checkLeaks(leaked),
    ];
  }

  async #checkClock(): Promise<Check[]> {
    const { agent, callPeer, now } = this.#options;
    const { state, url } = agent.member.link;
    if (state !== "joined") return [];
    try {
      const askedMs = now();
      const { nowMs } = await callPeer(url);
      const ours = { askedMs, answeredMs: now() };
      return [
        checkClock("the registry's clock", provenClockOffsetMs(ours, nowMs)),
      ];
    } catch (error) {
      if (!(error instanceof NetError)) throw error;
      // Another check reports that it does not answer.
      return [];
    }
  }

  /** The prefixes that overlap this node's subnets. */
  async #findConflicts(
    subnets: readonly Prefix[],
    nodes: readonly ClusterNode[],
  ): Promise<SubnetConflict[]> {
    const { agent, controller } = this.#options;
    const listed = await listSubnets(agent);
    const isOwn = (subnet: Prefix) =>
      subnets.some((own) => formatPrefix(own) === formatPrefix(subnet));
    return [
      ...listed.filter(({ subnet, reason }) => isOwn(subnet) && reason !== "")
        .map(({ subnet, reason }) => ({ subnet, reason })),
      ...subnets.flatMap((subnet) => [
        ...agent.isHost ? [] : controller.localPrefixes
          .filter(({ prefix }) =>
            overlaps(prefix, subnet) && !isOwn(prefix) &&
            prefix.length <= subnet.length
          )
          .map(({ prefix, device }) => ({
            subnet,
            reason: `overlaps ${
              formatPrefix(prefix)
            } on ${device} of this host`,
          })),
        ...nodes.filter(({ name }) => name !== agent.node)
          .flatMap((node) =>
            node.subnets.filter((other) => overlaps(other, subnet))
              .map((other) => ({
                subnet,
                reason: `overlaps ${
                  formatPrefix(other)
                } of node "${node.name}"`,
              }))
          ),
      ]),
    ];
  }

  async #checkAddresses(
    interfaces: HostInterfaces | undefined,
  ): Promise<Check[]> {
    const { agent, probe } = this.#options;
    const { subnets } = agent.member;
    const allocator = await agent.member.allocators.find(agent.node);
    const allocations = await allocator?.select(() => true) ?? [];
    const idOf = ({ family, value }: Address) => `${family} ${value}`;
    const reservations = await allocator?.reservations() ?? [];
    const held = new Set([
      ...allocations.flatMap((a) => a.addresses.map((x) => idOf(x.address))),
      // A container still gets the address that is reserved for it.
      ...reservations.filter(({ owner }) => owner === undefined)
        .map(({ address }) => idOf(address)),
    ]);
    const isHeld = (address: Address) =>
      Promise.resolve(held.has(idOf(address)));
    return await checkAddresses(probe, {
      ...{ subnets, interfaces, isHeld },
      onUsed: (address, user) => agent.addresses.rememberUser(address, user),
    });
  }

  async #checkPackets(
    nodes: readonly ClusterNode[],
    interfaces: HostInterfaces | undefined,
  ): Promise<Check[]> {
    const { agent, probe, controller, paths } = this.#options;
    const { member } = agent;
    // Without routes, packets of containers take paths that are not the agent's.
    if (controller.routes.mode === "off" && member.subnets.length === 0) {
      return [];
    }
    const allocator = await member.allocators.find(agent.node);
    const allocations =
      await allocator?.select(({ attachment }) =>
        attachment?.netnsSeen === true
      ) ?? [];
    return await checkPackets(probe, {
      subnets: member.subnets,
      networks: member.cluster?.networks.map(({ network }) => network) ?? [],
      interfaces,
      peers: nodes.filter(({ name, state }) =>
        name !== agent.node && state !== "no agent"
      ),
      containers: allocations.map(({ owner, attachment, addresses }) => ({
        id: owner.containerId,
        interfaceName: owner.interfaceName,
        netns: attachment!.netns,
        addresses: addresses.map(({ address }) => address),
      })),
      bridge: controller.bridge,
      ports: portsOf([
        ...nodes.map(({ apiUrl }) => apiUrl),
        ...member.link.urls,
      ]),
      isCurrent: isCurrent(member),
      bridgeless: new Set(
        (paths?.() ?? []).filter(({ endsAtHost }) => endsAtHost)
          .map(({ peer }) => peer),
      ),
      isCut: member.link.state === "unreachable" ||
        nodes.some(({ state }) => state === "unreachable"),
    });
  }

  #pathFacts(
    { all, ...known }:
      & { readonly all: readonly ClusterNode[] }
      & Pick<PathFacts, "interfaces" | "report">,
  ): PathFacts {
    const { agent, version, now, protocol, callPeer } = this.#options;
    return {
      ...known,
      node: agent.node,
      instanceId: agent.instanceId,
      version,
      now,
      isCurrent: isCurrent(agent.member),
      subnets: agent.member.subnets,
      nodes: all,
      protocol,
      callPeer,
    };
  }
}

/** Whether the registry tells a node the states of the others. */
function isCurrent({ link }: Member): boolean {
  return link.state === "hosted" || link.state === "joined";
}

/** The TCP ports of URLs. */
function portsOf(urls: readonly string[]): number[] {
  const ports = urls.filter((url) => url !== "").map((url) => {
    const { port, protocol } = new URL(url);
    return port === "" ? protocol === "https:" ? 443 : 80 : Number(port);
  });
  return [...new Set(ports)];
}

/** The subnets of the registry that this agent hosts; none while its store does not answer, which another check reports. */
async function listSubnets({ host }: Agent): Promise<readonly SubnetListing[]> {
  try {
    return await host?.registry.subnets() ?? [];
  } catch (error) {
    if (!(error instanceof NetError)) throw error;
    return [];
  }
}

/** All nodes, those that the registry refuses too; undefined unless this agent hosts it and its store answers. */
async function listNodes(
  { host }: Agent,
): Promise<readonly ClusterNode[] | undefined> {
  try {
    return await host?.nodes.list();
  } catch (error) {
    if (!(error instanceof NetError)) throw error;
    return undefined;
  }
}

/** Why a store takes no writes; empty when it does. */
async function findProblem(store: Store): Promise<string> {
  const key = ["agent", "examined"];
  try {
    await store.commit({ puts: [{ key, value: true }] });
    await store.commit({ deletes: [key] });
    return "";
  } catch (error) {
    if (!(error instanceof NetError)) throw error;
    return error.message;
  }
}
