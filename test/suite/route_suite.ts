import { testRouteConflicts } from "./route_suite_conflict.ts";
import { testRouteDesire } from "./route_suite_desire.ts";
import { testRouteKernel } from "./route_suite_kernel.ts";
import { testRouteRepair } from "./route_suite_repair.ts";
import { testRouteWalk } from "./route_suite_walk.ts";
import { type RouteSuiteOptions, routeTest } from "./route_suite_world.ts";

/**
 * Registers the tests that `ip`, and what stands in for it, has to pass with
 * the adapter and the reconciler on top.
 *
 * `name` stands in front of each test's name.
 */
export function testRoutes(name: string, options: RouteSuiteOptions): void {
  const test = routeTest(name, options);
  testRouteKernel(test);
  testRouteDesire(test, options);
  testRouteRepair(test, options);
  testRouteConflicts(test, options);
  testRouteWalk(name, options);
}
