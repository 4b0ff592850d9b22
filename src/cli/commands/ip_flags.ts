import {
  parseContainerId,
  parseInterfaceName,
  parseLabels,
  parseNetworkName,
  parseNodeName,
} from "../../base/names.ts";
import { quote } from "../../net/address.ts";
import {
  type Flag,
  type FlagWithDefault,
  type Operand,
  switchFlag,
} from "../framework/flag.ts";
import { parseAddressText, parseDuration } from "../framework/parsers.ts";

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

export const LABEL: Flag<readonly [key: string, value: string]> = {
  name: "label",
  value: "KEY=VALUE",
  description: "label to keep with the addresses",
  repeatable: true,
  parse: parseLabel,
};

export const WITH_LABEL: typeof LABEL = {
  ...LABEL,
  description: "only addresses with this label",
};

function parseLabel(text: string): readonly [key: string, value: string] {
  const end = text.indexOf("=");
  if (end === -1) {
    throw new RangeError(
      `${quote(text)} is not a label: write KEY=VALUE, such as "app=web"`,
    );
  }
  const label = [text.slice(0, end), text.slice(end + 1)] as const;
  parseLabels(Object.fromEntries([label]));
  return label;
}

export const TTL: Flag<number> = {
  name: "ttl",
  value: "DURATION",
  description:
    "release the addresses when no keep-alive of the API has come for this long, 1s to 30d",
  defaultNote: "never",
  parse: parseTimeToLive,
};

function parseTimeToLive(text: string): number {
  const ms = parseDuration(text);
  if (ms >= 1_000 && ms <= 30 * 86_400_000) return ms;
  throw new RangeError(`${quote(text)} is not "1s" to "30d"`);
}

export const DRY_RUN = switchFlag(
  "dry-run",
  "check everything and show the outcome, but change nothing",
);
