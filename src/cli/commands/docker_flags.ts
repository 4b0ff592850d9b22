import type { AgentConfig } from "../../config/config.ts";
import type { Call } from "../framework/call.ts";
import {
  type Flag,
  type FlagWithDefault,
  switchFlag,
} from "../framework/flag.ts";
import { parsePath } from "../framework/parsers.ts";

// The agent's flags for Docker, in the order of its help.

const DOCKER: Flag<boolean> = switchFlag(
  "docker",
  "give Docker's containers addresses, as an IPAM driver",
);

const DOCKER_PLUGIN: FlagWithDefault<string> = {
  name: "docker-plugin",
  value: "PATH",
  description: "socket of the IPAM driver, where Docker looks for plugins",
  default: "/run/docker/plugins/stellar-net.sock",
  completion: "file",
  parse: parsePluginPath,
};

export const DOCKER_API: FlagWithDefault<string> = {
  name: "docker-api",
  value: "PATH|off",
  description:
    "Docker's socket, to name containers and to find addresses that Docker forgot; off asks nothing",
  default: "/run/docker.sock",
  completion: "file",
  parse: (text) => text === "off" ? text : parsePath(text),
};

export const DOCKER_FLAGS: readonly Flag<unknown>[] = [
  DOCKER,
  DOCKER_PLUGIN,
  DOCKER_API,
];

/** Reads the flags for Docker. */
export function readDocker(call: Call): AgentConfig["docker"] {
  // A wrong value is an error also where it has no effect.
  const pluginPath = call.value(DOCKER_PLUGIN);
  const api = call.value(DOCKER_API);
  if (!call.value(DOCKER)) return undefined;
  return { pluginPath, apiPath: api === "off" ? undefined : api };
}

/** Docker names a driver by the file of its socket. */
function parsePluginPath(text: string): string {
  if (/\/[a-z][a-z0-9-]{0,62}\.sock$/.test(text)) return parsePath(text);
  throw new RangeError(
    `${
      JSON.stringify(text)
    } is not valid: it has to end with the driver's name and ".sock", such as "/run/docker/plugins/stellar-net.sock"`,
  );
}
