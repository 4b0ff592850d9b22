import { parseOutput } from "../cli/commands/cni_calls.ts";
import type { LabHost } from "./lab_host.ts";

/** How the plugin ended: its exit code, and the code and message of its error. */
export type PluginEnd = readonly [exit: number, code: unknown, message: string];

/** Calls this project's plugin alone on a host, as the `bridge` plugin does, for a container that is not there. */
export async function callPlugin(
  host: LabHost,
  verb: string,
): Promise<PluginEnd> {
  const config = {
    cniVersion: "1.1.0",
    name: "stellar",
    ipam: { type: "stellar-net", socket: host.agent.socketPath },
  };
  const { code, stdout } = await host.exec("stellar-net", [], {
    env: {
      CNI_COMMAND: verb,
      CNI_CONTAINERID: "late",
      CNI_IFNAME: "eth0",
      CNI_NETNS: "/proc/self/ns/net",
    },
    stdin: JSON.stringify(config),
  });
  const output = parseOutput(stdout);
  return [code, output?.["code"], `${output?.["msg"]}`];
}
