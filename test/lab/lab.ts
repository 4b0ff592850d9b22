import { allDone } from "../support/all_done.ts";
import { installPlugin } from "../support/cni_plugin.ts";
import { waitFor, type WaitOptions } from "../support/wait_for.ts";
import { claimLab, labDir, labNetns, labPluginDir } from "./lab_folder.ts";
import { removeLab, removeLeftovers } from "./lab_folder.ts";
import { type AgentFlags, labAddress, LabHost } from "./lab_host.ts";
import { bareImage, type LabImage, SOURCES } from "./lab_image.ts";
import { addNetns, ipBatch } from "./netns.ts";
import { assertPossible } from "./requirements.ts";
import { Station } from "./station.ts";

export interface LabOptions {
  /** How many hosts, at most 200. Default 2. */
  readonly hosts?: number;
  /** Flags of the agents, besides the node's name, the state and the socket. Default: clusterFlags. */
  readonly agentFlags?: AgentFlags;
  /** Whether the hosts know each other by certificates: secureFlags are the default then. Default false. */
  readonly secure?: boolean;
  /** Whether the agents are started, and have their subnets. Default true. */
  readonly startAgents?: boolean;
  /** An executable that hosts have in place of the sources, and of a runtime. */
  readonly executable?: string;
  /** Its id. Default: one that says which process it belongs to, and goes with that. */
  readonly id?: string;
}

const MAX_HOSTS = 200;

/** Where the switch hands frames from one port to another (nft(8)). */
const FORWARD = "{ type filter hook forward priority 0; }";

/**
 * The flags of agents that are one cluster: the first host has the registry,
 * and the others join it.
 */
export function clusterFlags({ number, address, address6 }: LabHost): string[] {
  const flags = ["--listen", `${address}:9000`, "--insecure"]
    .concat("--routes", "apply")
    .concat("--advertise", address, "--advertise", address6);
  return number === 1 ? flags : [...flags, "--join", labUrl(1)];
}

/** The file that the agent of a host of a secure lab finds its token in. */
export function tokenPath({ dir }: LabHost): string {
  return `${dir}/token`;
}

/**
 * The flags of agents that are one cluster and know each other by its
 * certificates: {@linkcode Lab.admit} makes the tokens.
 */
export function secureFlags(host: LabHost): string[] {
  const flags = clusterFlags(host).filter((word) => word !== "--insecure")
    .map((word) => word.replace("http:", "https:"));
  return host.number === 1
    ? flags
    : [...flags, "--token-file", tokenPath(host)];
}

/** The URL of the agent of a host. */
export function labUrl(number: number): string {
  return `http://${labAddress(number)}:9000`;
}

/**
 * Hosts on one switch, all of them network namespaces of this machine, with an
 * agent each. They reach each other and nothing else, and nothing reaches them:
 * the machine's own network is not touched. Disposing of a lab removes it.
 *
 * What a process leaves behind when it is killed is removed by the next lab.
 */
export class Lab implements AsyncDisposable {
  readonly id: string;
  /** Folder of its files. */
  readonly dir: string;
  readonly hosts: readonly LabHost[];
  readonly #image: LabImage;
  readonly #switch: Station;

  constructor(id: string, options: LabOptions = {}) {
    const { hosts = 2, secure = false, executable } = options;
    const { agentFlags = secure ? secureFlags : clusterFlags } = options;
    if (!Number.isInteger(hosts) || hosts < 1 || hosts > MAX_HOSTS) {
      throw new RangeError(
        `Cannot build a lab of ${hosts} hosts: 1 to ${MAX_HOSTS} are possible`,
      );
    }
    this.id = id;
    this.dir = labDir(id);
    this.#image = executable === undefined
      ? SOURCES
      : bareImage(executable, this.dir);
    this.#switch = new Station("switch", labNetns(id, "switch"));
    this.hosts = Array.from(
      { length: hosts },
      (_, index) =>
        new LabHost({
          ...{ lab: id, number: index + 1, agentFlags },
          image: this.#image,
        }),
    );
  }

