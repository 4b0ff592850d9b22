import { join } from "node:path";
import {
  DEBIAN_PLUGINS,
  installPlugin,
  type InstallPluginOptions,
  must,
} from "./cni_plugin.ts";
import { run, type RunResult } from "./run.ts";

/** A call of a plugin for a container. */
export interface ContainerCall {
  readonly containerId: string;
  /** Default `eth0`. */
  readonly interfaceName?: string;
  /** The network configuration. */
  readonly config: unknown;
  /** The plugin. Default `bridge`. */
  readonly plugin?: string;
  readonly env?: Readonly<Record<string, string>>;
}

/**
 * A host in a network namespace of its own, with containers that are network
 * namespaces too. Nothing of it reaches this machine's own network. Disposing
 * of it removes them all.
 */
export class CniHost implements AsyncDisposable {
  /** The host's namespace. */
  readonly netns: string;
  /** Folder with this project's plugin, under both of its names. */
  readonly pluginDir: string;
  readonly #prefix: string;

  private constructor(prefix: string, pluginDir: string) {
    this.#prefix = prefix;
    this.netns = `${prefix}-host`;
    this.pluginDir = pluginDir;
  }

  /** Makes a host, and installs the plugin as an operator would. */
  static async create(
    options: InstallPluginOptions = {},
  ): Promise<CniHost> {
    const random = crypto.getRandomValues(new Uint8Array(3)).toHex();
    const dir = await Deno.makeTempDir({ prefix: "stellar-net-cni-" });
    const host = new CniHost(`stn-${random}`, dir);
    try {
      await installPlugin(dir, options);
      await host.#batch([`netns add ${host.netns}`]);
      await host.exec("ip", ["link", "set", "lo", "up"]);
      return host;
    } catch (error) {
      await host[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** The namespace of a container. */
  netnsOf(containerId: string): string {
    return `${this.#prefix}-${containerId}`;
  }

  /** Makes the namespaces of containers. */
  async addContainers(ids: readonly string[]): Promise<void> {
    await this.#batch(ids.map((id) => `netns add ${this.netnsOf(id)}`));
  }

  /** Removes the namespaces of containers. */
  async removeContainers(ids: readonly string[]): Promise<void> {
    await this.#batch(ids.map((id) => `netns del ${this.netnsOf(id)}`));
  }

  /** Runs a program in the host's namespace, or in a container's. */
  async exec(
    program: string,
    args: readonly string[],
    options: {
      readonly in?: string;
      readonly env?: Readonly<Record<string, string>>;
      readonly stdin?: string;
    } = {},
  ): Promise<RunResult> {
    const { in: netns = this.netns, ...rest } = options;
    return await run("ip", ["netns", "exec", netns, program, ...args], {
      timeoutMs: 120_000,
      ...rest,
    });
  }

  /** Calls a plugin as a container runtime does. */
  async call(verb: string, call: ContainerCall): Promise<RunResult> {
    const { containerId, interfaceName = "eth0", plugin = "bridge" } = call;
    return await this.exec(join(this.#folderOf(plugin), plugin), [], {
      env: {
        CNI_COMMAND: verb,
        CNI_CONTAINERID: containerId,
        CNI_IFNAME: interfaceName,
        CNI_NETNS: `/run/netns/${this.netnsOf(containerId)}`,
        CNI_PATH: `${this.pluginDir}:${DEBIAN_PLUGINS}`,
        ...call.env,
      },
      stdin: JSON.stringify(call.config),
    });
  }

  /** Whether an address answers to a container within some tries. */
  async pings(containerId: string, address: string): Promise<boolean> {
    const { code } = await this.exec(
      "busybox",
      ["ping", "-c", "1", "-w", "5", address],
      { in: this.netnsOf(containerId) },
    );
    return code === 0;
  }

  /** The names of the interfaces in the host's namespace. */
  async links(): Promise<string[]> {
    const { stdout } = await this.exec("ip", ["-json", "link", "show"]);
    return JSON.parse(stdout).map((link: { ifname: string }) => link.ifname);
  }

  /** The namespaces of this host and its containers that are there. */
  async namespaces(): Promise<string[]> {
    const { stdout } = await must("ip", ["netns", "list"]);
    return stdout.split("\n").map((line) => line.split(" ")[0]!)
      .filter((name) => name.startsWith(`${this.#prefix}-`));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const names = await this.namespaces();
    await this.#batch(names.map((name) => `netns del ${name}`));
    await Deno.remove(this.pluginDir, { recursive: true });
  }

  #folderOf(plugin: string): string {
    return plugin.startsWith("stellar") ? this.pluginDir : DEBIAN_PLUGINS;
  }

  async #batch(lines: readonly string[]): Promise<void> {
    if (lines.length === 0) return;
    await must("ip", ["-batch", "-"], `${lines.join("\n")}\n`);
  }
}
