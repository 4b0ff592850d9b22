import { join } from "node:path";
import { ROOT } from "../generate.ts";
import { signalChild } from "../support/signal_child.ts";
import { isServing } from "../support/spawn_agent.ts";
import { waitFor } from "../support/wait_for.ts";
import type { LabImage } from "./lab_image.ts";
import { execArgs } from "./netns.ts";

export interface LabAgentOptions {
  /** Name of its node. */
  readonly node: string;
  /** The network namespace that it runs in. */
  readonly netns: string;
  /** Folder of its state, its socket and its log. */
  readonly dir: string;
  /** Flags besides the node's name, the state and the socket. */
  readonly flags: readonly string[];
  readonly image: LabImage;
}

/** How long an agent may take to serve, and to stop, in ms. */
const TIMEOUT_MS = 120_000;

/** The agent of a host: a process in the host's network namespace. */
export class LabAgent {
  readonly stateDir: string;
  readonly socketPath: string;
  /** Where it writes, over all of its starts. */
  readonly logPath: string;
  /** The program of its next start. */
  program: readonly string[];
  /** Flags of its next start, besides the node's name, the state and the socket. */
  flags: readonly string[];
  /** Added to the environment of its next start. */
  env: Readonly<Record<string, string>> = {};
  readonly #options: LabAgentOptions;
  #child: Deno.ChildProcess | undefined;
  #ended: Promise<number> = Promise.resolve(0);

  constructor(options: LabAgentOptions) {
    const { dir, flags } = options;
    this.#options = options;
    this.program = options.image.program;
    this.flags = flags;
    this.stateDir = join(dir, "state");
    this.socketPath = join(dir, "agent.sock");
    this.logPath = join(dir, "agent.log");
  }

  get isRunning(): boolean {
    return this.#child !== undefined;
  }

  /** @throws {Error} when it is not running */
  get pid(): number {
    if (!this.#child) throw new Error("Cannot tell the pid: it is not running");
    return this.#child.pid;
  }

  /**
   * Starts it and waits until it serves.
   *
   * @throws {Error} with its log, when it ends or does not serve in time
   */
  async start(): Promise<void> {
    this.spawn();
    try {
      await waitFor("an agent that serves", async () => {
        if (!this.isRunning) return true;
        return await isServing(this.socketPath);
      });
    } catch (cause) {
      throw await this.#failure("it does not serve", cause);
    }
    if (!this.isRunning) {
      throw await this.#failure(`it ended with ${await this.#ended}`);
    }
  }

  /**
   * Starts it and does not wait. It outlives this process, and a terminal that
   * is closed: what ends it at last is the end of the lab.
   *
   * @throws {Error} when it is running
   */
  spawn(): void {
    if (this.#child) throw new Error("Cannot start the agent: it is running");
    const { node, netns, image } = this.#options;
    const agent = image.within([
      ...this.program,
      ...["agent", "--node", node, "--state", this.stateDir],
      ...["--socket", this.socketPath, ...this.flags],
    ]);
    const child = new Deno.Command("ip", {
      // Each program becomes the next: the process id stays.
      args: execArgs(netns, [
        ...["sh", "-c", 'exec "$@" >>"$0" 2>&1', this.logPath],
        ...agent,
      ]),
      cwd: ROOT,
      env: { ...image.env, PATH: image.path, ...this.env },
      stdin: "null",
      stdout: "null",
      stderr: "null",
      detached: true,
    }).spawn();
    this.#child = child;
    this.#ended = child.status.then(({ code }) => {
      this.#child = undefined;
      return code;
    });
  }

  /**
   * Sends a signal, SIGKILL if not told otherwise, and waits for the end.
   *
   * @returns the exit code: 128 and the signal's number if that ended it
   */
  async kill(signal: Deno.Signal = "SIGKILL"): Promise<number> {
    if (this.#child) signalChild(this.#child, signal);
    return await this.#ended;
  }

  /**
   * Asks it to stop, and waits for the end. Returns the exit code.
   *
   * @throws {Error} with its log, when it does not end in time; it has been killed
   */
  async stop(): Promise<number> {
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      if (this.#child) signalChild(this.#child, "SIGKILL");
    }, TIMEOUT_MS);
    try {
      const code = await this.kill("SIGTERM");
      if (late) throw await this.#failure(`it did not end in ${TIMEOUT_MS} ms`);
      return code;
    } finally {
      clearTimeout(timer);
    }
  }

  /** Stops it if it is running, and starts it again with the same state. */
  async restart(): Promise<void> {
    await this.stop();
    await this.start();
  }

  /** What it has written so far. */
  async log(): Promise<string> {
    try {
      return await Deno.readTextFile(this.logPath);
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return "";
      throw error;
    }
  }

  async #failure(why: string, cause?: unknown): Promise<Error> {
    return new Error(
      `Cannot run the agent of ${this.#options.node}: ${why}\n${await this
        .log()}`,
      { cause },
    );
  }
}
