import { getLogger } from "@logtape/logtape";
import { NetError } from "../base/error.ts";
import type { HostNetwork, HostOutcome } from "./network.ts";
import type { InterfaceAddress } from "../net/prefix.ts";
import { formatOperation } from "./plan/host_command.ts";
import {
  gatewayAddresses,
  type HostDesired,
  type HostState,
  isSame,
  planHost,
} from "./plan/host_plan.ts";
import { type Check, checkOf, formatCheck } from "./checks/check.ts";
import { type PeriodicTask, startPeriodicTask } from "../base/periodic_task.ts";
import { checkHost } from "./checks/checks.ts";
import { checkSourceNat } from "./checks/filter_checks.ts";

/** How often the host is looked at when nothing announces a change, in ms. */
const INTERVAL_MS = 30_000;
/** How long events are gathered before a look, in ms. */
const SETTLE_MS = 100;
/** Least time from a look to the next that events ask for, in ms. */
const GAP_MS = 500;

const log = getLogger(["stellar-net", "agent", "host"]);

/** Options of a host's reconciler. */
export interface HostReconcilerOptions {
  readonly network: HostNetwork;
  /** Whether the host is changed, or only looked at. */
  readonly apply: boolean;
  /** The time in ms since 1970. */
  readonly now: () => number;
  /** Default 30,000. */
  readonly intervalMs?: number;
}

/** How the host was found, after what had to be changed was changed. */
export interface HostReport {
  readonly lookedAtMs: number;
  readonly desired: HostDesired;
  readonly checks: readonly Check[];
  /** What this look has changed, as commands. Empty: all was as it should be, or may not be changed. */
  readonly changes: readonly string[];
}

/**
 * Keeps this host as it is to be, apart from its routes: bridge, forwarding,
 * masquerading, packet filters. Looks when that changes, when it is told that
 * something happened, and every half minute. Changes nothing until it knows how
 * the host is to be.
 */
export class HostReconciler {
  readonly #options: HostReconcilerOptions;
  #desired: HostDesired | undefined;
  /** Gateways of former subnets, which this process put on the bridge. */
  #former: readonly InterfaceAddress[] = [];
  #report: HostReport | undefined;
  #warned = new Set<string>();
  #looking: Promise<HostReport> | undefined;
  #next: Promise<HostReport> | undefined;
  #settling: ReturnType<typeof setTimeout> | undefined;
  #task: PeriodicTask | undefined;
  #listening: Promise<void> = Promise.resolve();
  #stop = new AbortController();

  constructor(options: HostReconcilerOptions) {
    this.#options = options;
  }

  /** What the last look found; undefined before the first. */
  get report(): HostReport | undefined {
    return this.#report;
  }

