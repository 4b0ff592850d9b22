import { join } from "node:path";
import { formatConflist } from "../../src/cni/text/conflist.ts";
import type { CniHost } from "./cni_host.ts";
import { DEBIAN_PLUGINS, must } from "./cni_plugin.ts";
import { createNamespace, type Namespace } from "./namespace.ts";
import { run, type RunResult } from "./run.ts";

/** Name of the network. */
const NETWORK = "pods";

const BOOT_ID = "/proc/sys/kernel/random/boot_id";

/** What a boot empties. */
const VOLATILE = `umount -R -l /run /dev/shm 2>/dev/null || true
mount -t tmpfs none /run
mount -t tmpfs none /dev/shm
mkdir -p /run/netns`;

/** The system as crun needs it: it refuses control groups of both versions beside each other. */
function prepareScript(dir: string): string {
  return `${VOLATILE}
mkdir -p /var/lib/cni
mount -t tmpfs none /var/lib/cni
umount -R -l /sys/fs/cgroup
mount -t cgroup2 none /sys/fs/cgroup
mount --bind '${dir}/boot_id' ${BOOT_ID}`;
}

/**
 * Podman 4 with its CNI back end, in the network namespace of a host, with its
 * own storage, in a mount namespace where the host can be booted again.
 * Disposing of it ends its containers.
 */
export class Podman implements AsyncDisposable {
  readonly #dir: string;
  readonly #host: CniHost;
  readonly #namespace: Namespace;

  private constructor(dir: string, host: CniHost, namespace: Namespace) {
    this.#dir = dir;
    this.#host = host;
    this.#namespace = namespace;
  }

  static async create(
    host: CniHost,
    { socketPath }: { readonly socketPath: string },
  ): Promise<Podman> {
    const dir = await Deno.makeTempDir({ prefix: "stellar-net-" });
    const at = (path: string) => join(dir, path);
    for (const name of ["bin", "proc", "sys", "dev", "etc", "tmp", "run"]) {
      await Deno.mkdir(at(`rootfs/${name}`), { recursive: true });
    }
    await Deno.copyFile("/usr/bin/busybox", at("rootfs/bin/busybox"));
    await must("chmod", ["+x", at("rootfs/bin/busybox")]);
    await Deno.mkdir(at("net.d"));
    await Deno.writeTextFile(
      at("net.d/pods.conflist"),
      formatConflist({
        ...{ name: NETWORK, bridge: "stn0", mtuBytes: undefined, socketPath },
        ...{ families: [4], hasPortmap: false },
      }),
    );
    await Deno.writeTextFile(
      at("containers.conf"),
      `[containers]
cgroups = "disabled"
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "crun"
[network]
network_backend = "cni"
cni_plugin_dirs = ["${host.pluginDir}", "${DEBIAN_PLUGINS}"]
network_config_dir = "${at("net.d")}"
default_network = "${NETWORK}"
`,
    );
    await Deno.writeTextFile(
      at("storage.conf"),
      `[storage]
driver = "vfs"
graphroot = "${at("root")}"
runroot = "/run/containers/storage"
`,
    );
    await writeBootId(dir);
    const namespace = await createNamespace("mount", prepareScript(dir));
    return new Podman(dir, host, namespace);
  }

  /** Runs the command behind it on the host, for its agent. */
  get within(): readonly string[] {
    return this.#namespace.within;
  }

  /** Runs podman. */
  async podman(...args: readonly string[]): Promise<RunResult> {
    return await this.#run("podman", args);
  }

  /** Runs podman, which has to succeed. @returns what it wrote */
  async must(...args: readonly string[]): Promise<string> {
    const { code, stdout, stderr } = await this.podman(...args);
    if (code === 0) return stdout;
    throw new Error(`Cannot run podman ${args.join(" ")}: ${stderr}`);
  }

  /** Runs a container in the background. */
  async runDetached(name: string): Promise<void> {
    await this.must(
      ...["run", "--detach", "--name", name, "--network", NETWORK],
      ...["--rootfs", join(this.#dir, "rootfs")],
      ...["/bin/busybox", "sleep", "600"],
    );
  }

  /** The address that a running container has. */
  async addressOf(name: string): Promise<string | undefined> {
    const text = await this.must(
      ...["exec", name, "/bin/busybox", "ip", "-4", "addr", "show", "eth0"],
    );
    return /inet ([\d.]+)\//.exec(text)?.[1];
  }

  /** Ends processes of a container with SIGKILL. Without conmon, nobody cleans up. */
  async kill(
    name: string,
    processes: readonly ("ConmonPid" | "Pid")[],
  ): Promise<void> {
    const format = processes.map((field) => `{{.State.${field}}}`).join(" ");
    const text = await this.must("inspect", "--format", format, name);
    for (const pid of text.trim().split(" ").map(Number)) {
      if (pid > 1) Deno.kill(pid, "SIGKILL");
    }
  }

  /** The number of DELs that wait for the agent. */
  async queued(socketPath: string): Promise<number> {
    const { stdout } = await this.#run("ls", [`${socketPath}.queue/`]);
    return stdout.split("\n").filter((name) => name.endsWith(".json")).length;
  }

  /**
   * Boots the host again, on which no container and no agent runs: with
   * another boot id, without namespaces, links, and files of the last boot.
   */
  async reboot(): Promise<void> {
    await this.#run("sh", ["-ec", `${VOLATILE}\nip link delete stn0`]);
    await writeBootId(this.#dir);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.podman("rm", "--all", "--force", "--time", "0");
    await this.#namespace[Symbol.asyncDispose]();
    await Deno.remove(this.#dir, { recursive: true });
  }

  #run(program: string, args: readonly string[]): Promise<RunResult> {
    // Unlike `ip netns exec` it leaves /sys as it is, with the control groups.
    return run("nsenter", [
      ...[`--net=/run/netns/${this.#host.netns}`, ...this.within],
      ...[program, ...args],
    ], {
      env: {
        CONTAINERS_CONF: join(this.#dir, "containers.conf"),
        CONTAINERS_STORAGE_CONF: join(this.#dir, "storage.conf"),
      },
    });
  }
}

async function writeBootId(dir: string): Promise<void> {
  await Deno.writeTextFile(join(dir, "boot_id"), `${crypto.randomUUID()}\n`);
}
