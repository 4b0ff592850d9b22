import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { Network } from "../gen/stellar/services/network/v1/network_pb.ts";
import { StellarCallError, type StellarClient } from "./io.ts";

/**
 * Makes a gRPC client of a service that speaks Stellar's API. This module is
 * large, and the plugin loads it only in Stellar's mode.
 *
 * @param peer `host:port`
 */
export function createStellarClient(peer: string): StellarClient {
  const client = createClient(
    Network,
    createGrpcTransport({ baseUrl: `http://${peer}` }),
  );
  return {
    async getSubnet(node, timeoutMs) {
      const { subnetCidr } = await convert(
        client.getSubnet({ node }, { timeoutMs }),
      );
      return subnetCidr;
    },
    async getIp(ref, timeoutMs) {
      const { ip } = await convert(client.getIP(ref, { timeoutMs }));
      return withoutNil(ip);
    },
    async allocateIp({ id, node, subnet: subnetCidr }, timeoutMs) {
      const { ip } = await convert(
        client.allocateIP({ id, node, subnetCidr }, { timeoutMs }),
      );
      return withoutNil(ip);
    },
    async releaseIp(ref, timeoutMs) {
      await convert(client.releaseIP(ref, { timeoutMs }));
    },
  };
}

/** Stellar's service prints a missing address as Go does. */
function withoutNil(ip: string): string {
  return ip === "<nil>" ? "" : ip;
}

async function convert<T>(call: Promise<T>): Promise<T> {
  try {
    return await call;
  } catch (error) {
    const { code, rawMessage } = ConnectError.from(error);
    throw new StellarCallError(spell(code), rawMessage, { cause: error });
  }
}

/** A code in the Connect protocol's spelling: `ResourceExhausted` is `resource_exhausted`. */
function spell(code: Code): string {
  return Code[code].replace(/(?!^)([A-Z])/g, "_$1").toLowerCase();
}
