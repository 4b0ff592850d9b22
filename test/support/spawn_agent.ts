import { request } from "node:http";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { ROOT } from "../generate.ts";
import { asNobody } from "./as_nobody.ts";
import { freePort } from "./free_port.ts";

export interface SpawnAgentOptions {
  /** Flags after the usual ones. */
  readonly args?: readonly string[];
  /** Flags of the runtime, such as `--inspect=127.0.0.1:9229`. */
  readonly denoArgs?: readonly string[];
  /** Added to this process's environment. */
  readonly env?: Readonly<Record<string, string>>;
  /** Default `node1`. */
  readonly node?: string;
  /** Default: a folder of its own, removed at the end. */
  readonly stateDir?: string;
  /** Default: a path in a folder of its own. */
  readonly socketPath?: string;
  /** Whether it runs as the user nobody. Default false. */
  readonly asNobody?: boolean;
  /** A command that runs the one behind it in its own process, such as `["unshare", "--net"]`. */
  readonly within?: readonly string[];
  /** Folder of the agent's sources. Default: these sources. */
  readonly sourceDir?: string;
  /** How long it may take until it serves. Default 120,000. */
  readonly readyTimeoutMs?: number;
}

/** How long an agent that is asked to stop may take. */
const STOP_TIMEOUT_MS = 120_000;
/** How long an agent may take to say that it serves. */
const ANSWER_TIMEOUT_MS = 10_000;

/** Starts an agent from source as a process of its own, and waits until it serves. */
export async function spawnAgent(
  options: SpawnAgentOptions = {},
): Promise<SpawnedAgent> {
  const dir = await Deno.makeTempDir({ prefix: "stellar-net-" });
  const agent = new SpawnedAgent(dir, options);
  try {
    await agent.start();
    return agent;
  } catch (error) {
    await agent[Symbol.asyncDispose]();
    throw error;
  }
}

/** An agent in a process of its own. Disposing of it ends it and removes its folder. */
export class SpawnedAgent implements AsyncDisposable {
  readonly stateDir: string;
  readonly socketPath: string;
  /** Its TCP port on 127.0.0.1, the same after a restart. */
  readonly port: number = freePort();
  /** What it has written so far, over all of its starts. */
  stdout = "";
  stderr = "";
  readonly #dir: string;
  readonly #options: SpawnAgentOptions;
  #child: Deno.ChildProcess | undefined;
  #ended: Promise<number> = Promise.resolve(0);

  constructor(dir: string, options: SpawnAgentOptions) {
    this.#dir = dir;
    this.#options = options;
    this.stateDir = options.stateDir ?? join(dir, "state");
    this.socketPath = options.socketPath ?? join(dir, "agent.sock");
  }

  /** Where it serves over TCP, such as `http://127.0.0.1:9000`. */
  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** @throws {Error} when it is not running */
  get pid(): number {
    if (!this.#child) throw new Error("Cannot tell the pid: it is not running");
    return this.#child.pid;
  }

  /**
   * Starts it and waits until it serves.
   *
   * @throws {Error} with what it wrote, when it ends or is not ready in time
   */
  async start(): Promise<void> {
    const { node = "node1", args = [], env = {}, within = [] } = this.#options;
    const denoArgs = ["run", "-A", ...this.#options.denoArgs ?? []]
      .concat("main.ts", "agent", "--node", node)
      .concat("--state", this.stateDir, "--socket", this.socketPath)
      // It may run beside this machine's own network, which is to stay as it is.
      .concat("--listen", `127.0.0.1:${this.port}`, "--routes", "off", args);
    const line = this.#options.asNobody
      ? await asNobody(this.#dir, denoArgs)
      : { command: Deno.execPath(), args: denoArgs };
    const [command, ...words] = [...within, line.command, ...line.args];
    const child = new Deno.Command(command!, {
      args: words,
      cwd: this.#options.sourceDir ?? ROOT,
      env: { ...env },
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    this.#child = child;
    this.#ended = Promise.all([
      child.status,
      collect(child.stdout, (text) => this.stdout += text),
      collect(child.stderr, (text) => this.stderr += text),
    ]).then(([{ code }]) => {
      this.#child = undefined;
      return code;
    });
    await this.#ready();
  }

  /** Sends a signal and waits for the end. Returns the exit code: 128 and the signal's number if that ended it. */
  async kill(signal: Deno.Signal): Promise<number> {
    this.#child?.kill(signal);
    return await this.#ended;
  }

  /**
   * Asks it to stop, and waits for the end. Returns the exit code.
   *
   * @throws {Error} with what it wrote, when it does not end in time
   */
  async stop(): Promise<number> {
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      this.#child?.kill("SIGKILL");
    }, STOP_TIMEOUT_MS);
    try {
      const code = await this.kill("SIGTERM");
      if (late) throw this.#failure(`it was not done in ${STOP_TIMEOUT_MS} ms`);
      return code;
    } finally {
      clearTimeout(timer);
    }
  }

  /** Stops it if it is running, and starts it again with the same flags and state. */
  async restart(): Promise<void> {
    await this.stop();
    await this.start();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill("SIGKILL");
    await Deno.remove(this.#dir, { recursive: true });
  }

  async #ready(): Promise<void> {
    const { readyTimeoutMs = 120_000 } = this.#options;
    const deadline = Date.now() + readyTimeoutMs;
    // The socket may be there before it serves: only an answer tells.
    while (!await isServing(this.socketPath)) {
      if (!this.#child) {
        throw this.#failure(`it ended with ${await this.#ended}`);
      }
      if (Date.now() > deadline) {
        throw this.#failure(`it was not ready in ${readyTimeoutMs} ms`);
      }
      await delay(20);
    }
  }

  #failure(why: string): Error {
    return new Error(`Cannot run the agent: ${why}\n${this.stderr}`);
  }
}

/** Asks for the agent's health over its socket. */
export function isServing(socketPath: string): Promise<boolean> {
  return new Promise((resolve) => {
    const call = request({
      socketPath,
      method: "POST",
      path: "/grpc.health.v1.Health/Check",
      headers: { "content-type": "application/json" },
      agent: false,
    }, (response) => {
      let body = "";
      response.setEncoding("utf8")
        .on("data", (text: string) => body += text)
        .on("close", () => resolve(/"SERVING"/.test(body)));
    });
    // Nothing listens yet, it ended in the midst of an answer, or is stuck.
    call.on("error", () => resolve(false)).end("{}");
    call.setTimeout(ANSWER_TIMEOUT_MS, () => call.destroy(new Error("late")));
  });
}

async function collect(
  stream: ReadableStream<Uint8Array<ArrayBuffer>>,
  take: (text: string) => void,
): Promise<void> {
  for await (const text of stream.pipeThrough(new TextDecoderStream())) {
    take(text);
  }
}
