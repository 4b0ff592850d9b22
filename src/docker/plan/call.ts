import { NetError } from "../../base/error.ts";
import { JsonReader } from "../../base/json_reader.ts";
import {
  type Address,
  formatAddress,
  parseAddress,
} from "../../net/address.ts";
import {
  containsAddress,
  formatPrefix,
  gatewayOf,
  parsePrefix,
} from "../../net/prefix.ts";
import {
  DEFAULT_NETWORK,
  formatPool,
  parsePool,
  type Pool,
  type WantedPool,
} from "./pool.ts";

// The calls of Docker's remote IPAM drivers (moby, libnetwork/docs/ipam.md).

/** A call of Docker. */
export type DockerCall =
  | { readonly kind: "activate" | "capabilities" | "address spaces" }
  | { readonly kind: "request pool"; readonly wanted: WantedPool }
  | { readonly kind: "release pool"; readonly pool: Pool }
  | { readonly kind: "request gateway"; readonly pool: Pool }
  | RequestAddress
  | {
    readonly kind: "release address";
    readonly pool: Pool;
    readonly address: Address;
  };

/** An address for an endpoint. */
export interface RequestAddress {
  readonly kind: "request address";
  readonly pool: Pool;
  /** The value of `--ip`, or what the endpoint has; undefined: any. */
  readonly address: Address | undefined;
  /** Of the endpoint; empty: Docker named none. */
  readonly macAddress: string;
  /**
   * Whether it is what an endpoint has already, as Docker tells after its
   * start, or an address that a network keeps from containers.
   */
  readonly isReplay: boolean;
}

/** Name of the network in the option that `--ipam-opt` sets. */
export const NETWORK_OPTION = "stellar-net.network";

const REQUEST_TYPE = "RequestAddressType";
const GATEWAY_TYPE = "com.docker.network.gateway";
const MAC_OPTION = "com.docker.network.endpoint.macaddress";
const MAC = /^[\da-f]{2}(?::[\da-f]{2}){5}$/;

/** The media type of all answers. */
export const MEDIA_TYPE = "application/vnd.docker.plugins.v1.1+json";

/**
 * Reads a call.
 *
 * @param path of the request, such as `/IpamDriver.RequestPool`
 * @param body empty where the call has none
 * @throws {NetError} `not_found` for another call, `invalid_argument` naming the
 * field and its value
 */
export function parseCall(path: string, body: string): DockerCall {
  switch (path) {
    case "/Plugin.Activate":
      return { kind: "activate" };
    case "/IpamDriver.GetCapabilities":
      return { kind: "capabilities" };
    case "/IpamDriver.GetDefaultAddressSpaces":
      return { kind: "address spaces" };
    case "/IpamDriver.RequestPool":
      return { kind: "request pool", wanted: readWanted(readBody(path, body)) };
    case "/IpamDriver.ReleasePool":
      return { kind: "release pool", pool: readPool(readBody(path, body)) };
    case "/IpamDriver.RequestAddress":
      return readRequest(readBody(path, body));
    case "/IpamDriver.ReleaseAddress": {
      const fields = readBody(path, body);
      const pool = readPool(fields);
      const address = readAddress(fields, pool);
      if (address) return { kind: "release address", pool, address };
      throw invalid("Address", "it is empty");
    }
  }
  throw new NetError(
    "not_found",
    `Cannot answer ${JSON.stringify(path)}: IPAM drivers have no such call`,
  );
}

/** The answer to a call that needs no state. */
export function constantAnswer(
  { kind }: { readonly kind: "activate" | "capabilities" | "address spaces" },
): Readonly<Record<string, unknown>> {
  switch (kind) {
    case "activate":
      return { Implements: ["IpamDriver"] };
    case "capabilities":
      // With replays Docker tells the agent after its start what it has.
      return { RequiresMACAddress: true, RequiresRequestReplay: true };
    case "address spaces":
      return {
        LocalDefaultAddressSpace: "stellar-net",
        GlobalDefaultAddressSpace: "stellar-net",
      };
  }
}

