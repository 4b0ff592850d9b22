import {
  parseContainerId,
  parseInterfaceName,
  parseNetworkName,
  parseNodeName,
} from "../../base/names.ts";
import type { Flag, FlagWithDefault, Operand } from "../framework/flag.ts";
import { parseAddressText } from "../framework/parsers.ts";

export const CONTAINER_ID: Operand<string> = {
  name: "CONTAINER_ID",
  description: "id of the container, or any unique name",
  parse: parseContainerId,
};

export const NODE: Flag<string> = {
  name: "node",
  value: "NAME",
  description: "name of the node",
  completion: "node",
  defaultNote: "the agent's own",
  parse: parseNodeName,
};

export const NETWORK_NAME: FlagWithDefault<string> = {
  name: "network-name",
  value: "NAME",
  description: "name of the container network",
  default: "default",
  parse: parseNetworkName,
};

export const ANY_NETWORK_NAME: Flag<string> = {
  name: "network-name",
  value: "NAME",
  description: "name of the container network",
  defaultNote: "the one in which the container holds addresses",
  parse: parseNetworkName,
};

export const CONTAINER_IDS: Operand<string> = {
  ...CONTAINER_ID,
  name: `${CONTAINER_ID.name}...`,
  description: "ids of the containers",
};

export const INTERFACE: FlagWithDefault<string> = {
  name: "interface",
  value: "NAME",
  description: "name of the interface in the container",
  default: "eth0",
  parse: parseInterfaceName,
};

export const ADDRESS: Flag<string> = {
  name: "address",
  value: "ADDRESS",
  description: "request this address, at most one per network",
  repeatable: true,
  parse: parseAddressText,
};
