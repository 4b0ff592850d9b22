/** Everything that the plugin does to the world, and learns from it. */
export interface CniIo {
  /** Reads a variable of the environment. @throws when it is not UTF-8 */
  readonly env: (name: string) => string | undefined;
  /** Reads the configuration, to its end. */
  readonly readStdin: (options: ReadStdinOptions) => Promise<StdinContent>;
  /** Writes the result. @throws when nobody reads it any more */
  readonly stdout: (text: string) => void;
  /** Writes a note for people. */
  readonly stderr: (text: string) => void;
  /** The time, in ms since 1970. */
  readonly now: () => number;
  /** A time that only grows, in ms. */
  readonly uptimeMs: () => number;
  /** Starts a timer. */
  readonly startTimer: (ms: number) => CniTimer;
  /** A new UUID. */
  readonly randomId: () => string;
  /**
   * Connects to a unix socket. Rejects with an Error whose `code` is that of
   * connect(2), such as `ECONNREFUSED`.
   */
  readonly connect: (socketPath: string) => Promise<CniConnection>;
  /** Where releases wait for the agent. */
  readonly queue: ReleaseQueueWriter;
  /** Reaches for a service that speaks Stellar's API at `host:port`. */
  readonly connectStellar: (peer: string) => Promise<StellarClient>;
}

/** A timer that keeps no process from ending. */
export interface CniTimer {
  /** Resolves when the time is over, or the timer was cancelled. */
  readonly expired: Promise<void>;
  cancel(): void;
}

/** Bounds of reading. */
export interface ReadStdinOptions {
  readonly maxBytes: number;
  readonly timeoutMs: number;
}

/** What came on stdin; a bound that was met says which. */
export type StdinContent =
  | { readonly kind: "read"; readonly bytes: Uint8Array }
  | { readonly kind: "too long" }
  | { readonly kind: "late" };

/** A connection, as of `Deno.connect`. */
export interface CniConnection {
  read(buffer: Uint8Array): Promise<number | null>;
  write(bytes: Uint8Array): Promise<number>;
  close(): void;
}

/** Writes releases to disk. */
export interface ReleaseQueueWriter {
  /** Whether a folder is there, by a link or itself. */
  exists(dir: string): boolean;
  /**
   * Writes a file, making the folder (0700) where it is missing. When this
   * returns `written` the file survives a loss of power; half a file is never
   * seen under its name. `full`: the folder has `limit` files already.
   */
  write(dir: string, file: QueueFile): "written" | "full";
}

/** A file of the queue. */
export interface QueueFile {
  readonly name: string;
  /** The name while it is being written. */
  readonly temporaryName: string;
  readonly text: string;
  readonly limit: number;
}

/** The part of Stellar's API that the plugin uses. Every call may throw a StellarCallError. */
export interface StellarClient {
  getSubnet(node: string, timeoutMs: number): Promise<string>;
  /** The address of an id; empty when it holds none. */
  getIp(ref: StellarRef, timeoutMs: number): Promise<string>;
  allocateIp(
    ref: StellarRef & { readonly subnet: string },
    timeoutMs: number,
  ): Promise<string>;
  releaseIp(
    ref: StellarRef & { readonly ip: string },
    timeoutMs: number,
  ): Promise<void>;
}

/** Who holds an address in Stellar's API. */
export interface StellarRef {
  readonly id: string;
  readonly node: string;
}

/** A call of Stellar's API that failed, with the code as the Connect protocol spells it. */
export class StellarCallError extends Error {
  override readonly name = "StellarCallError";
  readonly rpcCode: string;

  constructor(rpcCode: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.rpcCode = rpcCode;
  }
}
