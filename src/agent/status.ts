import { NetError } from "../base/error.ts";
import { findMembershipFault, type RegistryLink } from "../member/link.ts";
import { formatPrefix } from "../net/prefix.ts";
import type { Key, Store } from "../store/store.ts";
import type { Member } from "../member/member.ts";
import type { ClusterConfig } from "../registry/plan/cluster_state.ts";
import type { SubnetUsage } from "../addresses/plan/subnet_pool.ts";
import type { ClusterNode, ClusterView } from "../registry/feed.ts";

/** A condition of an agent's health. */
export interface Condition {
  readonly name: string;
  readonly holds: boolean;
  /** What is true now, for people. */
  readonly reason: string;
}

/** Options of {@linkcode checkReady}. */
export interface ReadinessOptions {
  readonly member: Member;
  /** Returns when this node has a free address, or can claim a subnet. */
  readonly checkAddresses: () => Promise<void>;
  /** Returns when the agent's own store takes writes. */
  readonly checkWrites: () => Promise<void>;
  readonly store: Store;
  /** The connection to the registry. Default: the member's. */
  readonly link?: RegistryLink;
  /** Time limit for the store, in ms. Default 3,000. */
  readonly timeoutMs?: number;
}

const TIMEOUT_MS = 3_000;

/** Checks whether an agent works at all: its store takes reads. */
export async function checkLive(
  options: Pick<ReadinessOptions, "store" | "timeoutMs">,
): Promise<readonly Condition[]> {
  const { store, timeoutMs = TIMEOUT_MS } = options;
  const failure = await failureOf(store.get(["agent", "instance"]), timeoutMs);
  return [{
    name: "store",
    holds: failure === undefined,
    reason: failure ?? `${store.url} takes reads`,
  }];
}

/**
 * Checks whether an agent can hand out addresses. An agent with a subnet is
 * ready also without the registry, and says so.
 */
export async function checkReady(
  options: ReadinessOptions,
): Promise<readonly Condition[]> {
  const { member } = options;
  return [
    ...await checkLive(options),
    await describeWrites(options),
    describeRegistry(options),
    describeFence(member),
    await describeSubnet(options),
  ];
}

function describeRegistry(
  { member, link = member.link }: ReadinessOptions,
): Condition {
  const fault = findMembershipFault(link, member.subnets.length > 0);
  return {
    name: "registry",
    // A node with a subnet is ready without its registry.
    holds: !fault || fault.severity === "warning",
    reason: fault
      ? `${fault.text}; ${fault.means}; ${fault.advice}`
      : link.state === "hosted"
      ? "it is hosted here"
      : `joined at ${link.url}`,
  };
}

/** A node without subnets has none to lose: it is refused, not fenced. */
function describeFence({ link, subnets }: Member): Condition {
  const fault = findMembershipFault(link, subnets.length > 0);
  const holds = fault?.code !== "fenced";
  return {
    name: "not fenced",
    holds,
    reason: holds ? "this node is not fenced" : fault.text,
  };
}

async function describeWrites(
  { store, checkWrites, timeoutMs = TIMEOUT_MS }: ReadinessOptions,
): Promise<Condition> {
  const failure = await failureOf(checkWrites(), timeoutMs);
  return {
    name: "writes",
    holds: failure === undefined,
    reason: failure ?? `${store.url} takes writes`,
  };
}

async function describeSubnet(
  { member, checkAddresses, timeoutMs = TIMEOUT_MS }: ReadinessOptions,
): Promise<Condition> {
  const name = "subnet";
  const failure = await failureOf(checkAddresses(), timeoutMs);
  if (failure !== undefined) return { name, holds: false, reason: failure };
  return {
    name,
    holds: true,
    reason: member.subnets.length === 0
      ? "it is claimed with the first allocation"
      : member.subnets.map(formatPrefix).join(" and "),
  };
}

/** The message of an error or a timeout; undefined: success. */
async function failureOf(
  work: Promise<unknown>,
  timeoutMs: number,
): Promise<string | undefined> {
  const { promise, resolve } = Promise.withResolvers<string>();
  const timer = setTimeout(
    () => resolve(`it does not answer within ${timeoutMs} ms`),
    timeoutMs,
  );
  try {
    return await Promise.race([work.then(() => undefined), promise]);
  } catch (error) {
    if (!(error instanceof NetError)) throw error;
    return error.message;
  } finally {
    clearTimeout(timer);
  }
}

export interface AgentStatus {
  readonly node: string;
  readonly instanceId: string;
  readonly startedAtMs: number;
  /** Undefined before it has joined for the first time. */
  readonly cluster: ClusterConfig | undefined;
  readonly link: RegistryLink;
  /** Empty: it claims its subnets with its first allocation. */
  readonly usage: readonly SubnetUsage[];
  /** Revision of the cluster's record that is known here. */
  readonly revision: number;
  /** Number of nodes that own a subnet. */
  readonly nodes: number;
  /** The other nodes by state. */
  readonly peers: Readonly<Record<ClusterNode["state"], number>>;
  /** Number of extra routes. */
  readonly routes: number;
  /** Number of releases queued on disk. */
  readonly queued: number;
  /** Number of allocations that seem to be leaked. */
  readonly leaked: number;
  readonly store: string;
}

/** Counts the nodes and routes that a node knows. */
export function countCluster(
  view: ClusterView,
  self: string,
): Pick<AgentStatus, "revision" | "nodes" | "peers" | "routes"> {
  const peers = { ready: 0, unreachable: 0, "no agent": 0 };
  let nodes = 0;
  for (const node of view.nodes.values()) {
    if (node.subnets.length > 0) nodes++;
    if (node.name !== self) peers[node.state]++;
  }
  const { revision, routes } = view;
  return { revision, nodes, peers, routes: routes.size };
}

/** Names an agent's stores, for people. */
export function describeStores(
  { store, registryStore }: {
    readonly store: Store;
    readonly registryStore?: Store;
  },
): string {
  return registryStore
    ? `${store.url}, the registry in ${registryStore.url}`
    : store.url;
}

const PROBE_KEY: Key = ["agent", "probe"];
/** Time for which an answer counts, in ms: many may check the health. */
const KEEP_MS = 1_000;

/** Checks that a store takes writes by writing to it, at most once a second. */
export class WriteProbe {
  readonly #store: Store;
  readonly #now: () => number;
  #last: { readonly atMs: number; readonly done: Promise<void> } | undefined;

  /** @param now a time in ms that never goes back */
  constructor(store: Store, now: () => number) {
    this.#store = store;
    this.#now = now;
  }

  /** Returns when the store takes writes. @throws {NetError} `unavailable` when it does not */
  async check(): Promise<void> {
    const atMs = this.#now();
    if (this.#last === undefined || atMs - this.#last.atMs >= KEEP_MS) {
      this.#last = { atMs, done: this.#write(atMs) };
    }
    await this.#last.done;
  }

  async #write(value: number): Promise<void> {
    await this.#store.commit({ puts: [{ key: PROBE_KEY, value }] });
  }
}
