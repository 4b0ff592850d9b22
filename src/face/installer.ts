import { takeDown } from "../agent/take_down.ts";
import { BUILD } from "../build/build_info.ts";
import type { InstallIo } from "../cli/install_io.ts";
import { DenoCommandRunner } from "../host/deno_command.ts";
import { DenoCommandFollower } from "../host/deno_command_follower.ts";
import { DenoHostFiles } from "../host/deno_host_files.ts";
import { IpRoutes } from "../host/ip_routes.ts";
import { LinuxHostNetwork } from "../host/linux_host_network.ts";
import { Systemd } from "../host/systemd.ts";
import { executable } from "./environment.ts";

/** How long systemd may take to stop a service and to start it, in ms. */
const SERVICE_TIMEOUT_MS = 150_000;

/** Makes what installing needs. */
export function createInstaller(): InstallIo {
  const tools = {
    runner: new DenoCommandRunner(),
    follower: new DenoCommandFollower(),
  };
  return {
    programPath: BUILD.kind === "sources" ? undefined : executable(),
    filesAt: (root) => new DenoHostFiles(root),
    services: new Systemd(
      new DenoCommandRunner({ timeoutMs: SERVICE_TIMEOUT_MS }),
    ),
    takeDown: (options) =>
      takeDown({
        ...options,
        routes: new IpRoutes(tools),
        network: new LinuxHostNetwork(tools),
      }),
  };
}
