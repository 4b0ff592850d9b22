import { NetError } from "../base/error.ts";
import {
  type HostPrefix,
  parseInterfacePrefixes,
  parseRoutePrefixes,
} from "../routes/plan/ip_json.ts";
import type { CommandRunner } from "../system/command.ts";

/**
 * Reads the prefixes of this host's interfaces and routes, without default
 * routes and without the agent's own.
 *
 * @param protocol the mark of the agent's own routes
 * @throws {NetError} `unavailable` when `ip` is missing, fails, or prints what is not known
 */
export async function readHostPrefixes(
  runner: CommandRunner,
  protocol: number,
): Promise<HostPrefix[]> {
  const addresses = await runIp(runner, ["-json", "address", "show"]);
  const routes = [
    await runIp(runner, ["-N", "-json", "-4", "route", "show"]),
    await runIp(runner, ["-N", "-json", "-6", "route", "show"]),
  ];
  try {
    return [
      ...parseInterfacePrefixes(addresses),
      ...routes.flatMap((text) => parseRoutePrefixes(text, protocol)),
    ];
  } catch (cause) {
    if (!(cause instanceof SyntaxError)) throw cause;
    throw new NetError(
      "unavailable",
      `Cannot read this host's addresses and routes: ${cause.message}`,
      { cause },
    );
  }
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
