import { ROOT } from "../generate.ts";

/** What V8 counted of one function since the last look (Chrome DevTools protocol, `Profiler.takePreciseCoverage`). */
interface ScriptCoverage {
  readonly url: string;
  readonly functions: readonly {
    readonly functionName: string;
    readonly ranges: readonly { readonly count: number }[];
  }[];
}

/**
 * Counts the functions that a running process calls, with V8's precise
 * coverage over its inspector. Start the process with `--inspect=127.0.0.1:PORT`.
 */
export class CallCoverage implements Disposable {
  readonly #socket: WebSocket;
  readonly #answers = new Map<number, (answer: unknown) => void>();
  #lastId = 0;

  private constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.onmessage = ({ data }) => {
      const { id, result } = JSON.parse(data);
      this.#answers.get(id)?.(result);
      this.#answers.delete(id);
    };
  }

  /** Connects to the inspector on a port of loopback. */
  static async open(port: number): Promise<CallCoverage> {
    const response = await fetch(`http://127.0.0.1:${port}/json/list`);
    const [{ webSocketDebuggerUrl }] = await response.json();
    const socket = new WebSocket(webSocketDebuggerUrl);
    await new Promise<void>((resolve, reject) => {
      socket.onopen = () => resolve();
      socket.onerror = () => reject(new Error("Cannot reach the inspector"));
    });
    const coverage = new CallCoverage(socket);
    await coverage.#ask("Profiler.enable");
    await coverage.#ask("Profiler.startPreciseCoverage", {
      callCount: true,
      detailed: false,
    });
    return coverage;
  }

  /**
   * The files of `src/` that each of some calls enters: those with a function
   * that ran at least once a call. Timers that run meanwhile do not count.
   *
   * @param times how many calls `call` makes; the more, the surer
   * @returns the functions that were called, by file
   */
  async filesOf(
    times: number,
    call: () => Promise<unknown>,
  ): Promise<Map<string, string[]>> {
    await this.#take();
    await call();
    const root = `file://${ROOT}`.replace(/\/?$/, "/");
    const files = new Map<string, string[]>();
    for (const { url, functions } of await this.#take()) {
      if (!url.startsWith(`${root}src/`)) continue;
      const called = functions
        .filter(({ ranges }) => ranges[0]!.count >= times)
        .map(({ functionName }) => functionName || "(anonymous)");
      if (called.length > 0) files.set(url.slice(root.length), called);
    }
    return new Map([...files].sort(([a], [b]) => a < b ? -1 : 1));
  }

  [Symbol.dispose](): void {
    this.#socket.close();
  }

  async #take(): Promise<readonly ScriptCoverage[]> {
    const { result } = await this.#ask("Profiler.takePreciseCoverage") as {
      readonly result: readonly ScriptCoverage[];
    };
    return result;
  }

  #ask(method: string, params: object = {}): Promise<unknown> {
    const id = ++this.#lastId;
    return new Promise((resolve) => {
      this.#answers.set(id, resolve);
      this.#socket.send(JSON.stringify({ id, method, params }));
    });
  }
}
