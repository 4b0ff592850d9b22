import { NetError } from "../base/error.ts";
import { formatAddress } from "../net/address.ts";
import { formatPrefix, type Prefix } from "../net/prefix.ts";
import { gatewayOf } from "../net/subnet.ts";
import type { Check } from "./checks/check.ts";

/** The subnet that a host is to be configured with. */
export interface ConfiguredSubnet {
  readonly subnet: Prefix;
  readonly gateway: string;
}

/**
 * Returns when a subnet and its gateway are those of this node.
 *
 * @param own the subnet of this node, if it has one
 * @throws {NetError} `invalid_argument` when it is another subnet or gateway
 */
export function checkConfigured(
  own: Prefix | undefined,
  { subnet, gateway }: ConfiguredSubnet,
): void {
  if (!own || formatPrefix(own) !== formatPrefix(subnet)) {
    throw new NetError(
      "invalid_argument",
      `Invalid field "subnet.cidr": "${
        formatPrefix(subnet)
      }" is not the subnet of this node, which ${
        own ? `is "${formatPrefix(own)}"` : "has none"
      }`,
    );
  }
  const expected = formatAddress(gatewayOf(own));
  if (gateway !== expected) {
    throw new NetError(
      "invalid_argument",
      `Invalid field "subnet.gateway": "${gateway}" is not the gateway of "${
        formatPrefix(own)
      }", which is "${expected}"`,
    );
  }
}

/**
 * Returns when a host has its bridge, with the gateway's address.
 *
 * @throws {NetError} `failed_precondition` when it has not
 */
export function checkBridged(checks: readonly Check[]): void {
  const failed = checks.find(({ name, status }) =>
    status === "failed" && (name === "bridge" || name === "gateway")
  );
  if (!failed) return;
  throw new NetError(
    "failed_precondition",
    `Cannot configure this host: ${failed.found}`,
  );
}