  /**
   * Builds a lab.
   *
   * @throws {Error} when this is not root's process, or a program is missing
   * @throws {Deno.errors.AlreadyExists} when a lab of the given id is there
   */
  static async create(options: LabOptions = {}): Promise<Lab> {
    await assertPossible();
    await removeLeftovers();
    const lab = new Lab(await claimLab(options.id), options);
    try {
      await lab.#build();
      if (options.startAgents ?? true) {
        const [first, ...others] = lab.hosts;
        await first!.agent.start();
        if (options.secure) {
          await allDone(others.map((host) => lab.admit(host)));
        }
        await allDone(others.map((host) => host.agent.start()));
        await allDone(lab.hosts.map((host) => host.joined()));
      }
      return lab;
    } catch (error) {
      await lab[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** @throws {RangeError} when there is no such host; the first has number 1 */
  host(number: number): LabHost {
    const host = this.hosts[number - 1];
    if (host) return host;
    throw new RangeError(
      `"host${number}" is no host of this lab: it has host1 to host${this.hosts.length}`,
    );
  }

  /** Makes a token on the first host, where another finds it. Words are added to the command. */
  async admit(host: LabHost, words: readonly string[] = []): Promise<void> {
    await this.host(1).must("stellar-net", [
      ...["token", "create", "--file", tokenPath(host), ...words],
    ]);
  }

  /** Drops what two hosts send each other, until it is healed. Both stay on the link. */
  async partition(a: LabHost, b: LabHost): Promise<void> {
    await this.drop(a, b);
    await this.drop(b, a);
  }

  /** Drops what one host sends another, until it is healed. */
  async drop(from: LabHost, to: LabHost): Promise<void> {
    // Adding what is there is no error, but for rules. The switch's ports have
    // the hosts' names.
    await this.#nft([
      ...["add table bridge lab", "add chain bridge lab forward " + FORWARD],
      "add set bridge lab dropped { type ifname . ifname; }",
      "flush chain bridge lab forward",
      "add rule bridge lab forward iifname . oifname @dropped drop",
      `add element bridge lab dropped { ${from.name} . ${to.name} }`,
    ]);
  }

  /** Drops a share of what one host sends another, until it is healed. @param percent 1 to 100 */
  async lose(from: LabHost, to: LabHost, percent: number): Promise<void> {
    await this.#nft([
      ...["add table bridge lab", "add chain bridge lab loss " + FORWARD],
      `add rule bridge lab loss iifname ${from.name} oifname ${to.name} numgen random mod 100 < ${percent} drop`,
    ]);
  }

  /** Heals everything that drop(), lose() and partition() have broken. */
  async heal(): Promise<void> {
    await this.#nft(["add table bridge lab", "delete table bridge lab"]);
  }

  /** Looks again and again until a condition holds, and returns what it gave: see waitFor(). */
  waitFor<T>(
    what: string,
    condition: () => T | Promise<T>,
    options: WaitOptions = {},
  ): Promise<T> {
    return waitFor(what, condition, options);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await allDone(this.hosts.map(({ agent }) => agent.kill()));
    await removeLab(this.id);
  }

  async #build(): Promise<void> {
    const { netns } = this.#switch;
    await this.#image.build();
    await addNetns(netns);
    await ipBatch(netns, ["link add br0 type bridge", "link set br0 up"]);
    await allDone([
      this.#installPlugin(),
      ...this.hosts.map((host) => host.build()),
    ]);
  }

  /** Installs the plugin on the switch, so that the process ends with the lab. */
  async #installPlugin(): Promise<void> {
    const { program, env, path, within } = this.#image;
    if (this.#image === SOURCES) {
      await Deno.mkdir(labPluginDir(this.id));
      await installPlugin(labPluginDir(this.id));
      return;
    }
    const [command, ...args] = within([
      ...program,
      ...["cni", "install", "--plugin-dir", labPluginDir(this.id)],
    ]);
    await this.#switch.must(command!, args, { env: { ...env, PATH: path } });
  }

  /** Runs commands of nft on the switch: all of them or none. */
  async #nft(lines: readonly string[]): Promise<void> {
    const stdin = `${lines.join("\n")}\n`;
    await this.#switch.must("nft", ["-f", "-"], { stdin });
  }
}
