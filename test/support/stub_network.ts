import assert from "node:assert/strict";
import type { ConnectRouter, HandlerContext } from "@connectrpc/connect";
import { NetError } from "../../src/base/error.ts";
import { Network } from "../../src/gen/stellar/services/network/v1/network_pb.ts";
import type { RpcLimits } from "../../src/api/limits/limits.ts";
import {
  connectRaw,
  END_HEADERS,
  frame,
  hpack,
  type RawTarget,
} from "./raw_client.ts";
import { type RunningServer, withRpcServer } from "./rpc_server.ts";

/** Where the calls of the stub are. */
export const STUB_PATH = `/${Network.typeName}`;

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

/** Calls a function with a server of a stub. What the stub holds is let go at the end. */
export function withStubServer<T>(
  limits: Partial<RpcLimits>,
  use: (running: RunningServer & { readonly stub: StubNetwork }) => Promise<T>,
): Promise<T> {
  const stub = createStubNetwork();
  return withRpcServer({ routes: stub.routes, limits }, async (running) => {
    try {
      return await use({ ...running, stub });
    } finally {
      stub.release();
    }
  });
}

/** A call of the stub as HTTP/1.1 with a body of JSON. */
export function http1Call(call: string, body = "{}", headers = ""): string {
  return `POST ${STUB_PATH}/${call} HTTP/1.1\r\nHost: localhost\r\n${headers}` +
    `Content-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
}

/** The HEADERS frame of a call of the stub as gRPC. */
export function grpcHeaders(
  call: string,
  stream: number,
  more: Readonly<Record<string, string>> = {},
): Uint8Array {
  return frame("headers", {
    stream,
    flags: END_HEADERS,
    payload: hpack({
      ":method": "POST",
      ":scheme": "http",
      ":authority": "localhost",
      ":path": `${STUB_PATH}/${call}`,
      "content-type": "application/grpc",
      ...more,
    }),
  });
}

/** Makes a call of the stub with a new client. */
export async function assertServes(target: RawTarget): Promise<void> {
  const client = await connectRaw(target);
  client.send(http1Call("Info", "{}", "Connection: close\r\n"));
  assert.match(
    await client.closed,
    /^HTTP\/1\.1 200 OK\r\n[^]*stellar\.services/,
  );
}
