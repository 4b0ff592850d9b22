import type { KernelState } from "./plan/kernel_route.ts";
import type { KernelEvent } from "./plan/monitor_line.ts";
import type { RouteOperation } from "./plan/route_plan.ts";

/** What became of an operation. */
export interface OperationOutcome {
  readonly operation: RouteOperation;
  /** What was said of it; undefined when it was carried out. */
  readonly error: string | undefined;
}

/** Options of a monitor. */
export interface MonitorOptions {
  /** Ends the monitor, without an error. */
  readonly signal: AbortSignal;
}

/** The kernel's routes, and what bears on them. */
export interface KernelRoutes {
  /**
   * Reads routes and interfaces. What changes meanwhile may be seen or not.
   * Where nothing has changed since the last time, the state is the same object.
   *
   * @throws {NetError} `unavailable` when they cannot be read
   */
  read(): Promise<KernelState>;
  /**
   * Carries operations out in their order. One that fails does not keep those
   * behind it from being tried.
   *
   * @returns an outcome an operation, in the same order
   * @throws {NetError} `unavailable` when none could be tried
   */
  apply(
    operations: readonly RouteOperation[],
  ): Promise<readonly OperationOutcome[]>;
  /**
   * Yields when routes, interfaces or addresses may have changed, and when
   * changes may have been missed. Several changes may be one event; the changes
   * that {@linkcode apply} made are none. Continues until it is ended, whatever
   * happens to the program that it follows.
   */
  monitor(options: MonitorOptions): AsyncIterable<KernelEvent>;
}
