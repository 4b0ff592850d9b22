import { getLogger } from "@logtape/logtape";
import { ReconcileSchedule } from "../base/reconcile_schedule.ts";
import type { RouteMode } from "../config/config.ts";
import type { KernelRoutes, OperationOutcome } from "./kernel_routes.ts";
import {
  planRoutes,
  type PlanRoutesOptions,
  type RoutePlan,
  type RouteStatus,
} from "./plan/route_plan.ts";
import { containsPrefix } from "../net/prefix.ts";
import { describeOperation, type RouteQuery } from "./plan/ip_batch.ts";
import type { DesiredRoute } from "./plan/desired_route.ts";
import type { KernelState } from "./plan/kernel_route.ts";
import {
  addRepairs,
  createReport,
  describeFailures,
  findRepairs,
  markFailures,
  type RouteReport,
  unknownRoutes,
} from "./report.ts";

/** Time from an event to the reading of the kernel: events come in bursts. */
const DEBOUNCE_MS = 50;
/** Time to the next reading of the kernel without an event. */
const INTERVAL_MS = 30_000;

const log = getLogger(["stellar-net", "agent", "routes"]);

/** The limits of the desired routes. */
export type RouteLimits = Omit<PlanRoutesOptions, "protocol">;

export interface RouteReconcilerOptions {
  readonly port: KernelRoutes;
  readonly mode: RouteMode;
  /** The protocol number of the agent's own routes. */
  readonly protocol: number;
  /** The time in ms since 1970. */
  readonly now: () => number;
  /** Takes every new report. */
  readonly onReport?: (report: RouteReport) => void;
  /** Default 50. */
  readonly debounceMs?: number;
  /** Default 30,000. */
  readonly intervalMs?: number;
}

/**
 * Keeps the kernel's routes as desired: reconciles when the desired routes or
 * the kernel change, and every 30 s. One reconciliation at a time.
 *
 * It changes nothing before the desired routes are known, so that an agent
 * that starts leaves its earlier routes in place.
 */
export class RouteReconciler {
  readonly #options: Required<Omit<RouteReconcilerOptions, "onReport">>;
  readonly #onReport: (report: RouteReport) => void;
  readonly #schedule: ReconcileSchedule;
  #desired: readonly DesiredRoute[] | undefined;
  #limits: RouteLimits = {};
  #report: RouteReport;
  /** The statuses after the last reconciliation. */
  #last: readonly RouteStatus[] | undefined;
  /** The last plan, and its input. */
  #planned:
    | {
      readonly desired: readonly DesiredRoute[];
      readonly kernel: KernelState;
      readonly plan: RoutePlan;
    }
    | undefined;

