import { getLogger } from "@logtape/logtape";
import { NetError } from "../base/error.ts";
import { RegistryHost, type RegistryHostOptions } from "./host.ts";
import { sleep } from "../base/periodic_task.ts";

/** Time to the next attempt to open it, in ms. */
const RETRY_MS = 1_000;

const log = getLogger(["stellar-net", "agent", "registry"]);

/**
 * The registry in a store that other agents host, too. It is opened as soon as
 * the store answers: an agent starts, and hands out the addresses of its own
 * node, while that is out of reach.
 */
export class SharedRegistry {
  readonly #options: RegistryHostOptions;
  readonly #stop = new AbortController();
  #host: RegistryHost | undefined;
  #problem = "it was not asked yet";
  #opening: Promise<void> = Promise.resolve();
  readonly #asked = Promise.withResolvers<void>();

  constructor(options: RegistryHostOptions) {
    this.#options = options;
  }

  /** Undefined until it is open. */
  get host(): RegistryHost | undefined {
    return this.#host;
  }

  /** @throws {NetError} `unavailable` until it is open */
  require(): RegistryHost {
    if (this.#host) return this.#host;
    throw new NetError(
      "unavailable",
      `Cannot reach the registry in ${this.#options.store.url}: ${this.#problem}`,
    );
  }

  /** As {@linkcode SharedRegistry.require}, once the store was asked. */
  async whenAsked(): Promise<RegistryHost> {
    await this.#asked.promise;
    return this.require();
  }

  /** Begins to open it. */
  start(): void {
    this.#opening = this.#open();
  }

  /** Ends it. */
  async stop(): Promise<void> {
    this.#stop.abort();
    this.#asked.resolve();
    await this.#opening;
    await this.#host?.stop();
  }

  async #open(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      try {
        this.#host = await RegistryHost.open(this.#options);
        this.#host.start();
        this.#asked.resolve();
        return;
      } catch (error) {
        if (!(error instanceof NetError)) throw error;
        if (error.message !== this.#problem) {
          log.warn("Cannot open the registry, trying again: {error}", {
            error: error.message,
          });
        }
        this.#problem = error.message;
        this.#asked.resolve();
      }
      await sleep(RETRY_MS, signal);
    }
  }
}
