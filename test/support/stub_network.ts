import type { ConnectRouter, HandlerContext } from "@connectrpc/connect";
import { NetError } from "../../src/error.ts";
import { Network } from "../../src/gen/stellar/services/network/v1/network_pb.ts";

/** What the stub has seen, and what holds its slow call. */
export interface StubNetwork {
  /** Puts the stub on a router. */
  routes(router: ConnectRouter): void;
  /** Resolves when the next GetSubnet has begun, with its context. */
  slowCall(): Promise<HandlerContext>;
  /** Lets every GetSubnet answer. */
  release(): void;
}

/**
 * A part of Stellar's service without an agent behind it, to try the server
 * with: Info answers, AllocateIP echoes its id as the address, GetSubnet waits
 * for `release`, GetIP is NOT_FOUND, Subnets fails with a defect; the rest is
 * UNIMPLEMENTED.
 */
export function createStubNetwork(): StubNetwork {
  let seen = Promise.withResolvers<HandlerContext>();
  const released = Promise.withResolvers<void>();
  return {
    slowCall: () => seen.promise,
    release: () => released.resolve(),
    routes(router) {
      router.service(Network, {
        info: () => ({ id: "stellar.services.network.v1" }),
        allocateIP: ({ id, node }) => ({ ip: id, node }),
        async getSubnet({ node }, context) {
          const { resolve } = seen;
          seen = Promise.withResolvers();
          resolve(context);
          await released.promise;
          return { subnetCidr: node };
        },
        getIP({ id }) {
          throw new NetError(
            "not_found",
            `Cannot find "${id}": é, 100 %, it is not there`,
          );
        },
        subnets() {
          throw new TypeError("a secret");
        },
      });
    },
  };
}
