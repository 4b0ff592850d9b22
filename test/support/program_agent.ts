import { signalChild } from "./signal_child.ts";
import { isServing } from "./spawn_agent.ts";
import { waitFor } from "./wait_for.ts";

/** How to start an agent. */
export interface ProgramAgentOptions {
  readonly program: string;
  /** A folder of its own, for state and socket. */
  readonly dir: string;
  /** Its port on 127.0.0.1. */
  readonly port: number;
  readonly env: Readonly<Record<string, string>>;
}

/** An agent that is the process of an executable. It is killed at the end, if it has not ended. */
export class ProgramAgent implements AsyncDisposable {
  readonly socketPath: string;
  readonly #child: Deno.ChildProcess;

  private constructor(socketPath: string, child: Deno.ChildProcess) {
    this.socketPath = socketPath;
    this.#child = child;
  }

  /** Starts it and waits until it serves. */
  static async start(options: ProgramAgentOptions): Promise<ProgramAgent> {
    const { program, dir, port, env } = options;
    const socketPath = `${dir}/agent.sock`;
    const child = new Deno.Command(program, {
      args: ["agent", "--node", "node1", "--state", `${dir}/state`]
        .concat("--socket", socketPath, "--listen", `127.0.0.1:${port}`)
        .concat("--routes", "off", "--log-level", "warning"),
      env: { ...env },
      stdin: "null",
      stdout: "null",
      stderr: "inherit",
    }).spawn();
    const agent = new ProgramAgent(socketPath, child);
    try {
      await waitFor("an agent that serves", () => isServing(socketPath));
    } catch (error) {
      await agent[Symbol.asyncDispose]();
      throw error;
    }
    return agent;
  }

  get pid(): number {
    return this.#child.pid;
  }

  /** Asks it to stop. Returns the exit code. */
  async stop(): Promise<number> {
    signalChild(this.#child, "SIGTERM");
    return (await this.#child.status).code;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    signalChild(this.#child, "SIGKILL");
    await this.#child.status;
  }
}
