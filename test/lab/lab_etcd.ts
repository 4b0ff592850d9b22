import { join } from "node:path";
import { allDone } from "../support/all_done.ts";
import { compactEtcd } from "../support/etcd.ts";
import type { RunResult } from "../support/run.ts";
import { signalChild } from "../support/signal_child.ts";
import { waitFor } from "../support/wait_for.ts";
import type { LabHost } from "./lab_host.ts";
import { execArgs } from "./netns.ts";

/** Starts an etcd cluster with a member on each of some hosts, and waits until it answers. */
export async function startLabEtcd(
  hosts: readonly LabHost[],
  args: readonly string[] = [],
): Promise<LabEtcd> {
  const etcd = new LabEtcd(hosts, args);
  for (const member of etcd.members) member.start();
  await etcd.ready();
  return etcd;
}

/** Members of etcd on hosts of a lab. Disposing of it ends them; their data goes with the lab. */
export class LabEtcd implements AsyncDisposable {
  readonly members: readonly LabEtcdMember[];

  constructor(hosts: readonly LabHost[], args: readonly string[]) {
    this.members = hosts.map((host) =>
      new LabEtcdMember(host, { hosts, args })
    );
  }

  /** What agents name with `--store`. */
  get url(): string {
    return `etcd://${
      this.members.map(({ host }) => `${host.address}:2379`).join(",")
    }/lab`;
  }

  /** Waits until every member that runs takes part in a cluster with a leader. Returns how long that took, in ms. */
  async ready(): Promise<number> {
    const startedMs = performance.now();
    await allDone(
      this.#running.map((member) =>
        waitFor(`etcd on ${member.host.name}`, async () => {
          const { code } = await member.run(["endpoint", "health"]);
          return code === 0;
        }, { everyMs: 50 })
      ),
    );
    return performance.now() - startedMs;
  }

  /** The member that leads, as those say that run. */
  async leader(): Promise<LabEtcdMember> {
    return await waitFor("a leader of etcd", async () => {
      for (const member of this.#running) {
        const [answer] = JSON.parse(
          await member.ctl(["endpoint", "status", "-w", "json"]),
        ) as StatusAnswer[];
        const { header, leader } = answer!.Status;
        if (leader !== 0 && header.member_id === leader) return member;
      }
      return undefined;
    }, { everyMs: 50 }) as LabEtcdMember;
  }

  /** A member that runs and does not lead. */
  async follower(): Promise<LabEtcdMember> {
    const leader = await this.leader();
    return this.#running.find((member) => member !== leader)!;
  }

  /** Gives a member that has lost its data a place in the cluster again, and starts it. */
  async replace(lost: LabEtcdMember): Promise<void> {
    const other = this.#running.find((member) => member !== lost)!;
    const list = await other.ctl(["member", "list"]);
    const id = list.split("\n").find((line) => line.includes(` ${lost.name},`))!
      .split(",")[0]!;
    await other.ctl(["member", "remove", id]);
    // For a while after a removal it may take no other change.
    await waitFor(`a place for ${lost.name}`, async () => {
      const { code } = await other.run(
        ["member", "add", lost.name, `--peer-urls=${lost.peerUrl}`],
      );
      return code === 0;
    }, { everyMs: 100 });
    lost.start(["--initial-cluster-state", "existing"]);
  }

  /** Fills it until it takes no more writes: it has a small quota. */
  async fill(): Promise<void> {
    const [first] = this.members;
    const value = "x".repeat(1024 * 1024);
    const isFull = async () =>
      (await first!.ctl(["alarm", "list"])).includes("NOSPACE");
    for (let i = 0; !await isFull(); i++) {
      await first!.run(["put", `fill/${i}`], value);
    }
  }

  /** Removes what filled it, and lets it take writes again. */
  async makeRoom(): Promise<void> {
    const [first] = this.members;
    await first!.ctl(["del", "fill/", "--prefix"]);
    await first!.compact(await first!.revision());
    for (const each of this.members) await each.ctl(["defrag"]);
    await first!.ctl(["alarm", "disarm"]);
  }

  /** Begins anew with what a snapshot has, as a new cluster; no member runs. */
  async restore(snapshot: string): Promise<void> {
    for (const member of this.members) await member.restore(snapshot);
    for (const member of this.members) member.start();
    await this.ready();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await allDone(this.members.map((member) => member.kill()));
  }

  get #running(): LabEtcdMember[] {
    return this.members.filter(({ isRunning }) => isRunning);
  }
}

