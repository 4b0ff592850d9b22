import { join } from "node:path";
import { DEBIAN_PLUGINS, must } from "./cni_plugin.ts";
import { run, type RunResult } from "./run.ts";
import { waitFor } from "./wait_for.ts";

/** What containerd needs of the system, in a mount namespace of its own. */
const SERVER = `set -eu
mount --make-rprivate /
mount -t tmpfs tmpfs /run
exec containerd --config "$0/config.toml"`;

/** The folders that ctr takes its networks and plugins from, laid over the system's. */
const CLIENT = `set -eu
mount --make-rprivate /
mkdir -p "$0/etc"
mount -t tmpfs tmpfs "$0/etc"
mkdir "$0/etc/upper" "$0/etc/work"
mount -t overlay overlay \
  -o "lowerdir=/etc,upperdir=$0/etc/upper,workdir=$0/etc/work" /etc
mkdir -p /etc/cni/net.d
mount --bind "$0/net.d" /etc/cni/net.d
mount -t tmpfs tmpfs /opt
mkdir /opt/cni
ln -s "$0/plugins" /opt/cni/bin
mount -t tmpfs tmpfs /var/lib
exec "$@"`;

/** The host of a containerd. */
export interface ContainerdHost {
  /** Name of its network namespace. */
  readonly netns: string;
  /** Folder with this project's plugin. */
  readonly pluginDir: string;
}

/**
 * A containerd with its own root, state and sockets, in the network namespace
 * of a host, where its containers are attached. The system's files are not
 * touched. Disposing of it ends it and its containers.
 */
export class Containerd implements AsyncDisposable {
  readonly #dir: string;
  readonly #host: ContainerdHost;
  readonly #server: Deno.ChildProcess;

  private constructor(dir: string, host: ContainerdHost) {
    this.#dir = dir;
    this.#host = host;
    this.#server = new Deno.Command("nsenter", {
      // Unlike `ip netns exec` it leaves /sys as it is, with the control groups.
      args: [`--net=/run/netns/${host.netns}`, "unshare", "--mount"]
        .concat("sh", "-c", SERVER, dir),
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn();
  }

  /** Starts one, with a list of network configurations. */
  static async start(
    host: ContainerdHost,
    conflist: string,
  ): Promise<Containerd> {
    const dir = await Deno.makeTempDir({ prefix: "stellar-net-cd-" });
    await prepare(dir, host, conflist);
    const containerd = new Containerd(dir, host);
    try {
      await waitFor(
        "a containerd that serves",
        async () => (await containerd.ctr(["version"])).code === 0,
        { everyMs: 50 },
      );
      return containerd;
    } catch (error) {
      await containerd[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Runs ctr where its networks are those of the host. */
  async ctr(args: readonly string[]): Promise<RunResult> {
    return await run("unshare", [
      ...["--mount", "sh", "-c", CLIENT, this.#dir],
      ...["ip", "netns", "exec", this.#host.netns],
      ...["ctr", "--address", this.#socket, ...args],
    ], { timeoutMs: 120_000 });
  }

  /**
   * Runs a container until it is killed: attaches it before, and detaches it after.
   *
   * @param flags more flags of `ctr run`
   */
  runContainer(
    id: string,
    flags: readonly string[] = [],
  ): Promise<RunResult> {
    const rootfs = join(this.#dir, "rootfs");
    return this.ctr([
      ...["run", "--rm", "--null-io", "--cni", ...flags],
      ...["--rootfs", rootfs, id],
      ...["/bin/busybox", "sleep", "600"],
    ]);
  }

  /** Runs a container in the background. Nothing detaches it when it ends. */
  async runDetached(id: string): Promise<void> {
    const rootfs = join(this.#dir, "rootfs");
    const { code, stdout, stderr } = await this.ctr([
      ...["run", "--detach", "--null-io", "--cni", "--rootfs", rootfs, id],
      ...["/bin/busybox", "sleep", "600"],
    ]);
    if (code !== 0) throw new Error(`Cannot run "${id}": ${stdout}${stderr}`);
  }

  /** Kills a container and removes it, without a DEL. */
  async removeByHand(id: string): Promise<void> {
    await this.kill(id);
    await waitFor(
      `the end of ${id}`,
      async () => (await this.ctr(["task", "rm", id])).code === 0,
    );
    await this.ctr(["container", "rm", id]);
  }

  /** Waits until so many containers run: they have their addresses by then. */
  async running(count: number): Promise<void> {
    await waitFor(`${count} containers that run`, async () => {
      const { stdout } = await this.ctr(["task", "list"]);
      return stdout.match(/RUNNING/g)?.length === count;
    }, { everyMs: 50 });
  }

  /** Ends a container with SIGKILL. */
  async kill(id: string): Promise<void> {
    await this.ctr(["task", "kill", "--signal", "SIGKILL", id]);
  }

  /** Runs a program of busybox in a container. */
  async exec(id: string, args: readonly string[]): Promise<RunResult> {
    return await this.ctr([
      ...["task", "exec", "--fifo-dir", join(this.#dir, "fifo")],
      ...["--exec-id", crypto.randomUUID(), id, "/bin/busybox", ...args],
    ]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const { stdout } = await this.ctr(["task", "list", "--quiet"]);
    for (const id of stdout.split("\n").filter((line) => line !== "")) {
      await this.kill(id);
    }
    this.#server.kill("SIGTERM");
    await this.#server.status;
    await this.#endShims();
    await Deno.remove(this.#dir, { recursive: true });
  }

  get #socket(): string {
    return join(this.#dir, "containerd.sock");
  }

  /** Shims outlive containerd. Those of this one have its socket in their arguments. */
  async #endShims(): Promise<void> {
    for await (const { name } of Deno.readDir("/proc")) {
      if (!/^\d+$/.test(name)) continue;
      const line = await Deno.readTextFile(`/proc/${name}/cmdline`)
        .catch(() => "");
      if (line.includes("containerd-shim") && line.includes(this.#socket)) {
        Deno.kill(Number(name), "SIGKILL");
      }
    }
  }
}

async function prepare(
  dir: string,
  host: ContainerdHost,
  conflist: string,
): Promise<void> {
  const at = (path: string) => join(dir, path);
  for (const path of ["net.d", "plugins", "fifo", "rootfs/bin"]) {
    await Deno.mkdir(at(path), { recursive: true });
  }
  for (const path of ["proc", "sys", "dev", "etc", "tmp"]) {
    await Deno.mkdir(at(`rootfs/${path}`));
  }
  await Deno.copyFile("/usr/bin/busybox", at("rootfs/bin/busybox"));
  for (const folder of [DEBIAN_PLUGINS, host.pluginDir]) {
    for await (const { name } of Deno.readDir(folder)) {
      await Deno.symlink(join(folder, name), at(`plugins/${name}`));
    }
  }
  await Deno.writeTextFile(at("net.d/10-test.conflist"), conflist);
  await Deno.writeTextFile(
    at("config.toml"),
    [
      "version = 2",
      `root = "${at("root")}"`,
      `state = "${at("state")}"`,
      `disabled_plugins = ["io.containerd.grpc.v1.cri"]`,
      "[grpc]",
      `address = "${at("containerd.sock")}"`,
      "[ttrpc]",
      `address = "${at("containerd.sock.ttrpc")}"`,
      "",
    ].join("\n"),
  );
  await must("chmod", ["+x", at("rootfs/bin/busybox")]);
}
