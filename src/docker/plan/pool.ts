import { NetError } from "../../base/error.ts";
import { parseNetworkName } from "../../base/names.ts";
import { formatPrefix, parsePrefix, type Prefix } from "../../net/prefix.ts";

/**
 * A pool of Docker: one subnet of this node, for one network of Docker. Its id
 * holds all of it, so that it is valid after any restart of either.
 */
export interface Pool {
  readonly subnet: Prefix;
  /** Name of the network. */
  readonly network: string;
  /** Different for each request: Docker forgets a network by its PoolID. */
  readonly nonce: string;
}

/** The pool of a new network, or of one that Docker knows from before. */
export interface WantedPool {
  /** The value of `--subnet`; undefined: the node's own. */
  readonly subnet: Prefix | undefined;
  readonly family: 4 | 6;
  readonly network: string;
}

/** The name of networks that Docker names none for. */
export const DEFAULT_NETWORK = "docker";

const ID = /^stellar-net\|([^|]+)\|([^|]+)\|([A-Za-z0-9-]{1,64})$/;

/** The PoolID of a pool. */
export function formatPool({ subnet, network, nonce }: Pool): string {
  return ["stellar-net", formatPrefix(subnet), network, nonce].join("|");
}

/** Reads a PoolID. @throws {RangeError} */
export function parsePool(text: string): Pool {
  const [, subnet, network, nonce] = ID.exec(text) ?? [];
  if (subnet === undefined || network === undefined || nonce === undefined) {
    throw new RangeError(
      `${JSON.stringify(text)} is not valid: it is not a PoolID of this driver`,
    );
  }
  return {
    subnet: parsePrefix(subnet),
    network: parseNetworkName(network),
    nonce,
  };
}

/**
 * The pool for a network of Docker.
 *
 * @param subnets of this node, one of each network of the cluster
 * @throws {NetError} `failed_precondition` when there is none of the family,
 * `invalid_argument` when the wanted one is not the node's
 */
export function planPool(
  subnets: readonly Prefix[],
  wanted: WantedPool,
  nonce: string,
): Pool {
  const { family, subnet } = wanted;
  const network = readNetwork(wanted.network);
  const own = subnets.filter((each) => each.family === family);
  const found = subnet
    ? own.find((each) => formatPrefix(each) === formatPrefix(subnet))
    : own[0];
  if (found) return { subnet: found, network, nonce };
  const texts = own.map(formatPrefix).join(" or ");
  if (subnet && texts !== "") {
    throw new NetError(
      "invalid_argument",
      `Cannot use the subnet "${
        formatPrefix(subnet)
      }": this node's is ${texts}; give --subnet ${texts}, or leave it out`,
      { metadata: { field: "Pool" } },
    );
  }
  throw new NetError(
    "failed_precondition",
    `Cannot make a network with IPv${family}: this node has no IPv${family} subnet; ${
      family === 6 ? "leave --ipv6 out" : "wait until it has joined its cluster"
    }, see "stellar-net status"`,
  );
}

function readNetwork(text: string): string {
  try {
    return parseNetworkName(text);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new NetError(
      "invalid_argument",
      `Cannot make a network: the name in --ipam-opt ${error.message}`,
      { cause: error },
    );
  }
}