/** The part of `etcdctl endpoint status -w json` that is used; ids lose digits alike. */
interface StatusAnswer {
  readonly Status: {
    readonly header: { readonly member_id: number; readonly revision: number };
    readonly leader: number;
  };
}

/** One member: a process in a host's network namespace. It keeps its data when it is started again. */
export class LabEtcdMember {
  readonly host: LabHost;
  readonly name: string;
  readonly peerUrl: string;
  readonly #args: readonly string[];
  #child: Deno.ChildProcess | undefined;

  constructor(
    host: LabHost,
    { hosts, args }: {
      readonly hosts: readonly LabHost[];
      readonly args: readonly string[];
    },
  ) {
    const peerUrl = ({ address }: LabHost) => `http://${address}:2380`;
    const initial = hosts.map((h) => `${h.name}=${peerUrl(h)}`).join(",");
    this.host = host;
    this.name = host.name;
    this.peerUrl = peerUrl(host);
    this.#args = ["--initial-cluster", initial, ...args];
  }

  get isRunning(): boolean {
    return this.#child !== undefined;
  }

  /** Starts it; `args` come behind the usual flags. */
  start(args: readonly string[] = []): void {
    const client = `http://${this.host.address}:2379`;
    const line = ["etcd", "--name", this.name, "--data-dir", this.#path("data")]
      .concat("--listen-client-urls", `${client},http://127.0.0.1:2379`)
      .concat("--advertise-client-urls", client)
      .concat("--listen-peer-urls", this.peerUrl)
      .concat("--initial-advertise-peer-urls", this.peerUrl)
      .concat("--logger", "zap", "--log-outputs", this.#path("log"))
      .concat(this.#args, args);
    this.#child = new Deno.Command("ip", {
      args: execArgs(this.host.netns, line),
      stdin: "null",
      stdout: "null",
      stderr: "null",
      detached: true,
    }).spawn();
  }

  /** Ends it, if it runs, and waits for that. */
  async kill(signal: Deno.Signal = "SIGKILL"): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (!child) return;
    signalChild(child, signal);
    await child.status;
  }

  /** Removes all that it knows. It does not run. */
  async removeData(): Promise<void> {
    await Deno.remove(this.#path("data"), { recursive: true });
  }

  /** Gives it what a snapshot has, in place of its data. It does not run. */
  async restore(snapshot: string): Promise<void> {
    await this.removeData();
    await this.ctl([
      ...["snapshot", "restore", snapshot, "--name", this.name],
      ...["--data-dir", this.#path("data")],
      ...this.#args.slice(0, 2),
      ...["--initial-advertise-peer-urls", this.peerUrl],
      // Not a word of the members that were there before.
      ...["--initial-cluster-token", "restored"],
    ]);
  }

  /** The revision of what it has. */
  async revision(): Promise<number> {
    const [answer] = JSON.parse(
      await this.ctl(["endpoint", "status", "-w", "json"]),
    ) as StatusAnswer[];
    return answer!.Status.header.revision;
  }

  /** Compacts the revisions before one, unless that has been done. */
  async compact(revision: number): Promise<void> {
    await compactEtcd((args) => this.run(args), revision);
  }

  /** Runs etcdctl on its host against it, and returns what it wrote. */
  async ctl(args: readonly string[], stdin = ""): Promise<string> {
    const { code, stdout, stderr } = await this.run(args, stdin);
    if (code === 0) return stdout;
    throw new Error(`Cannot run etcdctl ${args.join(" ")}: ${stdout}${stderr}`);
  }

  /** As `ctl`; a failure is not an error. */
  run(args: readonly string[], stdin = ""): Promise<RunResult> {
    return this.host.exec(
      "etcdctl",
      ["--endpoints=127.0.0.1:2379", "--command-timeout=10s", ...args],
      { env: { ETCDCTL_API: "3" }, stdin },
    );
  }

  /** What it has written. */
  async log(): Promise<string> {
    return await Deno.readTextFile(this.#path("log"));
  }

  #path(what: string): string {
    return join(this.host.dir, `etcd.${what}`);
  }
}
