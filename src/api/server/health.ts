import { Code, ConnectError, type ConnectRouter } from "@connectrpc/connect";
import {
  Health as HealthService,
  HealthCheckResponse_ServingStatus as ServingStatus,
} from "../../gen/grpc/health/v1/health_pb.ts";

/** The health of a server, for load balancers and operators. */
export interface Health {
  /** Registers grpc.health.v1.Health. */
  routes(router: ConnectRouter): void;
  /** Sets a service by its full name; an empty name is the server as a whole. */
  set(service: string, serving: boolean): void;
  /** Sets all services. */
  setAll(serving: boolean): void;
}

/** Makes the health of a server whose services are all serving.
 *
 * Check of an unknown service is NOT_FOUND; Watch reports SERVICE_UNKNOWN and
 * goes on (https://github.com/grpc/grpc/blob/master/doc/health-checking.md).
 */
export function createHealth(services: Iterable<string>): Health {
  const states = new Map<string, ServingStatus>();
  const waiting = new Set<() => void>();
  for (const service of ["", ...services]) {
    states.set(service, ServingStatus.SERVING);
  }

  function wake(): void {
    for (const resume of waiting) resume();
  }

  /** Resolves with the next change, rejects with the reason of the signal. */
  async function change(signal: AbortSignal): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const abort = () => reject(signal.reason);
    waiting.add(resolve);
    signal.addEventListener("abort", abort);
    try {
      signal.throwIfAborted();
      await promise;
    } finally {
      waiting.delete(resolve);
      signal.removeEventListener("abort", abort);
    }
  }

  return {
    set(service, serving) {
      states.set(service, toStatus(serving));
      wake();
    },
    setAll(serving) {
      for (const name of states.keys()) states.set(name, toStatus(serving));
      wake();
    },
    routes(router) {
      router.service(HealthService, {
        check({ service }) {
          const status = states.get(service);
          if (status === undefined) {
            throw new ConnectError(
              `Cannot check "${service}": the agent has no such service`,
              Code.NotFound,
            );
          }
          return { status };
        },
        async *watch({ service }, { signal }) {
          let sent: ServingStatus | undefined;
          for (;;) {
            const status = states.get(service) ?? ServingStatus.SERVICE_UNKNOWN;
            if (status === sent) await change(signal);
            else yield { status: sent = status };
          }
        },
      });
    },
  };
}

function toStatus(serving: boolean): ServingStatus {
  return serving ? ServingStatus.SERVING : ServingStatus.NOT_SERVING;
}
