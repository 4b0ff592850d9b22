import { getLogger } from "@logtape/logtape";
import { NetError } from "../base/error.ts";
import { ReconcileSchedule } from "../base/reconcile_schedule.ts";
import type {
  AgentConfig,
  ListenAddress,
  RouteMode,
} from "../config/config.ts";
import type { Member } from "../member/member.ts";
import { type Address, formatAddress } from "../net/address.ts";
import { formatPrefix, type Prefix } from "../net/prefix.ts";
import { gatewayOf } from "../net/subnet.ts";
import type { LocalPrefix } from "../registry/plan/cluster_state.ts";
import { desiredRoutes } from "../routes/desired.ts";
import type { KernelRoutes } from "../routes/kernel_routes.ts";
import { formatDesiredRoute } from "../routes/plan/desired_route.ts";
import type { HostInterfaces } from "../routes/plan/uplink.ts";
import { RouteReconciler } from "../routes/reconciler.ts";
import type { RouteReport } from "../routes/report.ts";
import type { Key, Store } from "../store/store.ts";
import type { Check } from "./checks/check.ts";
import { findFacts, type HostFactsOptions, reachedAddresses } from "./facts.ts";
import type { HostNetwork } from "./network.ts";
import { HostReconciler } from "./reconciler.ts";
import { hostWarnings } from "./warnings.ts";

/** The same port, whose events are told to another one too before they are handed on. */
export function overhear(port: KernelRoutes, hear: () => void): KernelRoutes {
  return {
    read: () => port.read(),
    apply: (operations) => port.apply(operations),
    async *monitor(options) {
      for await (const event of port.monitor(options)) {
        hear();
        yield event;
      }
    },
  };
}

/** What a host is kept with. */
export interface HostControllerOptions extends HostFactsOptions {
  readonly node: string;
  readonly member: Member;
  readonly config: Pick<
    AgentConfig,
    | ("advertise" | "join" | "security")
    | ("routeProtocol" | "bridge" | "masquerade")
  >;
  /** The agent's own store. */
  readonly store: Store;
  /** What is done about routes. */
  readonly mode: RouteMode;
  readonly routes: KernelRoutes;
  readonly network: HostNetwork;
  /** The time in ms since 1970. */
  readonly now: () => number;
  /** Hears at which addresses other hosts reach this one, as it is looked. */
  readonly onReached?: (addresses: readonly Address[]) => void;
}

/** The subnet that a host is to be configured with. */
export interface ConfiguredSubnet {
  readonly subnet: Prefix;
  readonly gateway: string;
}

/**
 * Returns when a subnet and its gateway are those of this node.
 *
 * @param own the subnet of this node, if it has one
 * @throws {NetError} `invalid_argument` when it is another subnet or gateway
 */
export function checkConfigured(
  own: Prefix | undefined,
  { subnet, gateway }: ConfiguredSubnet,
): void {
  if (!own || formatPrefix(own) !== formatPrefix(subnet)) {
    throw new NetError(
      "invalid_argument",
      `Invalid field "subnet.cidr": "${
        formatPrefix(subnet)
      }" is not the subnet of this node, which ${
        own ? `is "${formatPrefix(own)}"` : "has none"
      }`,
    );
  }
  const expected = formatAddress(gatewayOf(own));
  if (gateway !== expected) {
    throw new NetError(
      "invalid_argument",
      `Invalid field "subnet.gateway": "${gateway}" is not the gateway of "${
        formatPrefix(own)
      }", which is "${expected}"`,
    );
  }
}

/**
 * Returns when a host has its bridge, with the gateway's address.
 *
 * @throws {NetError} `failed_precondition` when it has not
 */
export function checkBridged(checks: readonly Check[]): void {
  const failed = checks.find(({ name, status }) =>
    status === "failed" && (name === "bridge" || name === "gateway")
  );
  if (!failed) return;
  throw new NetError(
    "failed_precondition",
    `Cannot configure this host: ${failed.found}`,
  );
}

/** The bridge that Stellar's Configure call makes where none is named. */
const DEFAULT_BRIDGE = "stellar0";
/** How often it is looked for what the host says of itself, without an event. */
const FACTS_INTERVAL_MS = 30_000;
/** How long after the first of some events, and the least time between two looks. */
const FACTS_SETTLE_MS = 1_000;

