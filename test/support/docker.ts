import { join } from "node:path";
import { must } from "./cni_plugin.ts";
import { createNamespace, type Namespace } from "./namespace.ts";
import { run, type RunOptions, type RunResult } from "./run.ts";
import { signalChild } from "./signal_child.ts";
import { waitFor } from "./wait_for.ts";

/** The image that containers run: busybox alone. */
export const IMAGE = "busybox";
/** Programs of the image, besides busybox itself. */
const APPLETS = ["sleep", "ping"];

/** The client of the package, whatever else is in the PATH. */
export const DOCKER = "/usr/bin/docker";

/** A folder of its own for running programs, in which Docker sees the given ones. */
function prepareScript(
  dir: string,
  { pluginDir, apiDir }: DockerHost,
): string {
  return `run='${dir}/run'
mkdir "$run"
mount -t tmpfs tmpfs "$run"
mkdir -p "$run/docker/plugins" "$run/seen"
mount --bind '${pluginDir}' "$run/docker/plugins"
mount --bind '${apiDir}' "$run/seen"
mount --rbind "$run" /run`;
}

/** The host of a Docker. */
export interface DockerHost {
  /** Name of its network namespace. */
  readonly netns: string;
  /** Folder of the driver's socket. */
  readonly pluginDir: string;
  /** Folder where Docker makes its own socket, `docker.sock`. */
  readonly apiDir: string;
}

/**
 * Docker with a containerd of its own, in the network namespace of a host, where
 * its packet filters and routes are. The system's files are not touched.
 * Disposing of it ends it and its containers.
 */
export class Docker implements AsyncDisposable {
  readonly #dir: string;
  readonly #host: DockerHost;
  readonly #namespace: Namespace;
  readonly #flags: readonly string[];
  #containerd: Deno.ChildProcess | undefined;
  #dockerd: Deno.ChildProcess | undefined;

  private constructor(
    dir: string,
    host: DockerHost,
    { namespace, flags }: {
      readonly namespace: Namespace;
      readonly flags: readonly string[];
    },
  ) {
    this.#dir = dir;
    this.#host = host;
    this.#namespace = namespace;
    this.#flags = flags;
  }