  /** What an operator should know although all is well, a line each. */
  get notes(): readonly string[] {
    return (this.#report?.checks ?? [])
      .filter(({ isNotable = false }) => isNotable).map(formatCheck);
  }

  /** What an operator should know, a line each. */
  get warnings(): readonly string[] {
    return (this.#report?.checks ?? [])
      .filter(({ status }) => status !== "ok").map(formatCheck);
  }

  /** Starts to look every now and then, and when packet filters change. */
  start(): void {
    if (this.#task) return;
    this.#stop = new AbortController();
    this.#listening = this.#listen(this.#stop.signal);
    this.#task = startPeriodicTask("look after this host's network", {
      intervalMs: this.#options.intervalMs ?? INTERVAL_MS,
      run: async () => {
        if (this.#desired) await this.reconcile();
      },
    });
  }

  /** Stops looking, once a look that is under way is done. The host stays as it is. */
  async stop(): Promise<void> {
    clearTimeout(this.#settling);
    this.#settling = undefined;
    this.#stop.abort();
    await this.#task?.stop();
    await this.#listening;
    this.#task = undefined;
    await this.#next;
    await this.#looking;
  }

  /** Says how the host is to be, makes it so, and returns what was found then. */
  setDesired(desired: HostDesired): Promise<HostReport> {
    const before = this.#desired;
    if (before?.bridge && before.bridge.name === desired.bridge?.name) {
      const wanted = gatewayAddresses(desired.subnets);
      this.#former = [...this.#former, ...gatewayAddresses(before.subnets)]
        .filter((address) => !wanted.some((other) => isSame(address, other)));
    }
    this.#desired = desired;
    return this.reconcile();
  }

  /** Takes in that something has happened to the host: it is looked at soon. */
  changed(): void {
    if (!this.#desired || this.#settling !== undefined) return;
    const sinceMs = this.#options.now() - (this.#report?.lookedAtMs ?? 0);
    this.#settling = setTimeout(() => {
      this.#settling = undefined;
      this.reconcile().catch((error) =>
        log.error("Cannot look after this host's network: {error}", { error })
      );
    }, Math.max(SETTLE_MS, GAP_MS - Math.max(0, sinceMs)));
  }

  /**
   * Looks now, and changes what has to be changed. A look that began before
   * does not count: another one follows it, for all who ask meanwhile.
   *
   * @throws {Error} before it is said how the host is to be
   */
  reconcile(): Promise<HostReport> {
    if (!this.#looking) return this.#start();
    const again = () => {
      this.#next = undefined;
      // Another call may have begun a look in between.
      return this.#looking ?? this.#start();
    };
    this.#next ??= this.#looking.then(again, again);
    return this.#next;
  }

  /**
   * Looks now as {@linkcode reconcile} does, and at what takes longer and is
   * not the agent's to change.
   */
  async examine(): Promise<readonly Check[]> {
    const { desired, checks } = await this.reconcile();
    try {
      const tables = await this.#options.network.readSourceNat();
      return [...checks, ...checkSourceNat(desired, tables)];
    } catch (error) {
      // Its checks say already that packet filters cannot be read.
      if (error instanceof NetError) return checks;
      throw error;
    }
  }

  #start(): Promise<HostReport> {
    this.#looking = this.#look().finally(() => this.#looking = undefined);
    return this.#looking;
  }

  async #listen(signal: AbortSignal): Promise<void> {
    try {
      for await (const _ of this.#options.network.monitor({ signal })) {
        this.changed();
      }
    } catch (error) {
      log.error("Cannot listen for changes of packet filters: {error}", {
        error,
      });
    }
  }

  async #look(): Promise<HostReport> {
    const desired = this.#desired;
    if (!desired) {
      throw new Error("Cannot look after the host: how it is to be is unknown");
    }
    const { network, apply, now } = this.#options;
    const bridge = desired.bridge?.name;
    let state = await network.read(bridge);
    const plan = planHost(desired, state, this.#former);
    const outcomes = apply && state.isNetAdmin && plan.length > 0
      ? await network.apply(plan)
      : [];
    if (outcomes.length > 0) state = await network.read(bridge);
    this.#former = this.#former.filter((address) => isHeld(state, address));
    this.#report = {
      lookedAtMs: now(),
      desired,
      checks: withErrors(checkHost(desired, state), outcomes),
      changes: outcomes.filter(({ error }) => error === undefined)
        .map(({ operation }) => formatOperation(operation)),
    };
    this.#tell(this.#report);
    return this.#report;
  }

  /** Logs what was changed, and what is newly wrong. */
  #tell({ changes }: HostReport): void {
    for (const change of changes) {
      log.info("Changed this host's network: {change}", { change });
    }
    const { warnings } = this;
    for (const warning of warnings) {
      if (!this.#warned.has(warning)) log.warn("{warning}", { warning });
    }
    this.#warned = new Set(warnings);
  }
}

/** Adds to what is still wrong why it could not be mended. */
function withErrors(
  checks: readonly Check[],
  outcomes: readonly HostOutcome[],
): Check[] {
  const failures = new Map<string, { found: string; mend: string }>();
  for (const { operation, error } of outcomes) {
    const name = checkOf(operation);
    if (error === undefined || failures.has(name)) continue;
    failures.set(name, { found: error, mend: formatOperation(operation) });
  }
  const isWrong = ({ status, name }: Check) =>
    status !== "ok" && failures.has(name);
  const told = new Set(checks.filter(isWrong).map(({ name }) => name));
  return [
    ...checks.map((check) =>
      isWrong(check)
        ? {
          ...check,
          found: `${check.found}, and ${failures.get(check.name)!.found}`,
        }
        : check
    ),
    ...[...failures].filter(([name]) => !told.has(name))
      .map(([name, failure]): Check => ({
        ...failure,
        name,
        status: "warning",
        means: "containers do without it; the agent tries again",
      })),
  ];
}

function isHeld(
  { interfaces }: HostState,
  address: InterfaceAddress,
): boolean {
  // What cannot be seen may be there.
  return interfaces?.links.some((link) =>
    link.addresses.some((held) => isSame(held, address))
  ) ?? true;
}
