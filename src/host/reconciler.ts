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
import { type Check, checkOf, command, formatCheck } from "./checks/check.ts";
import { ReconcileSchedule } from "../base/reconcile_schedule.ts";
import { checkForwardDrops } from "./checks/drop_checks.ts";
import { checkHost } from "./checks/host_checks.ts";
import { checkSourceNat } from "./checks/filter_checks.ts";

/** Time to the next check of the host when no event announces a change, in ms. */
const INTERVAL_MS = 30_000;
/** Time from the first of several events to the check, in ms. */
const DEBOUNCE_MS = 100;

const log = getLogger(["stellar-net", "agent", "host"]);

/** Options of a host's reconciler. */
export interface HostReconcilerOptions {
  readonly network: HostNetwork;
  /** Whether it changes the host, or only checks it. */
  readonly apply: boolean;
  /** Default 30,000. */
  readonly intervalMs?: number;
}

/** The state of the host after the changes that it needed. */
export interface HostReport {
  readonly desired: HostDesired;
  readonly checks: readonly Check[];
  /** The rules of others that drop packets of containers. */
  readonly drops: readonly Check[];
  /** The changes of this run as commands. Empty: nothing to change, or no right to. */
  readonly changes: readonly string[];
}

/**
 * Keeps this host in its desired state, apart from its routes: bridge,
 * forwarding, masquerading, packet filters. Reconciles when the desired state
 * or the host changes, and every half minute. Changes nothing before it knows
 * the desired state.
 */
export class HostReconciler {
  readonly #options: HostReconcilerOptions;
  readonly #schedule: ReconcileSchedule;
  #desired: HostDesired | undefined;
  /** Gateways of former subnets, which this process put on the bridge. */
  #former: readonly InterfaceAddress[] = [];
  #report: HostReport | undefined;
  #logged = new Set<string>();

  constructor(options: HostReconcilerOptions) {
    this.#options = options;
    this.#schedule = new ReconcileSchedule({
      what: "reconcile this host's network",
      run: async () => {
        await this.#run();
        return true;
      },
      debounceMs: DEBOUNCE_MS,
      intervalMs: options.intervalMs ?? INTERVAL_MS,
    });
  }

  /** The report of the last run; undefined before the first. */
  get report(): HostReport | undefined {
    return this.#report;
  }

  /** Facts that an operator should know although they are no fault, a line each. */
  get notes(): readonly string[] {
    return (this.#report?.checks ?? [])
      .filter(({ isNotable = false }) => isNotable).map(formatCheck);
  }

  /** The faults that an operator should know. */
  get faults(): readonly Check[] {
    const { checks = [], drops = [] } = this.#report ?? {};
    return [...checks, ...drops].filter(({ status }) => status !== "ok");
  }

  /** The same, a line each. */
  get warnings(): readonly string[] {
    return this.faults.map(formatCheck);
  }

  /** Reconciles at the interval from now on. */
  start(): void {
    this.#schedule.start();
    this.changed();
  }

  /** Stops after the run that is under way. The host stays as it is. */
  stop(): Promise<void> {
    return this.#schedule.stop();
  }

  /** Sets the desired state, and reconciles. */
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

  /** Reconciles soon, because the host may have changed. */
  changed(): void {
    if (this.#desired) this.#schedule.runSoon();
  }

  /**
   * Reconciles now. A run that began before does not count; all who ask
   * meanwhile share the next one.
   *
   * @throws {Error} before the desired state is known
   */
  async reconcile(): Promise<HostReport> {
    if (!this.#desired) {
      throw new Error(
        "Cannot reconcile this host's network: its desired state is unknown",
      );
    }
    await this.#schedule.runNow();
    if (!this.#report) throw new Error("The reconciler has stopped");
    return this.#report;
  }

  /**
   * Reconciles, and adds the checks that take longer and whose faults the
   * agent does not fix.
   */
  async examine(): Promise<readonly Check[]> {
    const { desired, checks } = await this.reconcile();
    try {
      const tables = await this.#options.network.readSourceNat();
      return [...checks, ...checkSourceNat(desired, tables)];
    } catch (error) {
      // The checks say already that packet filters cannot be read.
      if (error instanceof NetError) return checks;
      throw error;
    }
  }

  async #run(): Promise<void> {
    const desired = this.#desired;
    if (!desired) return;
    const { network, apply } = this.#options;
    const bridge = desired.bridge?.name;
    let state = await network.read(bridge);
    const plan = planHost(desired, state, this.#former);
    const outcomes = apply && state.isNetAdmin && plan.length > 0
      ? await network.apply(plan)
      : [];
    if (outcomes.length > 0) state = await network.read(bridge);
    this.#former = this.#former.filter((address) => isHeld(state, address));
    this.#report = {
      desired,
      checks: withErrors(checkHost(desired, state), outcomes),
      drops: checkForwardDrops(desired, state),
      changes: outcomes.filter(({ error }) => error === undefined)
        .map(({ operation }) => formatOperation(operation)),
    };
    this.#log(this.#report);
  }

  /** Logs the changes, and the warnings that are new. */
  #log({ changes }: HostReport): void {
    for (const change of changes) {
      log.info("Changed this host's network: {change}", { change });
    }
    const { warnings } = this;
    for (const warning of warnings) {
      if (!this.#logged.has(warning)) log.warn("{warning}", { warning });
    }
    this.#logged = new Set(warnings);
  }
}

/** Adds to the remaining faults why they could not be fixed. */
function withErrors(
  checks: readonly Check[],
  outcomes: readonly HostOutcome[],
): Check[] {
  const failures = new Map<string, Pick<Check, "found" | "fix">>();
  for (const { operation, error } of outcomes) {
    const name = checkOf(operation);
    if (error === undefined || failures.has(name)) continue;
    failures.set(name, {
      found: error,
      fix: command(formatOperation(operation)),
    });
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
  // An address that cannot be read may be there.
  return interfaces?.links.some((link) =>
    link.addresses.some((held) => isSame(held, address))
  ) ?? true;
}
