import type {
  AgentConfig,
  ListenAddress,
  RouteMode,
} from "../config/config.ts";
import { getLogger } from "@logtape/logtape";
import { NetError } from "../base/error.ts";
import { ReconcileSchedule } from "../base/reconcile_schedule.ts";
import type { Member } from "../member/member.ts";
import { type Address, formatAddress, parseAddress } from "../net/address.ts";
import { formatPrefix, gatewayOf, type Prefix } from "../net/prefix.ts";
import type { LocalPrefix } from "../registry/plan/cluster_state.ts";
import {
  desiredRoutes,
  formatDesiredRoute,
  type RoutePolicy,
} from "../routes/plan/desired_route.ts";
import type { KernelRoutes } from "../routes/kernel_routes.ts";
import type { KernelEvent } from "../routes/plan/ip_json.ts";
import type { HostInterfaces } from "../routes/plan/uplink.ts";
import { RouteReconciler } from "../routes/reconciler.ts";
import type { RouteReport } from "../routes/report.ts";
import type { Key, Store } from "../store/store.ts";
import type { Check } from "./checks/check.ts";
import {
  addressIn,
  findFacts,
  type HostFactsOptions,
  hostWarnings,
  reachedAddresses,
} from "./facts.ts";
import type { HostNetwork } from "./network.ts";
import { HostReconciler } from "./reconciler.ts";

/** Options of a host's controller. */
export interface HostControllerOptions
  extends Omit<HostFactsOptions, "networks" | "previous"> {
  readonly node: string;
  readonly member: Member;
  readonly config: Pick<
    AgentConfig,
    | ("advertise" | "join" | "security")
    | ("routeProtocol" | "bridge" | "masquerade" | "blackhole" | "forwardRules")
  >;
  /** The agent's own store. */
  readonly store: Store;
  readonly mode: RouteMode;
  readonly routes: KernelRoutes;
  readonly network: HostNetwork;
  /** The time in ms since 1970. */
  readonly now: () => number;
  /** Takes the addresses at which other hosts reach this one, whenever they are read. */
  readonly onReached?: (addresses: readonly Address[]) => void;
}

/** The subnet and gateway of a Configure call. */
export interface ConfiguredSubnet {
  readonly subnet: Prefix;
  readonly gateway: string;
}

/**
 * Checks that a subnet and its gateway are those of this node.
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
 * Checks that a host has its bridge, with the gateway's address.
 *
 * @throws {NetError} `failed_precondition` with the fault
 */
function checkBridged(checks: readonly Check[]): void {
  const failed = checks.find(({ name, status }) =>
    status === "failed" && (name === "bridge" || name === "gateway")
  );
  if (!failed) return;
  throw new NetError(
    "failed_precondition",
    `Cannot configure this host: ${failed.found}`,
  );
}

/** The bridge that Stellar's Configure call makes when `--bridge` names none. */
const DEFAULT_BRIDGE = "stellar0";
/** Time to the next reading of the host's facts when no event announces a change. */
const FACTS_INTERVAL_MS = 30_000;
/** Time from the first of several events to the reading: peers wait for a new address. */
const FACTS_DEBOUNCE_MS = 100;

/** The key of the bridge that a Configure call asked for. */
const BRIDGE_KEY: Key = ["agent", "bridge"];
/** The key of the addresses that this host has advertised without `--advertise`. */
const ADVERTISED_KEY: Key = ["agent", "advertised"];

const log = getLogger(["stellar-net", "agent", "host"]);

