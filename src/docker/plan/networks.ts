import { NetError } from "../../base/error.ts";
import { isObject, JsonReader } from "../../base/json_reader.ts";
import {
  type Address,
  formatAddress,
  parseAddress,
} from "../../net/address.ts";

// What Docker's Engine API says of its networks (GET /networks/{id}).

/** A network of Docker. */
export interface DockerNetwork {
  readonly id: string;
  readonly name: string;
  readonly driver: string;
  readonly ipamDriver: string;
  /** The subnets and their gateways, as text. */
  readonly pools: readonly {
    readonly subnet: string;
    readonly gateway: string;
  }[];
  readonly hasIpv6: boolean;
  /** The options of `-o`. */
  readonly options: Readonly<Record<string, string>>;
  readonly endpoints: readonly Endpoint[];
  /** Addresses that the network keeps from containers (`--aux-address`). */
  readonly kept: readonly Address[];
}

/** An endpoint of a container. */
export interface Endpoint {
  /** Name of its container. */
  readonly name: string;
  /** In lower case, with colons; empty where Docker tells none. */
  readonly macAddress: string;
  readonly addresses: readonly Address[];
}

/** One address of an endpoint, with the name of its network. */
export interface NamedEndpoint extends Pick<Endpoint, "name" | "macAddress"> {
  readonly network: string;
  readonly address: Address;
}

/** Reads a network. @throws {NetError} `unavailable` for another answer */
export function parseNetwork(value: unknown): DockerNetwork {
  if (!isObject(value)) throw unreadable("the answer", "it is not an object");
  const network = new JsonReader(value, { invalid: unreadable });
  const ipam = network.object("IPAM");
  const configs = ipam.optionalObjects("Config") ?? [];
  return {
    id: network.text("Id"),
    name: network.text("Name"),
    driver: network.text("Driver"),
    ipamDriver: ipam.text("Driver"),
    pools: configs.map((config) => ({
      subnet: config.optionalText("Subnet") ?? "",
      gateway: config.optionalText("Gateway") ?? "",
    })),
    hasIpv6: network.optionalFlag("EnableIPv6") ?? false,
    options: network.nested("Options", readTexts),
    endpoints: Object.values(network.nested("Containers", readObjects))
      .map((value) => {
        const endpoint = new JsonReader(value, { invalid: unreadable });
        return {
          name: endpoint.optionalText("Name") ?? "",
          macAddress: (endpoint.optionalText("MacAddress") ?? "")
            .toLowerCase(),
          addresses: ["IPv4Address", "IPv6Address"].flatMap((key) => {
            const text = endpoint.optionalText(key) ?? "";
            return text === "" ? [] : [parseAddress(text.split("/")[0]!)];
          }),
        };
      }),
    kept: configs.flatMap((config) =>
      Object.values(config.nested("AuxiliaryAddresses", readTexts))
        .map(parseAddress)
    ),
  };
}

/** The endpoints of networks by the text of their address. */
export function endpointsByAddress(
  networks: readonly DockerNetwork[],
): Map<string, NamedEndpoint> {
  const found = new Map<string, NamedEndpoint>();
  for (const { name: network, endpoints, kept } of networks) {
    for (const address of kept) {
      const text = formatAddress(address);
      const name = `kept-${text}`;
      found.set(text, { network, name, macAddress: "", address });
    }
    for (const { name, macAddress, addresses } of endpoints) {
      for (const address of addresses) {
        const text = formatAddress(address);
        found.set(text, { network, name, macAddress, address });
      }
    }
  }
  return found;
}

function readTexts(value: unknown): Readonly<Record<string, string>> {
  const fields = value ?? {};
  if (isObject(fields) && Object.values(fields).every(isText)) {
    return fields as Readonly<Record<string, string>>;
  }
  throw new RangeError("it must be an object whose values are strings");
}

function readObjects(
  value: unknown,
): Readonly<Record<string, Record<string, unknown>>> {
  const fields = value ?? {};
  if (isObject(fields) && Object.values(fields).every(isObject)) {
    return fields as Readonly<Record<string, Record<string, unknown>>>;
  }
  throw new RangeError("it must be an object whose values are objects");
}

function isText(value: unknown): value is string {
  return typeof value === "string";
}

function unreadable(path: string, why: string): NetError {
  return new NetError(
    "unavailable",
    `Cannot read the networks of Docker: ${path}: ${why}`,
  );
}
