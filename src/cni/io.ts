import type { FoundNamespace } from "../net/namespace.ts";

/** The effects of a call of the plugin. */
export interface CniIo {
  /** Reads a variable of the environment. @throws when it is not UTF-8 */
  readonly env: (name: string) => string | undefined;
  /** Reads the configuration, to its end. */
  readonly readStdin: (options: ReadStdinOptions) => Promise<StdinContent>;
  /** Writes a note for people. */
  readonly stderr: (text: string) => void;
  /** The time, in ms since 1970. */
  readonly now: () => number;
  /** Monotonic time, in ms. */
  readonly uptimeMs: () => number;
  readonly startTimer: (ms: number) => CniTimer;
  /** Looks up the network namespace at a path. Never throws. */
  readonly findNamespace: (path: string) => Promise<FoundNamespace>;
  /** Whether the undoing of an ADD may wait in the queue. */
  readonly mayQueueUndo: boolean;
  /** Boot id of this host; empty when it is not known. */
  readonly bootId: () => Promise<string>;
  /** A new UUID. */
  readonly randomId: () => string;
  /**
   * Connects to a unix socket. Rejects with an Error whose `code` is that of
   * connect(2), such as `ECONNREFUSED`.
   */
  readonly connect: (socketPath: string) => Promise<CniConnection>;
  /** Releases that wait for the agent. */
  readonly queue: ReleaseQueueWriter;
  /** Makes a client of a service that speaks Stellar's API at `host:port`. */
  readonly connectStellar: (peer: string) => Promise<StellarClient>;
}

/** The effects of the plugin in a process of its own. */
export interface PluginIo extends CniIo {
  /** Writes the result. @throws when nobody reads it */
  readonly stdout: (text: string) => void;
}

/** A timer that does not keep the process alive. */
export interface CniTimer {
  /** Resolves when the time is over or someone cancels the timer. */
  readonly expired: Promise<void>;
  cancel(): void;
}

/** Bounds of a read. */
export interface ReadStdinOptions {
  readonly maxBytes: number;
  readonly timeoutMs: number;
}

/** The content of stdin, or the bound that it exceeded. */
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
  /** Whether a path is a folder or a link to one. */
  exists(dir: string): boolean;
  /**
   * Writes a file, and makes the folder (0700) where it is missing. `written`:
   * the file survives a loss of power, and nobody ever sees half of it under its
   * name. `full`: the folder has `limit` files already.
   */
  write(dir: string, file: QueueFile): "written" | "full";
}

export interface QueueFile {
  readonly name: string;
  /** Its name during the write. */
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

/** The holder of an address in Stellar's API. */
export interface StellarRef {
  readonly id: string;
  readonly node: string;
}

/** A failed call of Stellar's API, with the code in the Connect protocol's spelling. */
export class StellarCallError extends Error {
  override readonly name = "StellarCallError";
  readonly rpcCode: string;

  constructor(rpcCode: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.rpcCode = rpcCode;
  }
}
