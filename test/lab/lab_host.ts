import { join } from "node:path";
import { type CniAttachment, type CniList, CniRuntime } from "./cni_list.ts";
import { LabAgent } from "./lab_agent.ts";
import { LabContainer } from "./lab_container.ts";
import { labDir, labNetns, labPluginDir } from "./lab_folder.ts";
import type { LabImage } from "./lab_image.ts";
import { addNetns, ipBatch, netnsPath, removeNetns } from "./netns.ts";
import { PLUGIN_DIRS } from "./requirements.ts";
import type { RunOptions, RunResult } from "../support/run.ts";
import { waitFor } from "../support/wait_for.ts";
import { Station } from "./station.ts";

/** Name of a host's interface. */
const INTERFACE = "eth0";

/** The flags of a host's agent, besides the node's name, the state and the socket. */
export type AgentFlags = (host: LabHost) => readonly string[];

export interface AddContainerOptions {
  /** Pairs for `CNI_ARGS`, such as `IP=172.16.0.9`. Default: none. */
  readonly args?: readonly string[];
  /** What the plugins may be told, by capability. Default: nothing. */
  readonly runtimeConfig?: Readonly<Record<string, unknown>>;
}

export interface LabHostOptions {
  /** Id of the lab. */
  readonly lab: string;
  /** From 1 on. */
  readonly number: number;
  readonly agentFlags: AgentFlags;
  readonly image: LabImage;
}

/** The IPv4 address of a host, out of a block set aside for benchmarks (RFC 2544). */
export function labAddress(number: number): string {
  return `198.18.0.${10 + number}`;
}

/** What `stellar-net status --json` tells, as far as it is used here. */
export interface LabStatus {
  readonly subnets: readonly { readonly cidr: string }[];
  readonly registry: {
    readonly state: string;
    readonly problem: string | null;
  };
  /** `cluster`, `given` or `none`. */
  readonly security: string;
  /** When its certificate ends; null for none. */
  readonly certificateUntil: string | null;
  readonly warnings: readonly string[];
  readonly notes: readonly string[];
}

/** A host of a lab: a network namespace with a cable to the switch, an agent, and containers. */
export class LabHost extends Station {
  readonly number: number;
  /** Its IPv4 address. The first host has 198.18.0.11. */
  readonly address: string;
  /** Its IPv6 address, likewise (RFC 5180). The first host has 2001:2::11. */
  readonly address6: string;
  /** Folder of its files. */
  readonly dir: string;
  /** Folder with this project's CNI plugin. */
  readonly pluginDir: string;
  readonly agent: LabAgent;
  readonly #image: LabImage;
  readonly #lab: string;
  readonly #switch: string;
  readonly #containers = new Map<string, LabContainer>();
  #list: Promise<CniList> | undefined;

  constructor({ lab, number, agentFlags, image }: LabHostOptions) {
    super(`host${number}`, labNetns(lab, `host${number}`));
    this.number = number;
    this.address = labAddress(number);
    this.address6 = `2001:2::${10 + number}`;
    this.dir = join(labDir(lab), this.name);
    this.#image = image;
    this.#lab = lab;
    this.#switch = labNetns(lab, "switch");
    this.pluginDir = labPluginDir(lab);
    this.agent = new LabAgent({
      node: this.name,
      netns: this.netns,
      dir: this.dir,
      flags: agentFlags(this),
      image,
    });
  }

  /** `stellar-net` is found here, and finds the agent. */
  override get env(): Readonly<Record<string, string>> {
    return {
      ...this.#image.env,
      PATH: `${this.pluginDir}:${this.#image.path}`,
      STELLAR_NET_SOCKET: this.agent.socketPath,
    };
  }

  override exec(
    command: string,
    args: readonly string[] = [],
    options: RunOptions = {},
  ): Promise<RunResult> {
    const [first, ...others] = this.#image.within([command, ...args]);
    return super.exec(first!, others, options);
  }

  /** Its containers by name. */
  get containers(): ReadonlyMap<string, LabContainer> {
    return this.#containers;
  }

  /** @throws {RangeError} when it has no container of that name */
  container(label: string): LabContainer {
    const container = this.#containers.get(label);
    if (container) return container;
    throw new RangeError(
      `"${label}" is no container of ${this.name}: it has ${
        [...this.#containers.keys()].join(", ") || "none"
      }`,
    );
  }

