import type { AgentConfig, RouteMode } from "../config/config.ts";
import type { HostNetwork } from "./network.ts";

/**
 * What is done about this host's routes. Where the agent may not change them,
 * `auto` leaves them alone, and there is a warning.
 */
export async function resolveRouteMode(
  wanted: AgentConfig["routes"],
  network: HostNetwork,
): Promise<{ readonly mode: RouteMode; readonly warning: string }> {
  if (wanted !== "auto") return { mode: wanted, warning: "" };
  const { isNetAdmin } = await network.read(undefined);
  return isNetAdmin ? { mode: "apply", warning: "" } : {
    mode: "off",
    warning:
      'this host gets no routes to other nodes: the agent may not change them; run it as root, or with AmbientCapabilities=CAP_NET_ADMIN in its systemd unit, or say "--routes off"',
  };
}
