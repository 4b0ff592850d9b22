import { join } from "node:path";
import { LabClock } from "../lab/lab_clock.ts";
import { installPlugin, must } from "../support/cni_plugin.ts";
import { run, type RunResult } from "../support/run.ts";
import { spawnAgent, type SpawnedAgent } from "../support/spawn_agent.ts";

const BOOT_ID = "/proc/sys/kernel/random/boot_id";
const NETNS_DIR = "/run/netns";
/** Room for the history of 20 s at the rate at which the hammer calls. */
const STATE_SIZE = "128m";

/** Even on a busy machine an agent starts in this time. */
const READY_TIMEOUT_MS = 120_000;

/** A command in namespaces of its own, in which {@linkcode HammeredHost} may change what it likes. */
export const APART = [
  ...["unshare", "--mount", "--propagation", "private", "--net"],
  ...["--pid", "--fork", "--kill-child", "--mount-proc"],
];

/** Flags of every agent: a small subnet whose addresses come round often. */
const AGENT_ARGS = [
  ...["--network", "10.6.0.0/16", "--subnet-prefix", "24"],
  ...["--cool-down", "0s", "--keep-history", "20s"],
  ...["--leak-interval", "200ms", "--leak-grace", "400ms"],
  ...["--log-level", "error"],
];

/**
 * A host with an agent and containers that can be rebooted and cloned, whose
 * disk can be filled and whose clock can be set. It changes the mounts of its
 * own process, which has to run {@linkcode APART}.
 */
export class HammeredHost implements AsyncDisposable {
  readonly agent: SpawnedAgent;
  readonly #dir: string;
  readonly #clock: LabClock;
  readonly #plugin: string;

  private constructor(
    dir: string,
    parts: { agent: SpawnedAgent; clock: LabClock; plugin: string },
  ) {
    this.#dir = dir;
    this.agent = parts.agent;
    this.#clock = parts.clock;
    this.#plugin = parts.plugin;
  }

  static async create(): Promise<HammeredHost> {
    const dir = await Deno.makeTempDir({ prefix: "stellar-net-" });
    await must("ip", ["link", "set", "lo", "up"]);
    await Deno.mkdir(NETNS_DIR, { recursive: true });
    await must("mount", ["-t", "tmpfs", "none", NETNS_DIR]);
    await Deno.mkdir(join(dir, "disk"));
    const disk = ["-t", "tmpfs", "-o", `size=${STATE_SIZE}`, "none"];
    await must("mount", [...disk, join(dir, "disk")]);
    await writeBootId(dir);
    await must("mount", ["--bind", join(dir, "boot_id"), BOOT_ID]);
    const clock = await LabClock.create(join(dir, "clock"));
    const socketPath = join(dir, "agent.sock");
    const plugins = join(dir, "plugins");
    await Deno.mkdir(plugins);
    const plugin = await installPlugin(plugins, { kind: "native", socketPath });
    const agent = await spawnAgent({
      ...{ args: AGENT_ARGS, env: clock.env, socketPath },
      stateDir: join(dir, "disk/state"),
      readyTimeoutMs: READY_TIMEOUT_MS,
    });
    return new HammeredHost(dir, { agent, clock, plugin });
  }

  /** Makes the namespace of a container. */
  async addNamespace(name: string): Promise<void> {
    await must("ip", ["netns", "add", name]);
  }

  async removeNamespace(name: string): Promise<void> {
    await must("ip", ["netns", "delete", name]);
  }

  /** Calls the plugin for a container. */
  callPlugin(
    verb: "ADD" | "DEL",
    { id, netns, ips = [] }: {
      readonly id: string;
      readonly netns: string;
      readonly ips?: readonly string[];
    },
  ): Promise<RunResult> {
    const { socketPath } = this.agent;
    return run(this.#plugin, [], {
      env: {
        ...this.#clock.env,
        CNI_COMMAND: verb,
        CNI_CONTAINERID: id,
        CNI_IFNAME: "eth0",
        CNI_NETNS: join(NETNS_DIR, netns),
        CNI_PATH: join(this.#dir, "plugins"),
      },
      stdin: JSON.stringify({
        ...{ cniVersion: "1.1.0", name: "pods", args: { cni: { ips } } },
        ipam: { type: "stellar-net", socket: socketPath, timeout: "10s" },
      }),
    });
  }

  /** Makes the host another boot: every container is gone. The agent must not run. */
  async reboot(): Promise<void> {
    for await (const { name } of Deno.readDir(NETNS_DIR)) {
      await this.removeNamespace(name);
    }
    await writeBootId(this.#dir);
  }

  /** Fills the disk with the agent's state. */
  async fillDisk(): Promise<void> {
    using file = await Deno.open(this.#filler, { create: true, append: true });
    const block = new Uint8Array(65_536);
    try {
      for (;;) await file.write(block);
    } catch (error) {
      if ((error as { code?: string }).code !== "ENOSPC") throw error;
    }
  }

  async freeDisk(): Promise<void> {
    await Deno.remove(this.#filler);
  }

  /** Sets the clock of the agent and the plugin forward, or back. */
  setClock(hours: number): Promise<void> {
    return this.#clock.moveHours(hours);
  }

  /** Copies the state of the agent, which must not run, to another machine. @returns the folder */
  async copyState(): Promise<string> {
    const copy = join(this.#dir, "copy");
    await Deno.remove(copy, { recursive: true }).catch(() => {});
    await must("cp", ["-a", this.agent.stateDir, copy]);
    return copy;
  }

  /**
   * Starts an agent on the other machine.
   *
   * @returns undefined when it refuses, since its state is a copy
   */
  async startCopy(stateDir: string): Promise<SpawnedAgent | undefined> {
    const machineId = join(this.#dir, "machine-id");
    await Deno.writeTextFile(machineId, crypto.randomUUID().replace(/-/g, ""));
    const script = 'mount --bind "$0" /etc/machine-id && exec "$@"';
    try {
      return await spawnAgent({
        ...{ args: AGENT_ARGS, stateDir, env: this.#clock.env },
        readyTimeoutMs: READY_TIMEOUT_MS,
        within: ["unshare", "--mount", "sh", "-c", script, machineId],
      });
    } catch (error) {
      if (/was made on another machine/.test(String(error))) return undefined;
      throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.agent[Symbol.asyncDispose]();
    await must("umount", [join(this.#dir, "disk")]);
    await Deno.remove(this.#dir, { recursive: true });
  }

  get #filler(): string {
    return join(this.#dir, "disk/filler");
  }
}

async function writeBootId(dir: string): Promise<void> {
  await Deno.writeTextFile(join(dir, "boot_id"), `${crypto.randomUUID()}\n`);
}
