import type { HandlerContext } from "@connectrpc/connect";
import { NetError } from "../../base/error.ts";
import { parseApiUrl, parseId, parseText } from "../../base/names.ts";
import type { JoinRequest as JoinMessage } from "../../gen/stellar/net/v1/registry_pb.ts";
import {
  type Address,
  formatAddress,
  parseAddress,
  quote,
} from "../../net/address.ts";
import { formatPrefix, nextHopBlock, parsePrefix } from "../../net/prefix.ts";
import type { JoinRequest } from "../../registry/plan/join_plan.ts";
import { callerOf } from "../access/call_context.ts";
import { parseField, parseOptional } from "../messages/fields.ts";

/** Most addresses of one family that a node advertises: one for each uplink. */
const MAX_UPLINKS = 4;

/**
 * Parses the request of a node to join, apart from its name and instance id.
 *
 * @throws {NetError} `invalid_argument`, and as {@linkcode checkOwn}
 */
export function parseJoin(
  request: JoinMessage,
  context: HandlerContext,
): Omit<JoinRequest, "node" | "instanceId"> {
  return {
    advertised: checkOwn(parseAdvertised(request.advertised), context),
    apiUrl: parseOptional(
      "api_url",
      request.apiUrl,
      (text) => parseReached(text, context),
    ) ?? "",
    localPrefixes: request.localPrefixes.map(({ cidr, device }) => ({
      prefix: parseField("local_prefixes.cidr", cidr, parsePrefix),
      device: parseOptional("local_prefixes.device", device, parseText) ??
        "",
    })),
    heldSubnets: request.heldSubnets.map((text) =>
      parseField("held_subnets", text, parsePrefix)
    ),
    clusterId: parseOptional("cluster_id", request.clusterId, parseId) ??
      "",
    processId: parseOptional("process_id", request.processId, parseId) ??
      "",
    revision: Number(request.revision),
  };
}

/** Parses the URL at which other hosts call a node's agent. A node that joined
 * over TLS may not make them speak plain text.
 */
function parseReached(text: string, context: HandlerContext): string {
  const url = parseApiUrl(text);
  const isMember = callerOf(context).kind === "member";
  if (!isMember || url.startsWith("https:")) return url;
  throw new RangeError(
    `${
      quote(text)
    } is plain text, and this node joined over TLS: write "https://"`,
  );
}

/**
 * Returns addresses if a node's certificate is for all of them: a node that
 * advertises others could keep those from getting certificates. A certificate of
 * an operator's own authority may name fewer.
 *
 * @throws {NetError} `unavailable` if not: a node renews its certificate as soon
 * as its addresses have changed, and joins again
 */
function checkOwn(
  addresses: readonly Address[],
  context: HandlerContext,
): readonly Address[] {
  const caller = callerOf(context);
  if (caller.kind !== "member") return addresses;
  const { role, generation, name, addresses: certified } = caller.identity;
  if (role !== "node" || generation === 0) return addresses;
  const own = new Set(certified.map(formatAddress));
  const other = addresses.map(formatAddress).find((text) => !own.has(text));
  if (other === undefined) return addresses;
  throw new NetError(
    "unavailable",
    `Cannot let node ${
      quote(name)
    } advertise ${other}: its certificate is not for that address; it renews the certificate by itself and tries again`,
  );
}

/** The addresses that a node advertises. */
function parseAdvertised(texts: readonly string[]): Address[] {
  const addresses = texts.map((text) =>
    parseField("advertised", text, parseNextHop)
  );
  for (const family of [4, 6]) {
    const count = addresses.filter((a) => a.family === family).length;
    if (count <= MAX_UPLINKS) continue;
    throw new NetError(
      "invalid_argument",
      `advertised: ${count} addresses of IPv${family}, more than one for each of ${MAX_UPLINKS} uplinks`,
    );
  }
  return [...new Map(addresses.map((a) => [formatAddress(a), a])).values()];
}

function parseNextHop(text: string): Address {
  const address = parseAddress(text);
  const block = nextHopBlock(address);
  if (!block) return address;
  throw new RangeError(
    `"${text}" cannot be advertised: it is in ${
      formatPrefix(block.prefix)
    } (${block.name})`,
  );
}