  /** Starts one, with its image. @param flags more flags of dockerd */
  static async start(
    host: DockerHost,
    flags: readonly string[] = [],
  ): Promise<Docker> {
    await Deno.mkdir(host.pluginDir, { recursive: true, mode: 0o700 });
    const dir = await Deno.makeTempDir({ prefix: "stellar-net-dk-" });
    const namespace = await createNamespace(
      "mount",
      prepareScript(dir, host),
    );
    const docker = new Docker(dir, host, { namespace, flags });
    try {
      await docker.startContainerd();
      await docker.startDockerd();
      await docker.#importImage();
      return docker;
    } catch (error) {
      await docker[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Docker's own socket. */
  get socketPath(): string {
    return join(this.#host.apiDir, "docker.sock");
  }

  /** Where dockerd writes, over all of its starts. */
  get logPath(): string {
    return join(this.#dir, "dockerd.log");
  }

  /** Runs docker. */
  async docker(
    args: readonly string[],
    options: RunOptions = {},
  ): Promise<RunResult> {
    return await run(DOCKER, ["-H", `unix://${this.socketPath}`, ...args], {
      timeoutMs: 120_000,
      ...options,
      env: { DOCKER_CONFIG: this.#dir, ...options.env },
    });
  }

  /** Runs docker, which has to succeed. @returns what it wrote */
  async must(...args: readonly string[]): Promise<string> {
    const { code, stdout, stderr } = await this.docker(args);
    if (code === 0) return stdout.trim();
    throw new Error(`Cannot run docker ${args.join(" ")}: ${stdout}${stderr}`);
  }

  /** Runs a container in the background until it is stopped. */
  async run(
    name: string,
    network: string,
    flags: readonly string[] = [],
  ): Promise<void> {
    await this.must(
      ...["run", "--detach", "--name", name, "--network", network, ...flags],
      ...[IMAGE, "/bin/busybox", "sleep", "600"],
    );
  }

  /** The IPv4 address that Docker gave a running container; empty for none. */
  async addressOf(name: string): Promise<string> {
    const format = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
    return await this.must("inspect", "--format", format, name);
  }

  /** Runs a program of busybox in a container. */
  async exec(name: string, ...args: readonly string[]): Promise<RunResult> {
    return await this.docker(["exec", name, "/bin/busybox", ...args]);
  }

  async startContainerd(): Promise<void> {
    const config = join(this.#dir, "config.toml");
    await Deno.writeTextFile(
      config,
      `version = 2
root = "${this.#dir}/cd-root"
state = "${this.#dir}/cd-state"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
address = "${this.#containerdSocket}"
[ttrpc]
address = "${this.#containerdSocket}.ttrpc"
`,
    );
    const words = ["containerd", "--config", config];
    this.#containerd = this.#spawn(words, "containerd.log");
    await waitFor(
      "a containerd that serves",
      async () => (await Deno.stat(this.#containerdSocket)).isSocket,
      { everyMs: 50 },
    );
  }

  /** Starts dockerd, and waits until it serves. */
  async startDockerd(): Promise<void> {
    const at = (path: string) => join(this.#dir, path);
    await Deno.writeTextFile(at("daemon.json"), "{}");
    this.#dockerd = this.#spawn([
      ...["dockerd", "--config-file", at("daemon.json")],
      ...["--data-root", at("data"), "--exec-root", at("exec")],
      ...["-p", at("pid"), "-H", "unix:///run/seen/docker.sock"],
      ...["--containerd", this.#containerdSocket, "--bridge=none"],
      ...["--storage-driver=vfs", ...this.#flags],
    ], "dockerd.log");
    await waitFor(
      "a dockerd that serves",
      async () => (await this.docker(["version"])).code === 0,
      { everyMs: 100 },
    ).catch(async (cause) => {
      throw new Error(await Deno.readTextFile(this.logPath), { cause });
    });
  }

  /** Ends dockerd with a signal, and waits for its end. */
  async killDockerd(signal: Deno.Signal = "SIGKILL"): Promise<void> {
    const child = this.#dockerd;
    if (!child) return;
    signalChild(child, signal);
    await child.status;
    this.#dockerd = undefined;
    await Deno.remove(join(this.#dir, "pid")).catch(() => {});
  }

  /** Deletes what a stopped dockerd knows of networks and endpoints. */
  async deleteNetworkState(): Promise<void> {
    await Deno.remove(join(this.#dir, "data/network"), { recursive: true });
  }

  /** Removes the network namespaces of containers that dockerd has forgotten. */
  async endNamespaces(): Promise<void> {
    const script = `umount -l '${this.#dir}'/exec/netns/* 2>/dev/null || true`;
    await must("bash", [
      ...this.#namespace.within.slice(1),
      "sh",
      "-c",
      script,
    ]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#dockerd) {
      const ids = (await this.docker(["ps", "-aq"])).stdout.trim();
      if (ids !== "") await this.docker(["rm", "-f", ...ids.split("\n")]);
    }
    await this.killDockerd("SIGTERM");
    if (this.#containerd) {
      signalChild(this.#containerd, "SIGTERM");
      await this.#containerd.status;
    }
    await this.#endShims();
    await this.#namespace[Symbol.asyncDispose]();
    await run("umount", ["-l", "-R", join(this.#dir, "exec/netns")]);
    await Deno.remove(this.#dir, { recursive: true });
  }

  get #containerdSocket(): string {
    return join(this.#dir, "containerd.sock");
  }

  #spawn(words: readonly string[], log: string): Deno.ChildProcess {
    return new Deno.Command("nsenter", {
      // Unlike `ip netns exec` it leaves /sys as it is, with the control groups.
      args: [`--net=/run/netns/${this.#host.netns}`, ...this.#namespace.within]
        .concat("sh", "-c", 'exec "$@" >>"$0" 2>&1', join(this.#dir, log))
        .concat(words),
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn();
  }

  async #importImage(): Promise<void> {
    const rootfs = join(this.#dir, "rootfs");
    for (const path of ["bin", "proc", "sys", "dev", "etc", "tmp"]) {
      await Deno.mkdir(`${rootfs}/${path}`, { recursive: true });
    }
    await Deno.copyFile("/usr/bin/busybox", `${rootfs}/bin/busybox`);
    await must("chmod", ["+x", `${rootfs}/bin/busybox`]);
    for (const applet of APPLETS) {
      await Deno.symlink("busybox", `${rootfs}/bin/${applet}`);
    }
    const archive = join(this.#dir, "image.tar");
    await must("tar", ["-C", rootfs, "-cf", archive, "."]);
    await this.must("import", archive, IMAGE);
  }

  /** Shims outlive containerd. Those of this one have its socket in their arguments. */
  async #endShims(): Promise<void> {
    for await (const { name } of Deno.readDir("/proc")) {
      if (!/^\d+$/.test(name)) continue;
      const line = await Deno.readTextFile(`/proc/${name}/cmdline`)
        .catch(() => "");
      if (line.includes("containerd-shim") && line.includes(this.#dir)) {
        Deno.kill(Number(name), "SIGKILL");
      }
    }
  }
}