/**
 * Keeps this host as its node needs it: routes to the other nodes, bridge,
 * forwarding, packet filters. Reports the facts of the host to the registry.
 * It follows the events of the kernel once, and passes each on to the parts
 * that it concerns; the agent's own changes cause none.
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
  /** The desired routes and host as texts, to tell whether they have changed. */
  readonly #wanted: { routes?: string; host?: string } = {};
  #reported = "";
  #interfaces: HostInterfaces | undefined;
  readonly #facts: ReconcileSchedule;
  readonly #stop = new AbortController();
  #monitoring: Promise<unknown> | undefined;

  constructor(options: HostControllerOptions) {
    const { routes, network, mode, config, now } = options;
    this.#options = options;
    this.#bridge = config.bridge;
    this.#facts = new ReconcileSchedule({
      what: "report this host to the registry",
      run: async () => {
        await this.#reportFacts();
        return true;
      },
      debounceMs: FACTS_DEBOUNCE_MS,
      intervalMs: FACTS_INTERVAL_MS,
    });
    const protocol = config.routeProtocol;
    this.#routes = new RouteReconciler({ port: routes, protocol, mode, now });
    const apply = this.mayConfigure;
    this.#network = new HostReconciler({ network, apply });
  }

  /** Whether this agent changes the host, apart from its routes. */
  get mayConfigure(): boolean {
    const { mode, config } = this.#options;
    return mode === "apply" ||
      mode === "off" && (config.bridge !== undefined || config.masquerade);
  }

  /** The bridge that the agent creates; undefined for none. */
  get bridge(): string | undefined {
    return this.#bridge;
  }

  /** The report on this host's routes. */
  get routes(): RouteReport {
    return this.#routes.report;
  }

  /** Facts that an operator should know although they are no fault, a line each. */
  get notes(): readonly string[] {
    return this.mayConfigure ? this.#network.notes : [];
  }

  /** The faults of bridge, forwarding and packet filters that an operator should know. */
  get faults(): readonly Check[] {
    return this.mayConfigure ? this.#network.faults : [];
  }

  /** All other faults that an operator should know, a line each. */
  get warnings(): readonly string[] {
    const { member } = this.#options;
    const hasPeers = member.view.nodes.size > 1;
    return [
      ...this.#warnings,
      ...hostWarnings({
        ...this.#options,
        ...{ subnets: member.subnets, advertised: this.#advertised, hasPeers },
      }),
    ];
  }

  /** Reads the kernel's routes, corrects them in mode `apply`, and returns the report. */
  reconcileRoutes(): Promise<RouteReport> {
    return this.#routes.reconcile();
  }

  /** The addresses through which other hosts route to this one. */
  get advertised(): readonly Address[] {
    return this.#advertised;
  }

  /** The prefixes that this host uses itself, at the last reading. */
  get localPrefixes(): readonly LocalPrefix[] {
    return this.#localPrefixes;
  }

  /** This host's interfaces at the last reading; undefined before. */
  get interfaces(): HostInterfaces | undefined {
    return this.#interfaces;
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

  /** Checks this host, apart from its routes. */
  async examine(): Promise<readonly Check[]> {
    this.#wantHost();
    return await this.#network.examine();
  }

  /** Reads the bridge of an earlier Configure call, and the address advertised before the restart. */
  async load(): Promise<void> {
    const advertised = await this.#options.store.get(ADVERTISED_KEY);
    this.#advertised = readAddresses(advertised?.value);
    const kept = await this.#options.store.get(BRIDGE_KEY);
    if (typeof kept?.value === "string") this.#bridge ??= kept.value;
  }

  /** Takes the addresses on which the agent listens, and reports this host to the registry. */
  async report(listening: readonly ListenAddress[]): Promise<void> {
    this.#listening = listening;
    await this.#reportFacts();
  }

  /** Starts to follow the kernel's events and to correct changes. */
  start(): void {
    this.#facts.start();
    this.#facts.runSoon();
    if (this.mayConfigure) this.#network.start();
    this.#monitoring = this.#monitor();
  }

  /** Makes routes and host follow a change of the cluster or of this node's subnets. */
  update(): void {
    const { member, node } = this.#options;
    const hasLeft = member.link.state === "left";
    // Until the cluster is known, the routes of the last run stay.
    if (!member.cluster && !hasLeft) return;
    const routes = hasLeft
      ? []
      : desiredRoutes(member.view, { node, subnets: member.subnets });
    const unreachable = hasLeft ? [] : this.#unreachable();
    const policy = this.#policy();
    const wanted = JSON.stringify([
      routes.map(formatDesiredRoute),
      unreachable.map(formatPrefix),
      policy.networks.map(({ network, subnetPrefixLength }) =>
        `${formatPrefix(network)} ${subnetPrefixLength}`
      ),
      policy.registries.map(formatAddress),
    ]);
    if (wanted !== this.#wanted.routes) {
      this.#wanted.routes = wanted;
      this.#routes.setDesired(routes, { policy, unreachable });
    }
    if (this.mayConfigure) this.#wantHost();
  }

  /**
   * Makes the bridge of this node's subnet and gives it the gateway's address,
   * now and after each restart.
   *
   * @throws {NetError} `failed_precondition` when the agent may not change this
   * host, `invalid_argument` for another subnet or gateway
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

  /** Stops. The host stays as it is. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#monitoring;
    await this.#routes.stop();
    await this.#network.stop();
    await this.#facts.stop();
  }

  /** Follows the kernel, unless nothing would use its events. */
  async #monitor(): Promise<void> {
    const { routes, network, mode } = this.#options;
    if (mode === "off" && !this.mayConfigure) return;
    const { signal } = this.#stop;
    const follow = async <T>(
      events: AsyncIterable<T>,
      changed: (event: T) => void,
    ) => {
      try {
        for await (const event of events) changed(event);
      } catch (error) {
        log.error("Cannot follow changes of this host: {error}", { error });
      }
    };
    await Promise.all([
      follow(routes.monitor({ signal }), (event) => this.#kernelChanged(event)),
      this.mayConfigure &&
      follow(network.monitor({ signal }), () => this.#network.changed()),
    ]);
  }

  #kernelChanged(event: KernelEvent): void {
    this.#routes.changed();
    this.#facts.runSoon();
    if (event === "interfaces" && this.mayConfigure) this.#network.changed();
  }

  #networks(): readonly Prefix[] {
    const { cluster } = this.#options.member;
    return cluster?.networks.map(({ network }) => network) ?? [];
  }

  /** The networks and this node's subnets; none before this node is a part of the cluster. */
  #unreachable(): readonly Prefix[] {
    const { member, config } = this.#options;
    const { subnets } = member;
    if (!config.blackhole || subnets.length === 0) return [];
    return [...subnets, ...this.#networks()];
  }

  #policy(): RoutePolicy {
    const { member, config } = this.#options;
    const urls = [...config.join, member.link.url].filter((url) => url !== "");
    return {
      networks: member.cluster?.networks ?? [],
      registries: urls.flatMap((url) => addressIn(url) ?? []),
    };
  }

  #wantHost(): void {
    const { member, config } = this.#options;
    const hasLeft = member.link.state === "left";
    const desired = {
      ...this.#bridge !== undefined && { bridge: { name: this.#bridge } },
      subnets: member.subnets,
      networks: this.#networks(),
      masquerade: config.masquerade && !hasLeft,
      forwardRules: config.forwardRules,
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
      log.error("Cannot reconcile this host's network: {error}", { error })
    );
  }

  #publishReached(): void {
    const { onReached } = this.#options;
    onReached?.(reachedAddresses(this.#listening, this.#advertised));
  }

  /** Keeps the advertised addresses over a restart; a connection from an address that is gone is dead. */
  async #setAdvertised(advertised: readonly Address[]): Promise<void> {
    const texts = advertised.map(formatAddress);
    const before = this.#advertised.map(formatAddress);
    this.#advertised = advertised;
    if (texts.join() === before.join()) return;
    const { store, member, config } = this.#options;
    if (before.length > 0) {
      log.info("Other hosts now route through {addresses}", {
        addresses: texts.join(" and ") || "no address",
      });
      member.reconnect?.();
    }
    if (config.advertise.length > 0) return;
    await store.commit({ puts: [{ key: ADVERTISED_KEY, value: texts }] });
  }

  async #reportFacts(): Promise<void> {
    const { member } = this.#options;
    try {
      const { facts, warnings, interfaces } = await findFacts({
        ...this.#options,
        networks: this.#networks(),
        previous: this.#advertised,
      }, this.#listening);
      for (const warning of warnings) {
        if (!this.#warnings.includes(warning)) {
          log.warn("{warning}", { warning });
        }
      }
      this.#warnings = warnings;
      this.#interfaces = interfaces;
      await this.#setAdvertised(facts.advertised);
      this.#localPrefixes = facts.localPrefixes;
      this.#publishReached();
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
      log.warn("Cannot report this host to the registry: {error}", { error });
      this.#publishReached();
      this.#warnings = [
        `${error.message}; subnets that this host uses itself may be handed out, and other hosts may not find it`,
      ];
    }
  }
}

/** The addresses of a stored list; none where it is none. */
function readAddresses(value: unknown): Address[] {
  if (!Array.isArray(value)) return [];
  return value.flatMap((text) => {
    try {
      return parseAddress(String(text));
    } catch {
      return [];
    }
  });
}

/**
 * The mode of this host's routes. Where the agent may not change them,
 * `auto` leaves them alone, and there is a warning.
 */
export async function resolveRouteMode(
  wanted: AgentConfig["routes"],
  network: HostNetwork,
): Promise<{ readonly mode: RouteMode; readonly warning: string }> {
  if (wanted !== "auto") return { mode: wanted, warning: "" };
  const { isNetAdmin } = await network.read(undefined);
  return isNetAdmin ? { mode: "apply", warning: "" } : {
    mode: "off",
    warning:
      'this host gets no routes to other nodes: the agent may not change them; run it as root, or with AmbientCapabilities=CAP_NET_ADMIN in its systemd unit, or say "--routes off"',
  };
}
