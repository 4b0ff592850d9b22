import { takeDown } from "../host/take_down.ts";
import { BUILD } from "../build/build_info.ts";
import type { InstallIo } from "../install/port.ts";
import {
  DenoCommandFollower,
  DenoCommandRunner,
} from "../system/deno_command.ts";
import { DenoHostFiles } from "../install/deno_host_files.ts";
import { IpRoutes } from "../routes/ip_routes.ts";
import { LinuxHostNetwork } from "../host/linux_network.ts";
import { Systemd } from "../install/systemd.ts";
import { executable } from "./process.ts";

/** Time for systemd to stop a service and start it, in ms. */
const SERVICE_TIMEOUT_MS = 150_000;

/** Makes the ports of install and uninstall. */
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
