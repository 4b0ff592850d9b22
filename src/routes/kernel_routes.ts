import type { KernelState } from "./plan/kernel_route.ts";
import type { KernelEvent } from "./plan/ip_json.ts";
import type { RouteQuery } from "./plan/ip_batch.ts";
import type { RouteOperation } from "./plan/route_plan.ts";

export interface OperationOutcome {
  readonly operation: RouteOperation;
  /** The error message; undefined when the operation was carried out. */
  readonly error: string | undefined;
}

export interface MonitorOptions {
  /** Ends the monitor, without an error. */
  readonly signal: AbortSignal;
}

/** The kernel's routes, and the interfaces that they depend on. */
export interface KernelRoutes {
  /**
   * Reads routes and interfaces. A change during the reading may be missing.
   * Returns the same object as long as nothing has changed.
   *
   * @param query the routes to read; default: all
   * @throws {NetError} `unavailable` when they cannot be read
   */
  read(query?: RouteQuery): Promise<KernelState>;
  /**
   * Carries out operations in their order. A failure does not stop the
   * operations behind it.
   *
   * @returns one outcome for each operation, in the same order
   * @throws {NetError} `unavailable` when no operation could be tried
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
