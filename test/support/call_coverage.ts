import { ROOT } from "../generate.ts";

/** What V8 counted of one function since the last look (Chrome DevTools protocol, `Profiler.takePreciseCoverage`). */
interface ScriptCoverage {
  readonly url: string;
  readonly functions: readonly {
    readonly functionName: string;
    readonly ranges: readonly {
      readonly startOffset: number;
      readonly count: number;
    }[];
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
   * The files of `src/` that a call needs: those with a function that each of
   * some calls ran. What a timer runs meanwhile does not run in every one of
   * them, and does not count.
   *
   * @param calls makes one call each; the more, the surer
   * @returns the functions that every call ran, by file
   */
  async filesOf(
    calls: Iterable<() => Promise<unknown>>,
  ): Promise<Map<string, string[]>> {
    await this.#take();
    let common: Set<string> | undefined;
    for (const call of calls) {
      await call();
      const ran = functionsIn(await this.#take());
      common = common?.intersection(ran) ?? ran;
    }
    const files = new Map<string, string[]>();
    for (const key of [...common ?? []].sort()) {
      const [file, name] = JSON.parse(key);
      files.set(file, [...files.get(file) ?? [], name]);
    }
    return files;
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

/** The functions of `src/` that ran, as JSON of the file, the name and the place. */
function functionsIn(scripts: readonly ScriptCoverage[]): Set<string> {
  const root = `file://${ROOT}`.replace(/\/?$/, "/");
  return new Set(
    scripts.filter(({ url }) => url.startsWith(`${root}src/`)).flatMap(
      ({ url, functions }) =>
        functions.filter(({ ranges }) => ranges[0]!.count > 0).map(
          ({ functionName, ranges }) =>
            JSON.stringify([
              url.slice(root.length),
              functionName || "(anonymous)",
              ranges[0]!.startOffset,
            ]),
        ),
    ),
  );
}
