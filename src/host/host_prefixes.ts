import { NetError } from "../error.ts";
import {
  type HostPrefix,
  parseInterfacePrefixes,
  parseRoutePrefixes,
} from "../route/ip_json.ts";
import type { CommandRunner } from "./command.ts";

/** The routing protocol number by which the agent knows its own kernel routes. */
export const ROUTE_PROTOCOL = 83;

/**
 * Reads the prefixes of this host's interfaces and routes, without default
 * routes and without the agent's own.
 *
 * @throws {NetError} `unavailable` when `ip` is missing or fails
 */
export async function readHostPrefixes(
  runner: CommandRunner,
): Promise<HostPrefix[]> {
  const addresses = await runIp(runner, ["-json", "address", "show"]);
  const routes = [
    await runIp(runner, ["-json", "-4", "route", "show"]),
    await runIp(runner, ["-json", "-6", "route", "show"]),
  ];
  return [
    ...parseInterfacePrefixes(addresses),
    ...routes.flatMap((text) => parseRoutePrefixes(text, ROUTE_PROTOCOL)),
  ];
}

async function runIp(
  runner: CommandRunner,
  args: readonly string[],
): Promise<string> {
  const { code, stdout, stderr } = await runner.run({ program: "ip", args });
  if (code === 0) return stdout;
  throw new NetError(
    "unavailable",
    `Cannot read this host's addresses and routes: "ip ${
      args.join(" ")
    }" failed: ${stderr.trim()}`,
  );
}
