import { parseCniArgs } from "./cni_args.ts";
import { CniError } from "./errors.ts";
import { parseCidr, parseIp } from "./ip_text.ts";
import {
  describe,
  invalidKey,
  type JsonObject,
  readObject,
  readStrings,
} from "./json.ts";

/**
 * The addresses that are asked for by number, without prefix lengths: those of
 * `CNI_ARGS`, else of `args.cni.ips`, else of `runtimeConfig.ips`. Empty: any
 * will do.
 *
 * @throws {CniError} `invalid_environment` or `invalid_config`
 */
export function parseRequestedIps(
  config: JsonObject,
  cniArgs: string,
): readonly string[] {
  // All three are read, so that a mistake in any of them shows.
  const fromArgs = parseCniArgs(cniArgs).map((text) =>
    withoutLength(text) ?? refuseArgs(text)
  );
  const args = readObject(config.args, "args");
  const lists = [
    readIps(readObject(args?.cni, "args.cni"), "args.cni.ips"),
    readIps(
      readObject(config.runtimeConfig, "runtimeConfig"),
      "runtimeConfig.ips",
    ),
  ];
  return [fromArgs, ...lists].find((ips) => ips.length > 0) ?? [];
}

function readIps(
  parent: JsonObject | undefined,
  path: string,
): readonly string[] {
  return (readStrings(parent?.ips, path) ?? []).map((text, index) => {
    const ip = withoutLength(text);
    if (ip !== undefined) return ip;
    throw invalidKey(`${path}[${index}]`, notAnAddress(text));
  });
}

function withoutLength(text: string): string | undefined {
  if (parseIp(text)) return text;
  return parseCidr(text) ? text.slice(0, text.indexOf("/")) : undefined;
}

function refuseArgs(text: string): never {
  throw new CniError(
    "invalid_environment",
    `Invalid variable CNI_ARGS: ${notAnAddress(text)}`,
  );
}

function notAnAddress(text: string): string {
  return `${
    describe(text)
  } is not an address, with or without a prefix length, such as "10.1.2.10"`;
}