  constructor({ onReport, ...options }: RouteReconcilerOptions) {
    this.#options = {
      debounceMs: DEBOUNCE_MS,
      intervalMs: INTERVAL_MS,
      ...options,
    };
    this.#onReport = onReport ?? (() => {});
    this.#schedule = new ReconcileSchedule({
      ...this.#options,
      what: "reconcile routes",
      run: () => this.#reconcile(this.#desired ?? []),
    });
    this.#schedule.start();
    this.#report = createReport({
      mode: options.mode,
      readAtMs: undefined,
      routes: [],
      operations: [],
      repaired: { count: 0, byCause: {}, lastAtMs: undefined },
      error: undefined,
    });
  }

  /** The state at the last reading of the kernel. */
  get report(): RouteReport {
    return this.#report;
  }

  /** Sets all routes that this host should have, in order of precedence. */
  setDesired(
    routes: readonly DesiredRoute[],
    limits: RouteLimits = {},
  ): void {
    this.#desired = routes;
    this.#limits = limits;
    if (this.#options.mode === "off") {
      this.#publish({
        routes: unknownRoutes(routes, "routes are off on this host"),
      });
      return;
    }
    void this.#schedule.runNow();
  }

  /** Reconciles soon, because the kernel may have changed. */
  changed(): void {
    if (this.#options.mode !== "off" && this.#desired) this.#schedule.runSoon();
  }

  /**
   * Reads the kernel, corrects it in mode `apply`, and returns the report with
   * any failures. Does nothing before the desired routes are known.
   */
  async reconcile(): Promise<RouteReport> {
    if (this.#options.mode !== "off" && this.#desired) {
      await this.#schedule.runNow();
    }
    return this.#report;
  }

  /** Removes all routes of our own, for a node that leaves. */
  removeAll(): Promise<RouteReport> {
    this.setDesired([]);
    return this.reconcile();
  }

  /** Stops after the run that is under way. Routes stay in place. */
  stop(): Promise<void> {
    return this.#schedule.stop();
  }

  /** Reads, plans, applies, reads back. @returns whether nothing is left to try */
  async #reconcile(desired: readonly DesiredRoute[]): Promise<boolean> {
    const { port, mode } = this.#options;
    let plan: RoutePlan | undefined;
    try {
      plan = await this.#plan(desired);
      if (mode === "plan" || plan.operations.length === 0) {
        this.#last = plan.routes;
        this.#publish(plan, { isFresh: true });
        return true;
      }
      const outcomes = await port.apply(plan.operations);
      const after = await this.#plan(desired);
      this.#publishResults(after, outcomes);
      return after.operations.length === 0;
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      if (message !== this.#report.error) {
        log.warn("Cannot reconcile routes, trying again: {error}", { error });
      }
      this.#publish({
        routes: plan?.routes ?? unknownRoutes(desired, message),
        operations: plan?.operations ?? [],
        error: message,
      });
      return false;
    }
  }

  async #plan(desired: readonly DesiredRoute[]): Promise<RoutePlan> {
    const { port, protocol } = this.#options;
    const kernel = await port.read(this.#query(desired));
    const planned = this.#planned;
    if (planned?.kernel === kernel && planned.desired === desired) {
      return planned.plan;
    }
    const plan = planRoutes(desired, kernel, { protocol, ...this.#limits });
    this.#planned = { desired, kernel, plan };
    return plan;
  }

  /** The routes that can matter; without a policy all. */
  #query(desired: readonly DesiredRoute[]): RouteQuery | undefined {
    const { policy, unreachable = [] } = this.#limits;
    if (!policy) return undefined;
    const within = policy.networks.map(({ network }) => network);
    const exact = [
      ...desired.map(({ destination }) => destination),
      ...unreachable,
    ].filter((prefix) => !within.some((n) => containsPrefix(n, prefix)));
    return { protocol: this.#options.protocol, within, exact };
  }

  /** Logs and publishes the results of operations. */
  #publishResults(
    after: RoutePlan,
    outcomes: readonly OperationOutcome[],
  ): void {
    // Corrections at the start are no repairs: the cause of the drift is unknown.
    const repairs = this.#last ? findRepairs(this.#last, outcomes) : [];
    const routes = markFailures(after, outcomes);
    const error = describeFailures(after, outcomes);
    for (const { operation, error } of outcomes) {
      log.debug("{operation}: {outcome}", () => ({
        operation: describeOperation(operation),
        outcome: error ?? "done",
      }));
    }
    log.info("Changed {count} routes, {repairs} of them repairs", {
      count: outcomes.length,
      repairs: repairs.length,
    });
    if (error !== undefined && error !== this.#report.error) {
      log.warn("{error}", { error });
    }
    this.#last = routes;
    this.#publish({
      routes,
      operations: after.operations,
      repaired: addRepairs(
        this.#report.repaired,
        repairs,
        this.#options.now(),
      ),
      error,
    }, { isFresh: true });
  }

  #publish(
    news: Partial<RouteReport>,
    { isFresh = false }: { readonly isFresh?: boolean } = {},
  ): void {
    const { mode, readAtMs, repaired } = this.#report;
    this.#report = createReport({
      mode,
      readAtMs: isFresh ? this.#options.now() : readAtMs,
      routes: news.routes ?? [],
      operations: news.operations ?? [],
      repaired: news.repaired ?? repaired,
      error: news.error,
    });
    this.#onReport(this.#report);
  }
}
