import { RunningProcess } from "../support/running_process.ts";
import { run, type RunOptions, type RunResult } from "../support/run.ts";
import { execArgs } from "./netns.ts";
import { Pinger, type PingerOptions } from "./pinger.ts";

/** The switch, a host or a container of a lab: a network namespace in which programs run. */
export class Station {
  /** Such as `host1`, or `host1/web` for a container. */
  readonly name: string;
  /** The name of its network namespace. */
  readonly netns: string;

  constructor(name: string, netns: string) {
    this.name = name;
    this.netns = netns;
  }

  /** What programs here find in their environment, besides this process's. */
  get env(): Readonly<Record<string, string>> {
    return {};
  }

  /** Runs a program here to its end. An exit code other than 0 is not an error. */
  async exec(
    command: string,
    args: readonly string[] = [],
    options: RunOptions = {},
  ): Promise<RunResult> {
    const env = { ...this.env, ...options.env };
    const line = execArgs(this.netns, [command, ...args]);
    return await run("ip", line, { ...options, env });
  }

  /**
   * Runs a program here that has to succeed.
   *
   * @returns what it wrote to stdout
   * @throws {Error} with what it wrote to stderr
   */
  async must(
    command: string,
    args: readonly string[] = [],
    options: RunOptions = {},
  ): Promise<string> {
    const { code, stdout, stderr } = await this.exec(command, args, options);
    if (code === 0) return stdout;
    throw new Error(
      `Cannot run ${[command, ...args].join(" ")} on ${this.name}: ` +
        `exit code ${code}\n${stderr}${stdout}`.trim(),
    );
  }

  /** Starts a program here, which runs until it is ended. */
  start(line: readonly string[]): RunningProcess {
    return new RunningProcess(["ip", ...execArgs(this.netns, line)], this.env);
  }

  /** Runs `ip` here. Words are separated by spaces. Returns what it wrote. */
  async ip(words: string): Promise<string> {
    return await this.must("ip", words.split(" "));
  }

  /** Sends a ping and tells whether it was answered within a second. */
  async ping(address: string): Promise<boolean> {
    const { code } = await this.exec("ping", ["-nqc1", "-W1", address]);
    return code === 0;
  }

  /** Starts to ping an address, 100 times a second if not told otherwise, until it is stopped. */
  startPing(address: string, options: PingerOptions = {}): Pinger {
    return new Pinger(this.netns, address, options);
  }
}