/** The answer to a request for a pool. */
export function poolAnswer(pool: Pool): Readonly<Record<string, unknown>> {
  return {
    PoolID: formatPool(pool),
    Pool: formatPrefix(pool.subnet),
    Data: {},
  };
}

/** The answer to a request for an address, or for a gateway. */
export function addressAnswer(
  { subnet }: Pool,
  address: Address,
): Readonly<Record<string, unknown>> {
  return { Address: `${formatAddress(address)}/${subnet.length}`, Data: {} };
}

function readBody(path: string, body: string): JsonReader {
  let value: unknown;
  try {
    value = JSON.parse(body);
  } catch (cause) {
    throw new NetError(
      "invalid_argument",
      `Cannot read the body of ${path}: it is not JSON`,
      { cause },
    );
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw invalid("the body", "it is not an object");
  }
  return new JsonReader(value as Record<string, unknown>, {
    invalid,
    show: (value) => JSON.stringify(value),
  });
}

function readWanted(fields: JsonReader): WantedPool {
  const text = fields.optionalText("Pool") ?? "";
  const isV6 = fields.optionalFlag("V6") ?? false;
  const range = fields.optionalText("SubPool") ?? "";
  if (range !== "") {
    throw invalid(
      "SubPool",
      `"${range}" is a part of the subnet, and the agent gives out all of it; ` +
        'leave --ip-range out, and keep addresses with "stellar-net ip reserve"',
    );
  }
  const subnet = text === ""
    ? undefined
    : fields.nested("Pool", () => parsePrefix(text));
  if (subnet && (subnet.family === 6) !== isV6) {
    throw invalid(
      "Pool",
      `"${text}" is IPv${subnet.family}, and V6 is ${isV6}`,
    );
  }
  const options = fields.optionalObject("Options");
  const network = options?.optionalText(NETWORK_OPTION) ?? DEFAULT_NETWORK;
  return { subnet, family: isV6 ? 6 : 4, network };
}

function readPool(fields: JsonReader): Pool {
  return fields.nested("PoolID", (value) => parsePool(String(value)));
}

function readAddress(
  fields: JsonReader,
  { subnet }: Pool,
): Address | undefined {
  const text = fields.optionalText("Address") ?? "";
  if (text === "") return undefined;
  const address = fields.nested("Address", () => parseAddress(text));
  if (containsAddress(subnet, address)) return address;
  throw invalid(
    "Address",
    `"${text}" is outside the subnet ${
      formatPrefix(subnet)
    } of the network; name an address of it`,
  );
}

function readRequest(fields: JsonReader): DockerCall {
  const pool = readPool(fields);
  const address = readAddress(fields, pool);
  const options = fields.optionalObject("Options");
  if (options?.optionalText(REQUEST_TYPE) === GATEWAY_TYPE) {
    const gateway = gatewayOf(pool.subnet);
    if (address && address.value !== gateway.value) {
      throw invalid(
        "Address",
        `"${formatAddress(address)}" is not the gateway ${
          formatAddress(gateway)
        } of ${formatPrefix(pool.subnet)}; leave --gateway out`,
      );
    }
    return { kind: "request gateway", pool };
  }
  const mac = options?.optionalText(MAC_OPTION)?.toLowerCase() ?? "";
  if (mac !== "" && !MAC.test(mac)) {
    throw invalid(`Options.${MAC_OPTION}`, `"${mac}" is not a MAC address`);
  }
  return {
    kind: "request address",
    pool,
    address,
    macAddress: mac,
    isReplay: address !== undefined && options === undefined,
  };
}

function invalid(field: string, why: string): NetError {
  return new NetError(
    "invalid_argument",
    `Cannot carry out Docker's request: ${field} is not valid: ${why}`,
    { metadata: { field } },
  );
}
