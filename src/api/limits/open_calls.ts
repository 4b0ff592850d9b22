import { NetError } from "../../base/error.ts";

/** Bounds the calls of one kind that a caller has open at once. */
export class OpenCalls {
  readonly #most: number;
  readonly #action: string;
  readonly #open = new Map<string, number>();

  /** @param options `action`: for the error, such as "watch the cluster" */
  constructor(options: { readonly most: number; readonly action: string }) {
    this.#most = options.most;
    this.#action = options.action;
  }

  /**
   * Passes a stream on, and counts it until it ends.
   *
   * @throws {NetError} `exhausted` when the caller has too many open
   */
  async *count<T>(
    caller: string,
    open: () => AsyncIterable<T>,
  ): AsyncGenerator<T> {
    const end = this.#begin(caller);
    try {
      yield* open();
    } finally {
      end();
    }
  }

  /**
   * Makes a call, and counts it until it has its answer.
   *
   * @throws {NetError} `exhausted` when the caller has too many open
   */
  async run<T>(caller: string, call: () => Promise<T>): Promise<T> {
    const end = this.#begin(caller);
    try {
      return await call();
    } finally {
      end();
    }
  }

  /** Counts a call. @returns a function that ends it */
  #begin(caller: string): () => void {
    const before = this.#open.get(caller) ?? 0;
    if (before >= this.#most) {
      throw new NetError(
        "exhausted",
        `Cannot ${this.#action}: ${caller} has ${before} such calls open, which is the limit; end one of them`,
        { reason: "CLIENT_LIMIT" },
      );
    }
    this.#open.set(caller, before + 1);
    return () => {
      const left = this.#open.get(caller)! - 1;
      if (left > 0) this.#open.set(caller, left);
      else this.#open.delete(caller);
    };
  }
}
