import { getLogger } from "@logtape/logtape";
import {
  type AgentStatus,
  countCluster,
  describeStores,
  WriteProbe,
} from "./status.ts";
import type { AllocationEvent } from "../addresses/allocation_feed.ts";
import { sleep } from "../base/periodic_task.ts";
import { NetError } from "../base/error.ts";
import {
  type Allocation,
  hasLabels,
  type Reservation,
} from "../addresses/plan/allocation.ts";
import {
  formatOwner,
  type Labels,
  type Owner,
  ownerKey,
} from "../base/names.ts";
import type { Allocated } from "../addresses/plan/allocation_plan.ts";
import { type Address, formatAddress } from "../net/address.ts";
import { formatPrefix, type Prefix } from "../net/prefix.ts";
import {
  type AgentOptions,
  type HostedRegistry,
  openMember,
} from "./open_member.ts";
import type {
  Allocator,
  Allocators,
  ChangeOptions,
  OwnedBy,
  SubnetUsage,
} from "../addresses/allocator.ts";
import { RunningClock } from "../addresses/keep_alives.ts";
import { Containers } from "../addresses/containers.ts";
import { type AddressUser, formatUser } from "../addresses/neighbours.ts";
import { SecondUsers } from "../addresses/second_users.ts";
import {
  type HistoryQuery,
  type HistoryRecord,
  pruneHistory,
  readHistory,
} from "../addresses/history.ts";
import type { RegistryLink } from "../member/link.ts";
import type { Member } from "../member/member.ts";
import { describeRestoreGrace } from "../registry/plan/restore_grace.ts";
import type { RegistryHost } from "../registry/host.ts";
import { identifyState } from "../state/machine.ts";
import { migrateState } from "../state/schema.ts";

const log = getLogger(["stellar-net", "agent"]);

/** Age up to which the neighbour table is not read again, in ms. */
const NEIGHBOURS_MAX_AGE_MS = 1_000;

/** Interval between looks whether a node that is watched has a subnet, in ms. */
const SUBNET_LOOK_MS = 1_000;

/** A request for addresses over the API or by a CNI runtime. */
export interface AgentRequest {
  /** Id of the new allocation or ADD. Default: a random one. */
  readonly id?: string;
  readonly owner: Owner;
  /** Specific addresses, at most one of each network. */
  readonly addresses: readonly Address[];
  /** Path of the network namespace, empty when not known. Undefined unless a CNI runtime asks. */
  readonly netns?: string;
  /** Labels; undefined: those that the allocation has. */
  readonly labels?: Labels;
  /** Time to live in ms; undefined: the one that the allocation has, or none. */
  readonly ttlMs?: number;
}

/** A release over the API or by a CNI runtime. */
export interface AgentRelease {
  readonly owner: Owner;
  readonly reason: string;
  /** Only the allocation with this id. Default: any. */
  readonly id?: string;
  /** Path of the network namespace that a DEL names; empty when it names none. */
  readonly netns?: string;
}

