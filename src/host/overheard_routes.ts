import type { KernelRoutes } from "../routes/kernel_routes.ts";

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
