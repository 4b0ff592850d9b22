import { getLogger } from "@logtape/logtape";
import { ReconcileSchedule } from "../base/reconcile_schedule.ts";
import type { RouteMode } from "../config/config.ts";
import type { KernelRoutes, OperationOutcome } from "./kernel_routes.ts";
import {
  type DesiredRoute,
  planRoutes,
  type RoutePlan,
  type RouteStatus,
} from "./plan/route_plan.ts";
import { describeOperation } from "./plan/ip_batch.ts";
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

/** How long after an event the kernel is read: events come in swarms. */
const DEBOUNCE_MS = 50;
/** How often the kernel is read without an event. */
const INTERVAL_MS = 30_000;

const log = getLogger(["stellar-net", "agent", "routes"]);

/** Options of a reconciler. */
export interface RouteReconcilerOptions {
  readonly port: KernelRoutes;
  readonly mode: RouteMode;
  /** The mark by which the agent knows its own routes. */
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
 * Keeps the kernel's routes as desired: when the desire changes, when something
 * happens in the kernel, and every 30 s. One reconcile at a time.
 *
 * Nothing is touched before the first desire is known, so that an agent that
 * starts leaves its routes in place until it knows which they are.
 */
export class RouteReconciler {
  readonly #options: Required<Omit<RouteReconcilerOptions, "onReport">>;
  readonly #onReport: (report: RouteReport) => void;
  readonly #schedule: ReconcileSchedule;
  #desired: readonly DesiredRoute[] | undefined;
  #report: RouteReport;
  /** The desired routes as they were left the last time. */
  #left: readonly RouteStatus[] | undefined;
  /** The last plan and what it was made of. */
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
      lookedAtMs: undefined,
      routes: [],
      operations: [],
      repaired: { count: 0, byCause: {}, lastAtMs: undefined },
      error: undefined,
    });
  }

  /** How it stood when the kernel was last read. */
  get report(): RouteReport {
    return this.#report;
  }

  /** Says which routes this host should have: all of them, in order of precedence. */
  setDesired(routes: readonly DesiredRoute[]): void {
    this.#desired = routes;
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
   * Reads the kernel, in mode `apply` puts it right, and returns the report of
   * that. What failed is in the report. Without a desire there is nothing to do.
   */
  async reconcile(): Promise<RouteReport> {
    if (this.#options.mode !== "off" && this.#desired) {
      await this.#schedule.runNow();
    }
    return this.#report;
  }

  /** Removes all routes of our own, for a node that leaves. The desire is nothing after that. */
  removeAll(): Promise<RouteReport> {
    this.setDesired([]);
    return this.reconcile();
  }

  /** Stops after the run that is under way. Routes stay in place. */
  stop(): Promise<void> {
    return this.#schedule.stop();
  }

  /** Reads, plans, carries out, reads back. @returns whether nothing is left to try */
  async #reconcile(desired: readonly DesiredRoute[]): Promise<boolean> {
    const { port, mode } = this.#options;
    let plan: RoutePlan | undefined;
    try {
      plan = await this.#plan(desired);
      if (mode === "plan" || plan.operations.length === 0) {
        this.#left = plan.routes;
        this.#publish(plan, { isFresh: true });
        return true;
      }
      const outcomes = await port.apply(plan.operations);
      const after = await this.#plan(desired);
      this.#take(after, outcomes);
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
    const kernel = await port.read();
    const last = this.#planned;
    if (last?.kernel === kernel && last.desired === desired) return last.plan;
    const plan = planRoutes(desired, kernel, { protocol });
    this.#planned = { desired, kernel, plan };
    return plan;
  }

  /** Takes in what operations have led to. */
  #take(after: RoutePlan, outcomes: readonly OperationOutcome[]): void {
    // What is put right at the start is not drift: nobody knows whose it was.
    const repairs = this.#left ? findRepairs(this.#left, outcomes) : [];
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
    this.#left = routes;
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
    const { mode, lookedAtMs, repaired } = this.#report;
    this.#report = createReport({
      mode,
      lookedAtMs: isFresh ? this.#options.now() : lookedAtMs,
      routes: news.routes ?? [],
      operations: news.operations ?? [],
      repaired: news.repaired ?? repaired,
      error: news.error,
    });
    this.#onReport(this.#report);
  }
}
