import { NetError } from "../base/error.ts";
import { type Address, formatAddress } from "../net/address.ts";
import type { PathProbe } from "../host/path_probe.ts";
import type { PingAnswer } from "../host/plan/probe_output.ts";
import { type CommandRunner, describeFailure } from "../system/command.ts";
import { starting } from "../system/deno_command.ts";
import { type EchoOrder, readReport } from "./echo_process.ts";
import { type Attachment, planAttachment } from "./plan/attachment.ts";
import { type EchoCounts, parseEchoCounts } from "./plan/echo_counts.ts";
import type { StationMaker, StationProcess } from "./port.ts";

/** Most time for the start of the process, in ms. */
const START_MS = 20_000;
/** Most time for its end, in ms, before it is killed. */
const END_MS = 2_000;
/** The result of an order to a process that has ended. */
const GONE = "the network namespace is gone";

/** What stations are made with. */
export interface LinuxStationsOptions {
  readonly runner: CommandRunner;
  readonly probe: Pick<PathProbe, "ping">;
  /** The program that serves a namespace, with its arguments. */
  readonly program: readonly string[];
}

/**
 * Makes network namespaces with `unshare` (unshare(1)). Nothing but the process
 * inside holds the namespace, and its link is a pair of interfaces that the
 * kernel removes with it: nothing is left when the agent is killed.
 */
export class LinuxStations implements StationMaker {
  readonly #options: LinuxStationsOptions;

  constructor(options: LinuxStationsOptions) {
    this.#options = options;
  }

  async start(): Promise<StationProcess> {
    const child = starting(
      "unshare",
      (environment) =>
        new Deno.Command("unshare", {
          args: ["--net", ...this.#options.program],
          ...environment,
          stdin: "piped",
          stdout: "piped",
          stderr: "piped",
        }).spawn(),
    );
    const station = new LinuxStation(child, this.#options);
    try {
      await station.started();
      return station;
    } catch (error) {
      await station[Symbol.asyncDispose]();
      throw error;
    }
  }
}

class LinuxStation implements StationProcess {
  port = 0;
  readonly #child: Deno.ChildProcess;
  readonly #options: LinuxStationsOptions;
  readonly #input: WritableStreamDefaultWriter<Uint8Array<ArrayBuffer>>;
  readonly #orders = new Map<number, (problem: string) => void>();
  readonly #ready = Promise.withResolvers<void>();
  readonly #errors: Promise<string>;
  #orderId = 0;
  #hasEnded = false;
  #linkName: string | undefined;

  constructor(child: Deno.ChildProcess, options: LinuxStationsOptions) {
    this.#child = child;
    this.#options = options;
    this.#input = child.stdin.getWriter();
    this.#errors = new Response(child.stderr).text();
    this.#ready.promise.catch(() => {});
    void this.#read();
  }

  get pid(): number {
    return this.#child.pid;
  }

  /** @throws {NetError} when it does not start */
  async started(): Promise<void> {
    const limit = setTimeout(
      () =>
        this.#ready.reject(
          new NetError(
            "unavailable",
            `Cannot make a network namespace: its program did not start within ${
              START_MS / 1000
            } s`,
          ),
        ),
      START_MS,
    );
    try {
      await this.#ready.promise;
    } finally {
      clearTimeout(limit);
    }
  }

  async attach(attachment: Omit<Attachment, "pid">): Promise<void> {
    const plan = planAttachment({ ...attachment, pid: this.pid });
    this.#linkName = attachment.linkName;
    const batch = (lines: readonly string[]) => ({
      args: ["-batch", "-"],
      stdin: lines.map((line) => `${line}\n`).join(""),
    });
    await this.#must({ program: "ip", ...batch(plan.host) });
    await this.#inside("ip", batch(plan.inside));
  }

  ping(to: Address, packetBytes?: number): Promise<PingAnswer> {
    return this.#options.probe.ping(to, {
      netns: this.#netns,
      ...packetBytes !== undefined && { packetBytes },
    });
  }

  async exchange(to: Address, port: number): Promise<string> {
    if (this.#hasEnded) return GONE;
    const id = this.#orderId++;
    const { promise, resolve } = Promise.withResolvers<string>();
    this.#orders.set(id, resolve);
    const order: EchoOrder = { id, hostname: formatAddress(to), port };
    this.#write(`${JSON.stringify(order)}\n`);
    return await promise;
  }

  async countEchoes(): Promise<EchoCounts> {
    const pattern = "^Icmp: |^Icmp6InEchos";
    return parseEchoCounts(
      await this.#inside("grep", {
        args: ["-hsE", pattern, "/proc/net/snmp", "/proc/net/snmp6"],
      }),
    );
  }

  keepAlive(): void {
    this.#write("\n");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#input.close().catch(() => {});
    const limit = setTimeout(() => {
      try {
        this.#child.kill("SIGKILL");
      } catch {
        // It has ended.
      }
    }, END_MS);
    await this.#child.status;
    clearTimeout(limit);
    if (this.#linkName === undefined) return;
    // The kernel removes it only a moment after the namespace.
    const args = ["link", "delete", this.#linkName];
    await this.#options.runner.run({ program: "ip", args }).catch(() => {});
  }

  get #netns(): string {
    return `/proc/${this.pid}/ns/net`;
  }

  #write(text: string): void {
    // A process that has ended reads nothing: #read() tells its callers.
    this.#input.write(new TextEncoder().encode(text)).catch(() => {});
  }

  async #read(): Promise<void> {
    let rest = "";
    const texts = this.#child.stdout.pipeThrough(new TextDecoderStream());
    for await (const text of texts) {
      const lines = (rest + text).split("\n");
      rest = lines.pop()!;
      for (const line of lines) this.#take(line);
    }
    this.#hasEnded = true;
    for (const resolve of this.#orders.values()) resolve(GONE);
    const text = await this.#errors;
    const isRefused = /^unshare: .*not permitted/m.test(text);
    this.#ready.reject(
      isRefused
        ? new NetError(
          "permission_denied",
          "Cannot make a network namespace: the agent lacks CAP_SYS_ADMIN",
        )
        : new NetError(
          "unavailable",
          `Cannot make a network namespace: ${
            text.trim().split("\n")[0] || "its program ended"
          }`,
        ),
    );
  }

  #take(line: string): void {
    const report = readReport(line);
    if (!report) return;
    if ("port" in report) {
      this.port = report.port;
      this.#ready.resolve();
      return;
    }
    this.#orders.get(report.id)?.(report.problem);
    this.#orders.delete(report.id);
  }

  #inside(
    program: string,
    { args, ...rest }: {
      readonly args: readonly string[];
      readonly stdin?: string;
    },
  ): Promise<string> {
    return this.#must({
      program: "nsenter",
      args: [`--net=${this.#netns}`, program, ...args],
      ...rest,
    });
  }

  async #must(command: Parameters<CommandRunner["run"]>[0]): Promise<string> {
    const output = await this.#options.runner.run(command);
    if (output.code === 0) return output.stdout;
    throw new NetError(
      "unavailable",
      `Cannot attach a network namespace: ${describeFailure(command, output)}`,
    );
  }
}
