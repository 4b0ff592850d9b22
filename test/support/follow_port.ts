import type { KernelRoutes } from "../../src/routes/kernel_routes.ts";
import type { RouteReconciler } from "../../src/routes/reconciler.ts";

/** Passes a port's events on to a reconciler, as a host's controller does. @returns ends it */
export function followPort(
  port: KernelRoutes,
  reconciler: RouteReconciler,
): () => Promise<void> {
  const abort = new AbortController();
  const follow = async () => {
    for await (const _ of port.monitor(abort)) reconciler.changed();
  };
  const following = follow();
  return () => {
    abort.abort();
    return following;
  };
}
