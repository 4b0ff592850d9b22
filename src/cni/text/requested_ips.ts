import type { JsonObject, JsonReader } from "../../base/json_reader.ts";
import { parseAddress } from "../../net/address.ts";
import { parseInterfaceAddress } from "../../net/prefix.ts";
import { CniError } from "./errors.ts";
import { describe, invalidKey, parsed, readConfig } from "./json.ts";

const TRUE = /^(?:1|true)$/i;
const FALSE = /^(?:0|false)$/i;

/**
 * The addresses that the caller requests, without prefix lengths: those of
 * `CNI_ARGS`, else of `args.cni.ips`, else of `runtimeConfig.ips`. Empty: any
 * will do.
 *
 * @throws {CniError} `invalid_environment` or `invalid_config`
 */
export function parseRequestedIps(
  config: JsonObject,
  cniArgs: string,
): readonly string[] {
  // It reads all three, so that a mistake in any of them shows.
  const fromArgs = parseCniArgs(cniArgs).map((text) =>
    withoutLength(text) ?? refuseArgs(text)
  );
  const reader = readConfig(config);
  const lists = [
    readIps(reader.optionalObject("args")?.optionalObject("cni")),
    readIps(reader.optionalObject("runtimeConfig")),
  ];
  return [fromArgs, ...lists].find((ips) => ips.length > 0) ?? [];
}

function readIps(parent: JsonReader | undefined): readonly string[] {
  return (parent?.optionalTexts("ips") ?? []).map((text, index) => {
    const ip = withoutLength(text);
    if (ip !== undefined) return ip;
    throw invalidKey(`${parent!.pathOf("ips")}[${index}]`, notAnAddress(text));
  });
}

function withoutLength(text: string): string | undefined {
  if (parsed(parseAddress, text)) return text;
  return parsed(parseInterfaceAddress, text)
    ? text.slice(0, text.indexOf("/"))
    : undefined;
}

function refuseArgs(text: string): never {
  throw invalidArgs(notAnAddress(text));
}

function notAnAddress(text: string): string {
  return `${
    describe(text)
  } is not an address, with or without a prefix length, such as "10.1.2.10"`;
}

/**
 * Parses `CNI_ARGS` (`KEY=VALUE;KEY=VALUE`) for the requested addresses: the
 * texts of `IP`, separated by commas.
 *
 * Keys other than `IP` and `IgnoreUnknown` are refused unless `IgnoreUnknown`
 * is true.
 *
 * @throws {CniError} `invalid_environment`
 */
export function parseCniArgs(text: string): readonly string[] {
  if (text === "") return [];
  const args = new Map<string, string>();
  for (const pair of text.split(";")) {
    const parts = pair.split("=");
    if (parts.length !== 2 || parts[0] === "") {
      throw invalidArgs(`${describe(pair)} is not KEY=VALUE`);
    }
    const [key, value] = parts as [string, string];
    if (args.has(key)) throw invalidArgs(`${describe(key)} is there twice`);
    args.set(key, value);
  }
  const ignore = parseSwitch(args.get("IgnoreUnknown"));
  const unknown = [...args.keys()]
    .filter((key) => key !== "IP" && key !== "IgnoreUnknown");
  if (unknown.length > 0 && !ignore) {
    throw invalidArgs(
      `${unknown.map(describe).join(", ")} ${
        unknown.length === 1 ? "is" : "are"
      } not known: leave it out, or add IgnoreUnknown=1`,
    );
  }
  const ips = args.get("IP") ?? "";
  return ips === "" ? [] : ips.split(",");
}

function parseSwitch(text: string | undefined): boolean {
  if (text === undefined || FALSE.test(text)) return false;
  if (TRUE.test(text)) return true;
  throw invalidArgs(
    `${describe(text)} for IgnoreUnknown is none of 1, true, 0, false`,
  );
}

function invalidArgs(what: string): CniError {
  return new CniError(
    "invalid_environment",
    `Invalid variable CNI_ARGS: ${what}`,
  );
}
