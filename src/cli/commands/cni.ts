import { formatConflist } from "../../cni/text/conflist.ts";
import { parseInterfaceName, parseNetworkName } from "../../base/names.ts";
import { parseAddress } from "../../net/address.ts";
import type { Call, CommandSpec, GroupSpec } from "../framework/call.ts";
import type { AgentClients } from "../framework/client.ts";
import {
  type Flag,
  type FlagWithDefault,
  switchFlag,
} from "../framework/flag.ts";
import { parsePath } from "../framework/parsers.ts";
import { CLIENT_FLAGS, JSON_OUTPUT, SOCKET } from "../framework/target.ts";

/** The plugin's file names: its own, and that of Stellar's plugin. */
export const PLUGIN_NAMES: readonly string[] = [
  "stellar-net",
  "stellar-cni-ipam",
];

export const PLUGIN_DIR: Flag<string> = {
  name: "plugin-dir",
  value: "DIR",
  description: "folder of the CNI plugins",
  defaultNote: "the folder that has the bridge plugin, else /opt/cni/bin",
  completion: "directory",
  parse: parsePath,
};

const LINK = switchFlag(
  "link",
  "use this program where it is, instead of a copy",
);

export const NAME: FlagWithDefault<string> = {
  name: "name",
  value: "NAME",
  description: "name of the container network",
  default: "stellar",
  parse: parseNetworkName,
};

export const BRIDGE: FlagWithDefault<string> = {
  name: "bridge",
  value: "NAME",
  description: "bridge of the containers",
  default: "stellar0",
  parse: parseInterfaceName,
};

const INSTALL: CommandSpec = {
  name: "install",
  summary: "Install the plugin in the folder of the CNI plugins",
  action: "install the CNI plugin",
  flags: [PLUGIN_DIR, LINK, SOCKET, JSON_OUTPUT],
  examples: [
    "stellar-net cni install",
    "stellar-net cni install --plugin-dir /usr/lib/cni",
  ],
  run: async (call) => {
    const dir = await pluginDir(call);
    const link = call.value(LINK) ?? false;
    const { cni } = call.io;
    await cni.install({
      ...{ dir, link },
      names: PLUGIN_NAMES,
      // A runtime runs the plugin in any working directory.
      socketPath: cni.absolutePath(call.value(SOCKET)),
    });
    const installed = PLUGIN_NAMES.map((name) => `${dir}/${name}`);
    call.answer(
      { installed, link },
      installed.map((path) => `${link ? "Linked" : "Copied to"} ${path}`),
    );
    if (!await call.io.cni.hasPlugin(dir, "bridge")) {
      call.note(
        `"${dir}" has no bridge plugin: install the CNI plugins of your distribution too`,
      );
    }
  },
};

const CONFIG: CommandSpec = {
  name: "config",
  summary: "Print a network configuration list for this node",
  action: "print a network configuration list",
  flags: [
    NAME,
    BRIDGE,
    PLUGIN_DIR,
    ...CLIENT_FLAGS.filter((flag) => flag !== JSON_OUTPUT),
  ],
  examples: [
    "stellar-net cni config",
    "stellar-net cni config --name pods --bridge br-pods",
  ],
  run: async (call) => {
    const { cni, stdout } = call.io;
    const options = {
      name: call.value(NAME),
      bridge: call.value(BRIDGE),
      // A runtime runs the plugin in any working directory.
      socketPath: cni.absolutePath(call.value(SOCKET)),
    };
    const dir = await pluginDir(call);
    stdout(formatConflist({
      ...options,
      families: await readFamilies(call.clients()),
      mtuBytes: await cni.uplinkMtu(),
      hasPortmap: await cni.hasPlugin(dir, "portmap"),
    }));
    call.note(
      'Save it as a file such as "/etc/cni/net.d/10-stellar.conflist"',
    );
  },
};

export const CNI: GroupSpec = {
  name: "cni",
  summary: "Set up the CNI plugin of this node",
  commands: [INSTALL, CONFIG],
};

async function pluginDir(call: Call): Promise<string> {
  return call.value(PLUGIN_DIR) ?? await call.io.cni.findPluginDir();
}

/** The families of the cluster's networks. */
export async function readFamilies(
  { registry }: AgentClients,
): Promise<(4 | 6)[]> {
  const { networks } = await registry.listNetworks({});
  return networks.map(({ cidr }) => parseAddress(cidr.split("/")[0]!).family);
}
