import { join } from "node:path";
import type { RunOptions, RunResult } from "../support/run.ts";

/** A network configuration list (CNI specification 1.0.0, section 1), as far as it is used. */
export interface CniList {
  readonly cniVersion: string;
  readonly name: string;
  readonly plugins: readonly {
    readonly type: string;
    readonly capabilities?: Readonly<Record<string, boolean>>;
  }[];
}

/** What the last plugin of a list answered to ADD, as far as it is used. */
export interface CniResult {
  readonly ips: readonly {
    /** With its prefix length. */
    readonly address: string;
    readonly gateway?: string;
  }[];
}

/** A container's interface, as a runtime describes it to plugins. */
export interface CniAttachment {
  readonly containerId: string;
  /** Path of the network namespace. */
  readonly netns: string;
  readonly interfaceName: string;
  /** `CNI_ARGS`, such as `IP=172.16.0.9`. Empty: none. */
  readonly args: string;
  /** What the plugins may be told, by capability. */
  readonly runtimeConfig: Readonly<Record<string, unknown>>;
}

/** Calls the plugins of a list in turn, as a container runtime does. */
export class CniRuntime {
  /** Folders with plugins, the first wins. */
  readonly #path: readonly string[];
  readonly #exec: (file: string, options: RunOptions) => Promise<RunResult>;

  constructor(
    path: readonly string[],
    exec: (file: string, options: RunOptions) => Promise<RunResult>,
  ) {
    this.#path = path;
    this.#exec = exec;
  }

  /**
   * Attaches a container. When a plugin fails, all are called with DEL.
   *
   * @throws {Error} with what the plugin answered
   */
  async add(list: CniList, to: CniAttachment): Promise<CniResult> {
    let result: CniResult = { ips: [] };
    let prevResult: unknown;
    try {
      for (const plugin of list.plugins) {
        const config = configOf(list, plugin, { ...to, prevResult });
        prevResult = JSON.parse(await this.#call("ADD", config, to));
        result = { ips: [], ...prevResult as object };
      }
      return result;
    } catch (error) {
      await this.delete(list, { ...to, prevResult }).catch(() => {});
      throw error;
    }
  }

  /**
   * Detaches a container.
   *
   * @throws {Error} with what the plugin answered
   */
  async delete(
    list: CniList,
    from: CniAttachment & { readonly prevResult: unknown },
  ): Promise<void> {
    for (const plugin of list.plugins.toReversed()) {
      await this.#call("DEL", configOf(list, plugin, from), from);
    }
  }

  async #call(
    verb: string,
    config: CniList["plugins"][number],
    { containerId, netns, interfaceName, args }: CniAttachment,
  ): Promise<string> {
    const { code, stdout, stderr } = await this.#exec(
      await this.#find(config.type),
      {
        env: {
          CNI_COMMAND: verb,
          CNI_CONTAINERID: containerId,
          CNI_NETNS: netns,
          CNI_IFNAME: interfaceName,
          CNI_ARGS: args,
          CNI_PATH: this.#path.join(":"),
        },
        stdin: JSON.stringify(config),
      },
    );
    if (code === 0) return stdout;
    throw new Error(
      `Cannot ${verb} ${containerId} with ${config.type}: ` +
        `exit code ${code}\n${stdout}${stderr}`.trim(),
    );
  }

  async #find(plugin: string): Promise<string> {
    for (const dir of this.#path) {
      const file = join(dir, plugin);
      if (await Deno.stat(file).then(() => true, () => false)) return file;
    }
    throw new Error(
      `Cannot find the CNI plugin "${plugin}": it is not in ${
        this.#path.join(" or ")
      }; on Debian: apt-get install containernetworking-plugins`,
    );
  }
}

/** What one plugin of a list reads (CNI specification 1.0.0, section 3). */
function configOf(
  { cniVersion, name }: CniList,
  plugin: CniList["plugins"][number],
  { runtimeConfig, prevResult }: {
    readonly runtimeConfig: Readonly<Record<string, unknown>>;
    readonly prevResult: unknown;
  },
): CniList["plugins"][number] {
  const { capabilities = {}, ...rest } = plugin;
  const wanted = Object.entries(runtimeConfig)
    .filter(([capability]) => capabilities[capability]);
  return {
    ...rest,
    ...{ cniVersion, name },
    ...wanted.length > 0 && { runtimeConfig: Object.fromEntries(wanted) },
    ...prevResult !== undefined && { prevResult },
  };
}