/** The bridge that was asked for by a Configure call: kept over restarts. */
const BRIDGE_KEY: Key = ["agent", "bridge"];

const log = getLogger(["stellar-net", "agent", "host"]);

/**
 * Keeps this host as its node needs it: routes to the other nodes, bridge,
 * forwarding, packet filters. And tells the registry what is true of it.
 */
export class HostController {
  readonly #options: HostControllerOptions;
  readonly #routes: RouteReconciler;
  readonly #network: HostReconciler;
  #bridge: string | undefined;
  #listening: readonly ListenAddress[] = [];
  #warnings: readonly string[] = [];
  #advertised: readonly Address[] = [];
  #localPrefixes: readonly LocalPrefix[] = [];
  /** The desired routes and host as texts: what is the same is not done again. */
  readonly #wanted: { routes?: string; host?: string } = {};
  #reported = "";
  readonly #facts: ReconcileSchedule;
  readonly #port: KernelRoutes;
  readonly #stop = new AbortController();
  #following: Promise<void> | undefined;

  constructor(options: HostControllerOptions) {
    const { routes, network, mode, config, now } = options;
    this.#options = options;
    this.#bridge = config.bridge;
    this.#port = overhear(routes, () => {
      if (this.mayConfigure) this.#network.changed();
      this.#facts.lookSoon();
    });
    this.#facts = new ReconcileSchedule({
      look: async () => {
        await this.#reportFacts();
        return true;
      },
      now,
      debounceMs: FACTS_SETTLE_MS,
      intervalMs: FACTS_INTERVAL_MS,
    });
    this.#routes = new RouteReconciler({
      port: this.#port,
      protocol: config.routeProtocol,
      mode,
      now,
    });
    this.#network = new HostReconciler({
      network,
      apply: this.mayConfigure,
      now,
    });
  }

  /** Whether this agent changes the host, apart from its routes. */
  get mayConfigure(): boolean {
    const { mode, config } = this.#options;
    return mode === "apply" ||
      mode === "off" && (config.bridge !== undefined || config.masquerade);
  }

  /** How it stands with the routes. */
  get routes(): RouteReport {
    return this.#routes.report;
  }

  /** What an operator should know although all is well, a line each. */
  get notes(): readonly string[] {
    return this.mayConfigure ? this.#network.notes : [];
  }

  /** What an operator should know, a line each. */
  get warnings(): readonly string[] {
    const { member } = this.#options;
    const hasPeers = member.view.nodes.size > 1;
    const network = this.mayConfigure ? this.#network.warnings : [];
    return [
      ...this.#warnings,
      ...hostWarnings({
        ...this.#options,
        ...{ subnets: member.subnets, advertised: this.#advertised, hasPeers },
      }),
      ...network,
    ];
  }

  /** Reads the kernel, puts it right where that is wanted, and tells how it stands. */
  reconcileRoutes(): Promise<RouteReport> {
    return this.#routes.reconcile();
  }

  /** The addresses that other hosts are told to route through. */
  get advertised(): readonly Address[] {
    return this.#advertised;
  }

  /** The prefixes that this host uses itself, as they were last found. */
  get localPrefixes(): readonly LocalPrefix[] {
    return this.#localPrefixes;
  }

  /** This host's interfaces; undefined when they cannot be read. */
  async readInterfaces(): Promise<HostInterfaces | undefined> {
    try {
      return await this.#options.network.readInterfaces();
    } catch (error) {
      if (!(error instanceof NetError)) throw error;
      return undefined;
    }
  }

  /** Checks this host, routes left out. */
  async examine(): Promise<readonly Check[]> {
    this.#wantHost();
    return await this.#network.examine();
  }

  /** Reads what was configured before the agent was started. */
  async load(): Promise<void> {
    const kept = await this.#options.store.get(BRIDGE_KEY);
    if (typeof kept?.value === "string") this.#bridge ??= kept.value;
  }

  /**
   * Takes in where the agent listens, and tells the registry what is true of
   * this host.
   */
  async report(listening: readonly ListenAddress[]): Promise<void> {
    this.#listening = listening;
    await this.#reportFacts();
  }

  /** Begins to keep the host as it is wanted. */
  start(): void {
    this.#facts.lookSoon();
    if (!this.mayConfigure) return;
    this.#network.start();
    if (this.#options.mode === "off") this.#following = this.#follow();
  }

  /** Takes in that the cluster has changed, or this node's subnets. */
  update(): void {
    const { member, node } = this.#options;
    // Before anything is known, what is there from the last time stays.
    if (!member.cluster && member.link.state !== "left") return;
    const routes = member.link.state === "left"
      ? []
      : desiredRoutes(member.view, { node, subnets: member.subnets });
    const wanted = routes.map(formatDesiredRoute).join("\n");
    if (wanted !== this.#wanted.routes) {
      this.#wanted.routes = wanted;
      this.#routes.setDesired(routes);
    }
    if (this.mayConfigure) this.#wantHost();
  }

  /**
   * Makes the bridge of this node's subnet and gives it the gateway's address,
   * from now on.
   *
   * @throws {NetError} `failed_precondition` when the agent may not,
   * `invalid_argument` when it is another subnet or gateway
   */
  async configure(subnet: Prefix, gateway: string): Promise<void> {
    const { member, store } = this.#options;
    if (!this.mayConfigure) {
      throw new NetError(
        "failed_precondition",
        'Cannot configure this host: the agent leaves it alone; start it with "--bridge NAME", or as root with "--routes apply"',
      );
    }
    const [own] = await member.claim();
    checkConfigured(own, { subnet, gateway });
    this.#bridge ??= DEFAULT_BRIDGE;
    await store.commit({ puts: [{ key: BRIDGE_KEY, value: this.#bridge }] });
    this.#wantHost();
    checkBridged((await this.#network.reconcile()).checks);
  }

  /** Stops keeping it. It stays as it is. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#routes.stop();
    await this.#network.stop();
    await this.#facts.stop();
    await this.#following;
  }

  /** Hears of the kernel's news where nobody else listens: routes are off. */
  async #follow(): Promise<void> {
    const { signal } = this.#stop;
    try {
      for await (const _ of this.#port.monitor({ signal })) continue;
    } catch (error) {
      log.error("Cannot listen for changes of this host: {error}", { error });
    }
  }

  #wantHost(): void {
    const { member, config } = this.#options;
    const hasLeft = member.link.state === "left";
    const desired = {
      ...this.#bridge !== undefined && { bridge: { name: this.#bridge } },
      subnets: member.subnets,
      networks: (member.cluster?.networks ?? []).map(({ network }) => network),
      masquerade: config.masquerade && !hasLeft,
    };
    const wanted = JSON.stringify([
      desired.bridge,
      desired.subnets.map(formatPrefix),
      desired.networks.map(formatPrefix),
      desired.masquerade,
    ]);
    if (wanted === this.#wanted.host) return;
    this.#wanted.host = wanted;
    this.#network.setDesired(desired).catch((error) =>
      log.error("Cannot look after this host's network: {error}", { error })
    );
  }

  #tellReached(): void {
    const { onReached } = this.#options;
    onReached?.(reachedAddresses(this.#listening, this.#advertised));
  }

  async #reportFacts(): Promise<void> {
    const { member } = this.#options;
    try {
      const { facts, warnings } = await findFacts(
        this.#options,
        this.#listening,
      );
      this.#warnings = warnings;
      this.#advertised = facts.advertised;
      this.#localPrefixes = facts.localPrefixes;
      this.#tellReached();
      const text = JSON.stringify([
        facts.advertised.map(formatAddress),
        facts.apiUrl,
        facts.localPrefixes.map((p) => [formatPrefix(p.prefix), p.device]),
      ]);
      if (text === this.#reported) return;
      await member.report(facts);
      this.#reported = text;
    } catch (error) {
      if (!(error instanceof NetError)) throw error;
      log.warn("Cannot tell the registry of this host: {error}", { error });
      this.#tellReached();
      this.#warnings = [
        `${error.message}; subnets that this host uses itself may be handed out, and other hosts may not find it`,
      ];
    }
  }
}
