import { join } from "node:path";
import { freePort } from "./free_port.ts";
import { run, type RunResult } from "./run.ts";
import { waitFor } from "./wait_for.ts";

export interface EtcdOptions {
  /** How many members the cluster has. Default 1. */
  readonly members?: number;
  /** Flags of each member after the usual ones. */
  readonly args?: readonly string[];
  /** Certificates: clients are asked for one that `ca` has signed. Default: plain text. */
  readonly tls?: EtcdCertificates;
}

/** Paths of certificates and keys in PEM. */
export interface EtcdCertificates {
  readonly caPath: string;
  /** The members' own, and that of etcdctl. */
  readonly certPath: string;
  readonly keyPath: string;
}

/** Starts an etcd cluster on 127.0.0.1, and waits until it answers. */
export async function startEtcd(
  options: EtcdOptions = {},
): Promise<EtcdCluster> {
  const cluster = new EtcdCluster(
    await Deno.makeTempDir({ prefix: "stellar-net-etcd-" }),
    options,
  );
  try {
    for (const member of cluster.members) member.start();
    await cluster.ready();
    return cluster;
  } catch (error) {
    await cluster[Symbol.asyncDispose]();
    throw error;
  }
}

/**
 * Compacts the revisions before one. It is not an error when that has been done:
 * etcdctl tries again when an answer is late, and nothing may have changed
 * since the last time.
 *
 * @param etcdctl runs etcdctl
 */
export async function compactEtcd(
  etcdctl: (args: readonly string[]) => Promise<RunResult>,
  revision: number,
): Promise<void> {
  const { code, stdout, stderr } = await etcdctl(["compact", `${revision}`]);
  if (code === 0 || stderr.includes("has been compacted")) return;
  throw new Error(`Cannot compact etcd: ${stdout}${stderr}`);
}

/** Members of etcd in processes of their own. Disposing of it ends them and removes their data. */
export class EtcdCluster implements AsyncDisposable {
  readonly members: readonly EtcdMember[];
  readonly #dir: string;
  readonly #tls: EtcdCertificates | undefined;

  constructor(dir: string, options: EtcdOptions) {
    const { members = 1, args = [], tls } = options;
    this.#dir = dir;
    this.#tls = tls;
    const peers = Array.from(
      { length: members },
      (_, i) => [`m${i}`, `http://127.0.0.1:${freePort()}`] as const,
    );
    const initial = peers.map((peer) => peer.join("=")).join(",");
    this.members = peers.map(([name, peerUrl]) =>
      new EtcdMember(name, {
        dir,
        peerUrl,
        isSecure: tls !== undefined,
        args: ["--initial-cluster", initial, ...tlsArgs(tls), ...args],
      })
    );
  }

  /** Where the members serve: `127.0.0.1:2379`. */
  get endpoints(): string[] {
    return this.members.map((member) => member.endpoint);
  }

  /** Waits until every member that runs takes part in a cluster with a leader. */
  async ready(): Promise<void> {
    const running = this.members.filter((member) => member.isRunning);
    await waitFor(`etcd at ${this.endpoints}\n${this.logs()}`, async () => {
      const { code } = await this.run(["endpoint", "health"], running);
      return code === 0;
    }, { everyMs: 50 });
  }

  /** Runs etcdctl against members, all that run by default, and returns what it wrote. */
  async ctl(
    args: readonly string[],
    members: readonly EtcdMember[] = this.members,
  ): Promise<string> {
    // Its own 5 s are too short on a busy machine.
    const { code, stdout, stderr } = await this.run(
      ["--command-timeout=60s", ...args],
      members,
    );
    if (code === 0) return stdout;
    throw new Error(`Cannot run etcdctl ${args.join(" ")}: ${stdout}${stderr}`);
  }

  /** Compacts the revisions before one, unless that has been done. */
  async compact(revision: number): Promise<void> {
    await compactEtcd((args) => this.run(args), revision);
  }

  /** As `ctl`; a failure is not an error. */
  run(
    args: readonly string[],
    members: readonly EtcdMember[] = this.members,
  ): Promise<RunResult> {
    const endpoints = members.filter((member) => member.isRunning)
      .map(({ url }) => url).join(",");
    const { caPath, certPath, keyPath } = this.#tls ?? {};
    const tls = this.#tls
      ? [`--cacert=${caPath}`, `--cert=${certPath}`, `--key=${keyPath}`]
      : [];
    return run("etcdctl", [`--endpoints=${endpoints}`, ...tls, ...args], {
      env: { ETCDCTL_API: "3" },
    });
  }

  /** The member that leads. */
  async leader(): Promise<EtcdMember> {
    const leader = await waitFor("a leader of etcd", async () => {
      const answers: StatusAnswer[] = JSON.parse(
        await this.ctl(["endpoint", "status", "-w", "json"]),
      );
      const found = answers.find(({ Status: { header, leader } }) =>
        header.member_id === leader
      );
      return this.members.find(({ url }) => url === found?.Endpoint);
    });
    return leader!;
  }

  /** What the members have written. */
  logs(): string {
    return this.members.map(({ log }) => log()).join("\n");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.members.map((member) => member.kill()));
    await Deno.remove(this.#dir, { recursive: true });
  }
}

/** The part of `etcdctl endpoint status -w json` that is used; ids lose digits alike. */
interface StatusAnswer {
  readonly Endpoint: string;
  readonly Status: {
    readonly header: { readonly member_id: number };
    readonly leader: number;
  };
}

interface MemberOptions {
  readonly dir: string;
  readonly peerUrl: string;
  readonly isSecure: boolean;
  readonly args: readonly string[];
}

/** One member. It keeps its port and its data when it is started again. */
export class EtcdMember {
  readonly name: string;
  /** `127.0.0.1:2379`. */
  readonly endpoint: string = `127.0.0.1:${freePort()}`;
  readonly url: string;
  readonly #options: MemberOptions;
  #child: Deno.ChildProcess | undefined;

  constructor(name: string, options: MemberOptions) {
    this.name = name;
    this.url = `${options.isSecure ? "https" : "http"}://${this.endpoint}`;
    this.#options = options;
  }

  get isRunning(): boolean {
    return this.#child !== undefined;
  }

  /** Starts it; `args` come behind the usual flags. */
  start(args: readonly string[] = []): void {
    const { peerUrl } = this.#options;
    this.#child = new Deno.Command("etcd", {
      args: ["--name", this.name, "--data-dir", this.#path("data")]
        .concat("--listen-client-urls", this.url)
        .concat("--advertise-client-urls", this.url)
        .concat("--listen-peer-urls", peerUrl)
        .concat("--initial-advertise-peer-urls", peerUrl)
        .concat("--logger", "zap", "--log-outputs", this.#path("log"))
        .concat(this.#options.args, args),
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn();
  }

  /** Sends a signal: SIGSTOP and SIGCONT pause it and let it go on. */
  signal(signal: Deno.Signal): void {
    this.#child!.kill(signal);
  }

  /** Ends it, if it runs, and waits for that. */
  async kill(signal: Deno.Signal = "SIGKILL"): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    child?.kill(signal);
    await child?.status;
  }

  /** What it has written. */
  log(): string {
    try {
      return Deno.readTextFileSync(this.#path("log"));
    } catch {
      return "";
    }
  }

  #path(what: string): string {
    return join(this.#options.dir, `${this.name}.${what}`);
  }
}

function tlsArgs(tls: EtcdCertificates | undefined): string[] {
  if (!tls) return [];
  return ["--client-cert-auth", "--trusted-ca-file", tls.caPath]
    .concat("--cert-file", tls.certPath, "--key-file", tls.keyPath);
}