/** The agent of one node, which hands out addresses. */
export class Agent {
  readonly node: string;
  readonly instanceId: string;
  /** Its membership of the cluster. */
  readonly member: Member;
  readonly #registry: HostedRegistry | undefined;
  readonly #options: AgentOptions;
  readonly #startedAtMs: number;
  readonly #containers: Containers;
  readonly #secondUsers: SecondUsers | undefined;
  #users:
    | {
      readonly of: ReadonlyMap<string, AddressUser>;
      readonly texts: ReadonlyMap<string, string>;
    }
    | undefined;
  readonly #writeProbe: WriteProbe;
  readonly #clock: RunningClock;
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
    this.#clock = started.clock;
    this.#startedAtMs = options.now();
    this.#writeProbe = new WriteProbe(options.store, options.uptimeMs);
    this.#containers = new Containers(options);
    const { neighbours } = options;
    this.#secondUsers = neighbours && new SecondUsers(neighbours);
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
      ...this.#secondUsers?.warnings ?? [],
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
   * Gives an owner one address of each network on a node, or what it holds.
   * This node claims its subnets with its first allocation.
   */
  async allocate(
    node: string,
    request: AgentRequest,
    options: ChangeOptions = {},
  ): Promise<Allocated> {
    const { netns, id = this.#options.randomId(), ...asked } = request;
    const allocator = await this.#claimed(node, options);
    if (!allocator) return this.#planFirst({ ...asked, id });
    return await this.#avoidInUse(node, request, (answering) => {
      const avoiding = { ...asked, id, ...(answering && { answering }) };
      return netns === undefined
        ? allocator.allocate(avoiding, options)
        : this.#containers.add(allocator, { ...avoiding, netns }, options);
    });
  }

  /**
   * Gives addresses of a node to several owners, each once: to all or to none.
   *
   * @throws {NetError} as {@linkcode Allocator.allocateBatch}
   */
  async allocateBatch(
    node: string,
    requests: readonly Omit<AgentRequest, "netns">[],
    options: ChangeOptions = {},
  ): Promise<Allocated[]> {
    const { randomId } = this.#options;
    const allocator = await this.#claimed(node, options);
    if (!allocator) {
      return requests.map(({ id = randomId(), ...asked }) =>
        this.#planFirst({ ...asked, id })
      );
    }
    const answering = node === this.node
      ? await this.#findInUse(undefined, NEIGHBOURS_MAX_AGE_MS)
      : undefined;
    return await allocator.allocateBatch(
      requests.map(({ id = randomId(), ...asked }) => ({
        ...asked,
        id,
        ...(answering && { answering }),
      })),
      options,
    );
  }

  /** Releases what several owners hold on a node: all or nothing. Undefined for each that held nothing. */
  async releaseBatch(
    node: string,
    owners: readonly OwnedBy[],
    { reason, ...options }: ChangeOptions & { readonly reason: string },
  ): Promise<(Allocation | undefined)[]> {
    await this.#checkKnown(node);
    const allocator = await this.#allocatorsOf(node).find(node);
    return await allocator?.releaseBatch(owners, reason, options) ??
      owners.map(() => undefined);
  }

  /** Restarts the time to live of allocations of a node. Undefined for each that is not held. */
  async keepAlive(
    node: string,
    owners: readonly OwnedBy[],
    options: ChangeOptions = {},
  ): Promise<(Allocation | undefined)[]> {
    await this.#checkKnown(node);
    const allocator = await this.#allocatorsOf(node).find(node);
    return await allocator?.keepAlive(owners, options) ??
      owners.map(() => undefined);
  }

  /**
   * What is known of an allocation of a node: why it seems to be leaked, empty
   * when it does not; when it expires without a keep-alive, in ms since 1970,
   * undefined for never.
   */
  stateOf(
    node: string,
    allocation: Allocation,
  ): { readonly leak: string; readonly expiresAtMs: number | undefined } {
    const { ttlMs } = allocation;
    const leftMs = ttlMs === undefined
      ? undefined
      : this.#allocatorsOf(node).leftMs(node, allocation) ?? ttlMs;
    return {
      leak: this.leakOf(node, allocation),
      expiresAtMs: leftMs === undefined
        ? undefined
        : Math.floor(this.#options.now() + leftMs),
    };
  }

  /**
   * Releases the allocations whose time to live has ended: of this node, or of
   * the nodes without an agent whose registry this agent hosts.
   */
  async expire(whose: "own" | "others"): Promise<void> {
    this.#clock.nowMs();
    const nodes = whose === "own"
      ? [this.node]
      : (await this.host?.nodes.list() ?? []).flatMap(({ name, state }) =>
        state === "no agent" ? name : []
      );
    for (const node of nodes) {
      const allocator = await this.#allocatorsOf(node).find(node);
      for (const { owner } of await allocator?.expire() ?? []) {
        log.info("Released the addresses of {owner} on {node}: {reason}", {
          owner: formatOwner(owner),
          node,
          reason: "their time to live ended without a keep-alive",
        });
      }
    }
  }

  /**
   * The allocator of a node. This node claims its subnets where it has none;
   * undefined: it would, in a dry run.
   */
  async #claimed(
    node: string,
    { isDryRun = false }: ChangeOptions,
  ): Promise<Allocator | undefined> {
    const allocators = this.#allocatorsOf(node);
    if (node !== this.node) return await allocators.get(node);
    this.member.checkPresent();
    if (allocators.knows(node)) return await allocators.get(node);
    if (!isDryRun) {
      await this.member.claim();
      return await allocators.get(node);
    }
    await this.member.checkClaim();
    return await allocators.find(node);
  }

  /** What an allocation would be if this node claimed its subnets first: its addresses are not known. */
  #planFirst(
    asked: Omit<AgentRequest, "netns"> & { readonly id: string },
  ): Allocated {
    const { addresses, ...rest } = asked;
    const allocation: Allocation = {
      ...rest,
      addresses: [],
      allocatedAtMs: this.#options.now(),
      requested: addresses.length > 0,
    };
    return {
      ...{ allocation, avoided: [] },
      ...{ created: true, renewed: false, updated: false },
    };
  }

  /** @throws {NetError} `unavailable` when this node has not joined yet */
  async #checkKnown(node: string): Promise<void> {
    if (node !== this.node || this.member.isKnown) return;
    await this.member.contacted();
    if (!this.member.isKnown) throw notJoined(node);
  }

  /** Allocates without the addresses that somebody else uses on this host. */
  async #avoidInUse(
    node: string,
    { netns, ...request }: AgentRequest,
    allocate: (answering?: ReadonlyMap<string, string>) => Promise<Allocated>,
  ): Promise<Allocated> {
    if (node !== this.node) return await allocate();
    const owner = netns === undefined ? undefined : request.owner;
    const answering = await this.#findInUse(owner, NEIGHBOURS_MAX_AGE_MS);
    let allocated: Allocated;
    try {
      allocated = await allocate(answering);
    } catch (error) {
      if (answering.size === 0 || !(error instanceof NetError)) throw error;
      // A container may have ended since.
      allocated = await allocate(await this.#findInUse(owner, 0));
    }
    for (const address of allocated.avoided) {
      log.warn(
        "Not giving out {address}: {who} uses it, and no running container holds it; reserve it with: stellar-net ip reserve {address}",
        { address, who: answering.get(address) ?? "somebody" },
      );
    }
    return allocated;
  }

  /**
   * The addresses in use on this host, with a text on each user.
   *
   * @param owner whose container is about to start: its own address is in use
   * only if it stays so
   */
  async #findInUse(
    owner: Owner | undefined,
    maxAgeMs: number,
  ): Promise<ReadonlyMap<string, string>> {
    const { neighbours } = this.#options;
    const { subnets, allocators } = this.member;
    const users = await neighbours?.find(subnets, maxAgeMs);
    if (!neighbours || !users || users.size === 0) return new Map();
    const held = owner &&
      await (await allocators.find(this.node))?.get(owner);
    const ended = new Set<string>();
    for (const { address, subnet } of held?.addresses ?? []) {
      const text = formatAddress(address);
      if (users.has(text) && !await neighbours.staysInUse(address, subnet)) {
        ended.add(text);
      }
    }
    const texts = this.#formatUsers(users);
    return ended.size === 0
      ? texts
      : new Map([...texts].filter(([text]) => !ended.has(text)));
  }

  /** A text on each user. Calls for each container ask for the same. */
  #formatUsers(
    users: ReadonlyMap<string, AddressUser>,
  ): ReadonlyMap<string, string> {
    if (this.#users?.of !== users) {
      const texts = new Map(
        [...users].map(([text, user]) => [text, formatUser(user)]),
      );
      this.#users = { of: users, texts };
    }
    return this.#users.texts;
  }

  /**
   * Releases the allocation of an ADD whose answer did not reach the runtime,
   * which may never ask for the release of addresses that it does not know.
   *
   * @param id of the ADD
   */
  async undo(node: string, owner: Owner, id: string): Promise<void> {
    await (await this.#allocatorsOf(node).find(node))?.release(
      owner,
      {
        cause: "undelivered",
        text: "the runtime did not wait for the answer to its CNI ADD",
      },
      { onlyIf: (allocation) => allocation.id === id },
    );
  }

  /** Releases an allocation on a node, and returns it; undefined when there was none. */
  async release(
    node: string,
    { owner, reason, id, netns }: AgentRelease,
    { isDryRun = false }: ChangeOptions = {},
  ): Promise<Allocation | undefined> {
    await this.#checkKnown(node);
    const allocator = await this.#allocatorsOf(node).find(node);
    if (!allocator) return undefined;
    if (netns !== undefined && id === undefined) {
      const del = { netns, reason, isDryRun };
      return await this.#containers.del(allocator, owner, del);
    }
    return await allocator.release(owner, reason, {
      onlyIf: (allocation) => id === undefined || allocation.id === id,
      isDryRun,
    });
  }

  /**
   * Takes back what a container network's other owners hold on a node, of what
   * a CNI runtime asked for (CNI specification, GC).
   *
   * @param keep the owners that keep their addresses
   */
  async releaseOthers(
    node: string,
    network: string,
    keep: readonly Owner[],
    options: ChangeOptions = {},
  ): Promise<Allocation[]> {
    const kept = new Set(keep.map((owner) => ownerKey({ ...owner, network })));
    const allocator = await this.#allocatorsOf(node).find(node);
    return await allocator?.releaseAll(
      ({ owner, attachment }) =>
        attachment !== undefined && owner.network === network &&
        !kept.has(ownerKey(owner)),
      { cause: "gc", text: "CNI GC: its container is not attached" },
      options,
    ) ?? [];
  }

  /**
   * Returns when a node could give out an address now, and record it.
   *
   * @throws {NetError} `exhausted` when all addresses of a subnet are held, or
   * the node has no subnet and none is left; `unavailable` when the store takes
   * no writes
   */
  async checkReady(node: string): Promise<void> {
    await this.checkAddresses(node);
    await this.checkWrites();
  }

  /** Returns when the agent's own store takes writes. @throws {NetError} `unavailable` */
  async checkWrites(): Promise<void> {
    await this.#writeProbe.check();
  }

  /**
   * Returns when a node has a free address.
   *
   * @throws {NetError} `exhausted` when all addresses of a subnet are held, or
   * the node has no subnet and none is left
   */
  async checkAddresses(node: string): Promise<void> {
    if (node === this.node) await this.member.checkClaim();
    else await this.host?.registry.checkClaim(node);
    const usage = await (await this.#allocatorsOf(node).find(node))?.usage() ??
      [];
    const full = usage.find((u) => BigInt(u.held + u.reserved) >= u.capacity);
    if (!full) return;
    throw exhausted(full);
  }

  /** What an owner holds on a node, undefined when it holds nothing. */
  async get(node: string, owner: Owner): Promise<Allocation | undefined> {
    return (await this.#allocatorsOf(node).find(node))?.get(owner);
  }

  /** The allocation of a node that has an address, undefined when none has. */
  async getByAddress(
    node: string,
    address: Address,
  ): Promise<Allocation | undefined> {
    return (await this.#allocatorsOf(node).find(node))?.getByAddress(address);
  }

  /** Follows the allocations of a node, see {@linkcode Allocator.watch}. */
  async *watch(
    node: string,
    options: { readonly from: string; readonly signal: AbortSignal },
  ): AsyncGenerator<AllocationEvent> {
    const find = () => this.#allocatorsOf(node).find(node);
    let allocator = await find();
    if (!allocator) {
      const nothing = { allocations: [], removed: [], revision: "" };
      yield { kind: "snapshot", ...nothing };
    }
    while (!allocator && !options.signal.aborted) {
      await sleep(SUBNET_LOOK_MS, options.signal);
      allocator = await find();
    }
    if (allocator) yield* allocator.watch(options);
  }

  /** Number of allocations of a node. */
  async count(node: string): Promise<number> {
    return await (await this.#allocatorsOf(node).find(node))?.count() ?? 0;
  }

  /**
   * What is held on a node, in order of address, from behind an address on.
   *
   * @param page `leaked`: only what seems to be leaked. `containerId`: only
   * this container, in every container network. `labels`: only what has all of
   * them. `isListed`: only the
   * allocations that it selects
   */
  async list(
    node: string,
    page: {
      readonly behind?: Address;
      readonly limit: number;
      readonly leaked?: boolean;
      readonly containerId?: string | undefined;
      readonly labels?: Labels;
      readonly isListed?: (allocation: Allocation) => boolean;
    },
  ): Promise<Allocation[]> {
    const allocator = await this.#allocatorsOf(node).find(node);
    const { leaked = false, containerId, labels = {} } = page;
    const { isListed = () => true } = page;
    return await allocator?.list({
      ...page,
      isListed: (allocation) =>
        (!leaked || this.leakOf(node, allocation) !== "") &&
        (containerId === undefined ||
          allocation.owner.containerId === containerId) &&
        hasLabels(allocation, labels) && isListed(allocation),
    }) ?? [];
  }

  /** Why an allocation of a node seems to be leaked; empty when it does not. */
  leakOf(node: string, allocation: Allocation): string {
    return node === this.node ? this.#containers.leakOf(allocation) : "";
  }

  /**
   * Looks for leaked addresses, and releases those that were found before. Looks
   * for hosts that use an address of a container.
   */
  async collectLeaks(): Promise<void> {
    const allocator = await this.member.allocators.find(this.node);
    await this.#containers.collectLeaks(allocator);
    if (allocator) {
      await this.#secondUsers?.check(allocator, this.member.subnets);
    }
  }

  /** Records users of addresses that answered, so that nobody gets these. */
  rememberUser(address: Address, user: AddressUser): void {
    this.#options.neighbours?.remember(address, user);
  }

  /** Applies the releases that CNI plugins queued while the agent was down. */
  async applyQueue(): Promise<void> {
    if (!this.member.isKnown) return;
    await this.#containers.applyQueue(
      await this.member.allocators.find(this.node),
    );
  }

  /** The holders of a node's addresses over time, the latest event first. */
  async history(query: HistoryQuery): Promise<HistoryRecord[]> {
    const held = await this.list(query.node, { limit: Infinity });
    return await readHistory(this.#options, query, held);
  }

  /** Reserves an address of a node. @throws {NetError} as {@linkcode Allocator.reserve} */
  async reserve(
    node: string,
    reservation: Omit<Reservation, "reservedAtMs">,
    options: ChangeOptions = {},
  ): Promise<Reservation> {
    const allocator = await this.#claimed(node, options);
    return await allocator?.reserve(reservation, options) ??
      { ...reservation, reservedAtMs: this.#options.now() };
  }

  /** Ends the reservation of an address, and returns it; undefined when there was none. */
  async unreserve(
    node: string,
    address: Address,
    options: ChangeOptions = {},
  ): Promise<Reservation | undefined> {
    const allocator = await this.#allocatorsOf(node).find(node);
    return await allocator?.unreserve(address, options);
  }

  /** The reservations of a node, in order of address. */
  async reservations(node: string): Promise<Reservation[]> {
    return await (await this.#allocatorsOf(node).find(node))?.reservations() ??
      [];
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
      return state === "left" ? [] : this.member.subnets;
    }
    return await this.member.leave(options);
  }

  /** Removes what is older than the history is kept, and returns how many records that were. */
  pruneHistory(): Promise<number> {
    const { now, keepHistoryMs } = this.#options;
    return pruneHistory(this.#options, now() - keepHistoryMs);
  }

  /** The allocators of a node's addresses in this agent. */
  #allocatorsOf(node: string): Allocators {
    return node === this.node || !this.#registry
      ? this.member.allocators
      : this.requireHost().allocators;
  }

  /** How the agent is doing. */
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
      ...await this.#containers.counts(),
      store: describeStores(this.#options),
    };
  }
}

function exhausted({ capacity, subnet }: SubnetUsage): NetError {
  return new NetError(
    "exhausted",
    `IP allocation exhausted: all ${capacity} addresses of ${
      formatPrefix(subnet)
    } are held`,
  );
}

function stillHeld(node: string, held: number): NetError {
  return new NetError(
    "failed_precondition",
    `Cannot leave: ${held} ${
      held === 1 ? "address is" : "addresses are"
    } held on node "${node}"; stop its containers first, or force it`,
  );
}

/** The registry may hold addresses for the node. */
function notJoined(node: string): NetError {
  return new NetError(
    "unavailable",
    `Cannot release: node "${node}" has not joined yet, so what it holds is not known; try again`,
  );
}
