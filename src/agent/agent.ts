import type { ChangeOptions } from "../addresses/allocator_options.ts";
import { RunningClock } from "../addresses/keep_alives.ts";
import { NetError } from "../base/error.ts";
import type { RegistryLink } from "../member/link.ts";
import type { Member } from "../member/member.ts";
import type { Prefix } from "../net/prefix.ts";
import type { RegistryHost } from "../registry/host.ts";
import { describeRestoreGrace } from "../registry/plan/restore_grace.ts";
import { identifyState } from "../state/machine.ts";
import { migrateState } from "../state/schema.ts";
import { NodeAddresses } from "./node_addresses.ts";
import {
  type AgentOptions,
  type HostedRegistry,
  openMember,
} from "./open_member.ts";
import {
  type AgentStatus,
  countCluster,
  describeStores,
  WriteProbe,
} from "./status.ts";

/** The agent of one node. */
export class Agent {
  readonly node: string;
  readonly instanceId: string;
  /** Its membership of the cluster. */
  readonly member: Member;
  /** The addresses that it hands out. */
  readonly addresses: NodeAddresses;
  readonly #registry: HostedRegistry | undefined;
  readonly #options: AgentOptions;
  readonly #startedAtMs: number;
  readonly #writeProbe: WriteProbe;
  #seenRevision: number | undefined;
  #changedAtMs: number | undefined;

  private constructor(
    options: AgentOptions,
    started: {
      readonly member: Member;
      readonly registry: HostedRegistry | undefined;
      readonly instanceId: string;
      readonly clock: RunningClock;
    },
  ) {
    this.#options = options;
    this.node = options.node;
    this.instanceId = started.instanceId;
    this.member = started.member;
    this.#registry = started.registry;
    this.#startedAtMs = options.now();
    this.#writeProbe = new WriteProbe(options.store, options.uptimeMs);
    this.addresses = new NodeAddresses(options, started);
  }

  /**
   * Starts an agent on its store. Without peers to join it hosts the registry.
   *
   * @throws {NetError} `failed_precondition` when the cluster has other networks
   */
  static async start(options: AgentOptions): Promise<Agent> {
    await migrateState(options.store);
    const state = await identifyState(options.store, {
      ...options,
      hostsRegistry: options.peers.length === 0,
    });
    const clock = new RunningClock(options.uptimeMs);
    const running = { ...options, runningMs: () => clock.nowMs() };
    const { member, registry } = await openMember(running, state);
    const { instanceId } = state;
    return new Agent(options, { member, registry, instanceId, clock });
  }

  /** Conditions of the cluster that an operator should know about, for people. */
  get warnings(): string[] {
    const { view } = this.member;
    const { restoreGrace } = this.link;
    return [
      ...restoreGrace ? [describeRestoreGrace(restoreGrace)] : [],
      ...this.host?.warnings ?? [],
      ...this.addresses.warnings,
      ...[...view.nodes.values()].flatMap(({ name, problem }) =>
        problem ? [`node "${name}": ${problem}`] : []
      ),
    ];
  }

  /** The connection to the registry, with the grace period of the one that is hosted here. */
  get link(): RegistryLink {
    const restoreGrace = this.host?.restoreGrace.current;
    return { ...this.member.link, ...restoreGrace && { restoreGrace } };
  }

  /** Whether this agent hosts the registry. */
  get isHost(): boolean {
    return this.#registry !== undefined;
  }

  /** The registry; undefined when this agent does not host it, or its store is out of reach. */
  get host(): RegistryHost | undefined {
    return this.#registry?.host;
  }

  /** The registry. @throws {NetError} `unavailable` when its store is out of reach */
  requireHost(): RegistryHost {
    const registry = this.#registry;
    if (registry) return registry.host ?? registry.require();
    throw new NetError("internal", "Cannot ask the registry: it is not here");
  }

  /** Begins to follow the cluster. Calls `onChange` at every change. */
  follow(onChange: () => void): void {
    this.#registry?.start?.();
    this.member.start(() => {
      const { revision } = this.member.view;
      if (revision !== this.#seenRevision) {
        this.#seenRevision = revision;
        this.#changedAtMs = this.#options.now();
      }
      onChange();
    });
  }

  /** When the last change of the cluster came in, in ms since 1970; undefined before the first. */
  get changedAtMs(): number | undefined {
    return this.#changedAtMs;
  }

  async stop(): Promise<void> {
    await this.member.stop();
    await this.#registry?.stop?.();
  }

  /**
   * Returns when a node could give out an address now, and record it.
   *
   * @throws {NetError} `exhausted` when all addresses of a subnet are held, or
   * the node has no subnet and none is left; `unavailable` when the store takes
   * no writes
   */
  async checkReady(node: string): Promise<void> {
    await this.addresses.checkFree(node);
    await this.checkWrites();
  }

  /** Returns when the agent's own store takes writes. @throws {NetError} `unavailable` */
  async checkWrites(): Promise<void> {
    await this.#writeProbe.check();
  }

  /**
   * Takes this node out of the cluster.
   *
   * @param force also while addresses are held, and when the registry is out of reach
   * @returns the subnets that it had
   * @throws {NetError} `failed_precondition` while addresses are held
   */
  async leave(
    { isDryRun = false, ...options }: ChangeOptions & {
      readonly force: boolean;
    },
  ): Promise<readonly Prefix[]> {
    const usage =
      await (await this.member.allocators.find(this.node))?.usage() ??
        [];
    const held = Math.max(0, ...usage.map((u) => u.held));
    if (held > 0 && !options.force) {
      throw stillHeld(this.node, held);
    }
    if (isDryRun) {
      const { state } = this.member.link;
      if (state === "unreachable" && !options.force) {
        throw new NetError(
          "unavailable",
          `Cannot leave: the registry is unreachable; try again, or force it`,
        );
      }
      const isFreed = state === "hosted" || state === "joined";
      return isFreed ? this.member.subnets : [];
    }
    return await this.member.leave(options);
  }

  /** The status of the agent. */
  async status(): Promise<AgentStatus> {
    return {
      node: this.node,
      instanceId: this.instanceId,
      startedAtMs: this.#startedAtMs,
      cluster: this.member.cluster,
      link: this.link,
      usage: await (await this.member.allocators.find(this.node))?.usage() ??
        [],
      ...countCluster(await this.member.current(), this.node),
      ...await this.addresses.counts(),
      store: describeStores(this.#options),
    };
  }
}

function stillHeld(node: string, held: number): NetError {
  return new NetError(
    "failed_precondition",
    `Cannot leave: ${held} ${
      held === 1 ? "address is" : "addresses are"
    } held on node "${node}"; stop its containers first, or force it`,
  );
}
