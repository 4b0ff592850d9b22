import { CniError } from "./errors.ts";
import { isObject, type JsonObject } from "../../base/json_reader.ts";
import { parseAddress } from "../../net/address.ts";
import {
  type InterfaceAddress,
  parseInterfaceAddress,
  parsePrefix,
  type Prefix,
} from "../../net/prefix.ts";
import type { Attachment } from "./config.ts";
import { describe, parsed } from "./json.ts";
import type { CniOwner } from "./names.ts";
import type { HeldAddress } from "./result.ts";

// The messages of stellar.net.v1.IpamService (proto/stellar/net/v1/ipam.proto)
// in the JSON of the Connect protocol. An empty node is the agent's own.

/** A call of the service: the method's name and its message. */
export interface AgentCall {
  readonly method:
    | "Allocate"
    | "Release"
    | "GetAllocation"
    | "ReleaseOthers"
    | "CheckReady";
  readonly message: JsonObject;
}

export function allocateCall(
  owner: CniOwner,
  options: {
    readonly addresses: readonly string[];
    readonly netns: string;
    /** Id of the ADD. */
    readonly id: string;
  },
): AgentCall {
  const { addresses, netns, id } = options;
  return {
    method: "Allocate",
    message: { owner, addresses, attachment: { netns }, id },
  };
}

export function releaseCall(
  owner: CniOwner,
  options: { readonly reason: string; readonly netns: string },
): AgentCall {
  const { reason, netns } = options;
  return {
    method: "Release",
    message: { owner, reason, attachment: { netns } },
  };
}

/** Undoes the ADD with an id, and nothing else. */
export function undoCall(
  owner: CniOwner,
  options: { readonly reason: string; readonly id: string },
): AgentCall {
  return { method: "Release", message: { owner, ...options } };
}

export function getAllocationCall(owner: CniOwner): AgentCall {
  return { method: "GetAllocation", message: { owner } };
}

export function releaseOthersCall(
  network: string,
  keep: readonly Attachment[],
): AgentCall {
  const message = keep.length > 0
    ? { network, keep }
    : { network, keepNone: true };
  return { method: "ReleaseOthers", message };
}

export function checkReadyCall(): AgentCall {
  return { method: "CheckReady", message: {} };
}

/**
 * Parses the addresses of the `allocation` of an answer.
 *
 * @throws {CniError} `io_failure` when the plugin does not understand the answer
 */
export function parseAllocation(answer: JsonObject): readonly HeldAddress[] {
  const { allocation } = answer;
  if (!isObject(allocation)) throw invalidAnswer("it has no allocation");
  const { addresses } = allocation;
  if (!Array.isArray(addresses) || addresses.length === 0) {
    throw invalidAnswer("its allocation has no addresses");
  }
  return addresses.map(parseHeldAddress);
}

export function parseHeldAddress(value: unknown): HeldAddress {
  const { address, subnet, gateway } = isObject(value) ? value : {};
  if (
    typeof address !== "string" || typeof subnet !== "string" ||
    typeof gateway !== "string" || !parsed(parseAddress, gateway)
  ) {
    throw invalidAnswer("an address, its subnet or its gateway is missing");
  }
  const prefix = parsed(parsePrefix, subnet);
  if (!prefix) throw invalidAnswer(`${describe(subnet)} is not a subnet`);
  return { ...withLength(address, prefix), gateway };
}

/** An address with the prefix length of its subnet. @throws {CniError} `io_failure` */
export function withLength(
  address: string,
  subnet: Prefix,
): { readonly text: string; readonly cidr: InterfaceAddress } {
  const text = `${address}/${subnet.length}`;
  const cidr = parsed(parseInterfaceAddress, text);
  if (cidr?.address.family === subnet.family) return { text, cidr };
  throw invalidAnswer(`${describe(address)} is not an address of its subnet`);
}

/** The error of an answer that the plugin does not understand. */
export function invalidAnswer(what: string): CniError {
  return new CniError("io_failure", `Cannot understand the answer: ${what}`);
}