  /** Makes its namespace, and its cable to the switch. Links are born where they belong. */
  async build(): Promise<void> {
    await Deno.mkdir(this.dir, { mode: 0o700 });
    await addNetns(this.netns);
    // As on a fresh host, whatever this machine does.
    await this.must("sh", ["-c", "echo 0 >/proc/sys/net/ipv4/ip_forward"]);
    await ipBatch(this.#switch, [
      `link add ${this.name} type veth peer name ${INTERFACE} netns ${this.netns}`,
      `link set ${this.name} master br0 up`,
    ]);
    await ipBatch(this.netns, [
      `address add ${this.address}/24 dev ${INTERFACE}`,
    ]);
    await this.linkUp();
  }

  /** What its agent says of itself. */
  status(): Promise<LabStatus> {
    return this.ask("status");
  }

  /** What `stellar-net` answers here with `--json`. Words are separated by spaces. */
  async ask<T>(words: string): Promise<T> {
    const args = [...words.split(" "), "--json"];
    return JSON.parse(await this.must("stellar-net", args));
  }

  /** The agent's routes in the kernel, such as `172.16.4.0/22 via 198.18.0.12`, sorted. */
  async routes(): Promise<readonly string[]> {
    const both = "ip route show proto 83; ip -6 route show proto 83";
    const shown = await this.must("sh", ["-c", both]);
    return (shown.match(/^\S+ via \S+/gm) ?? []).sort();
  }

  /** Waits until its agent has a subnet and knows the cluster, and returns the subnets. */
  async joined(): Promise<readonly string[]> {
    let subnets: readonly string[] = [];
    await waitFor(`${this.name} to join`, async () => {
      const status = await this.status();
      const { state } = status.registry;
      subnets = status.subnets.map(({ cidr }) => cidr);
      return (state === "joined" || state === "hosted") && subnets.length > 0;
    });
    return subnets;
  }

  /** Switches its interface off. The kernel drops the routes through it. */
  async linkDown(): Promise<void> {
    await ipBatch(this.netns, [`link set ${INTERFACE} down`]);
  }

  /** Switches its interface on. It has its addresses again, as network set-ups see to. */
  async linkUp(): Promise<void> {
    await ipBatch(this.netns, [
      `link set ${INTERFACE} up`,
      // The kernel drops IPv6 addresses with the link, unlike IPv4 ones.
      `address replace ${this.address6}/64 dev ${INTERFACE} nodad`,
    ]);
  }

  /** Pulls its cable out at the switch. The kernel keeps the routes. */
  async unplug(): Promise<void> {
    await ipBatch(this.#switch, [`link set ${this.name} down`]);
  }

  /** Lets the switch's port of its cable pass no larger packets, and report none. Default: 1500 bytes. */
  async narrow(mtuBytes = 1500): Promise<void> {
    await ipBatch(this.#switch, [`link set ${this.name} mtu ${mtuBytes}`]);
  }

  /** Puts its cable in again. */
  async plug(): Promise<void> {
    await ipBatch(this.#switch, [`link set ${this.name} up`]);
  }

  /**
   * Makes a container and attaches it with the CNI plugins, as a container
   * runtime does. The agent has to serve.
   *
   * @throws {Error} with what the plugin answered; nothing is left then
   */
  async addContainer(
    label: string,
    options: AddContainerOptions = {},
  ): Promise<LabContainer> {
    if (this.#containers.has(label)) {
      throw new Error(`Cannot add ${this.name}/${label}: it is there`);
    }
    const to = this.#attachment(label, options);
    const netns = this.#containerNetns(label);
    const list = await this.conflist();
    await addNetns(netns);
    try {
      const result = await this.#runtime().add(list, to);
      return this.adopt(
        new LabContainer({ label, host: this.name, netns, result }),
      );
    } catch (error) {
      await removeNetns([netns]);
      throw error;
    }
  }

  /**
   * Detaches a container and removes it, its processes included.
   *
   * @throws {Error} with what the plugin answered; it is removed all the same
   */
  async removeContainer(label: string): Promise<void> {
    const { netns, result } = this.container(label);
    try {
      await this.#runtime().delete(await this.conflist(), {
        ...this.#attachment(label, {}),
        prevResult: result,
      });
    } finally {
      await removeNetns([netns]);
      this.#containers.delete(label);
    }
  }

  /** Takes a container for its own that was attached before. */
  adopt(container: LabContainer): LabContainer {
    this.#containers.set(container.label, container);
    return container;
  }

  #containerNetns(label: string): string {
    return labNetns(this.#lab, `${this.name}-${label}`);
  }

  #attachment(label: string, options: AddContainerOptions): CniAttachment {
    const { args = [], runtimeConfig = {} } = options;
    const netns = this.#containerNetns(label);
    return {
      containerId: netns,
      netns: netnsPath(netns),
      interfaceName: "eth0",
      // As runtimes do: the bridge plugin knows none of the others.
      args: ["IgnoreUnknown=1", ...args].join(";"),
      runtimeConfig,
    };
  }

  #runtime(): CniRuntime {
    return new CniRuntime(
      [this.pluginDir, ...PLUGIN_DIRS],
      (file, options) => this.exec(file, [], options),
    );
  }

  /** What `cni config` prints on this host, read once. */
  conflist(): Promise<CniList> {
    const read = async () =>
      JSON.parse(
        await this.must("stellar-net", [
          ...["cni", "config", "--plugin-dir", this.pluginDir],
        ]),
      ) as CniList;
    return this.#list ??= read().catch((error) => {
      this.#list = undefined;
      throw error;
    });
  }
}
