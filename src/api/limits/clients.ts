import { Code, ConnectError } from "@connectrpc/connect";
import { getLogger } from "@logtape/logtape";
import type { RpcLimits } from "./limits.ts";

/** What a client is known by: see {@linkcode ClientLimits}. */
export type ClientKind = "address" | "identity" | "anonymous";

/** What one client may have at once. */
interface ShareLimits {
  readonly connections: number;
  readonly calls: number;
  readonly bytes: number;
}

/** What one client has of a server at the moment. */
export class ClientShare {
  /** As logs name the client. */
  readonly name: string;
  readonly #limits: ShareLimits;
  readonly #refusals: Refusals;
  #calls = 0;
  #bytes = 0;
  /** Counted by {@linkcode ClientLimits}. */
  connections = 0;

  constructor(
    name: string,
    { limits, refusals }: {
      readonly limits: ShareLimits;
      readonly refusals: Refusals;
    },
  ) {
    this.name = name;
    this.#limits = limits;
    this.#refusals = refusals;
  }

  /** Counts a call that begins. @throws {ConnectError} RESOURCE_EXHAUSTED when it is one too many */
  begin(): void {
    const { calls } = this.#limits;
    if (this.#calls >= calls) {
      throw this.#refuse(`it has ${calls} calls under way, as many as it may`);
    }
    this.#calls++;
  }

  /** Counts what is received of a call. @throws {ConnectError} RESOURCE_EXHAUSTED when it is too much */
  receive(bytes: number): void {
    if (this.#bytes + bytes > this.#limits.bytes) {
      throw this.#refuse(
        `it is sending more than ${this.#limits.bytes} bytes at once`,
      );
    }
    this.#bytes += bytes;
  }

  /** Takes a call out that began, with what was received of it. */
  end(bytes: number): void {
    this.#calls--;
    this.#bytes -= bytes;
  }

  #refuse(why: string): ConnectError {
    this.#refusals.report({ from: this.name, why });
    return new ConnectError(
      `Cannot take the call of ${this.name}: ${why}; try again`,
      Code.ResourceExhausted,
    );
  }
}

/**
 * What each client has of a server, so that none takes all of it. Clients are
 * known by their identity where they have shown one, else by their address.
 * Those who have shown none where others have to are newcomers, and have less.
 */
export class ClientLimits {
  readonly #shares = new Map<string, ClientShare>();
  readonly #limits: Readonly<Record<ClientKind, ShareLimits>>;
  readonly #maxAnonymousConnections: number;
  readonly #refusals: Refusals;
  /** Connections of newcomers. */
  #anonymous = 0;

  constructor(limits: RpcLimits, refusals: Refusals) {
    const { maxCallsPerClient: calls, maxReceivedBytesPerClient: bytes } =
      limits;
    this.#limits = {
      address: { connections: limits.maxConnectionsPerAddress, calls, bytes },
      identity: { connections: limits.maxConnectionsPerIdentity, calls, bytes },
      anonymous: {
        connections: limits.maxConnectionsPerAnonymous,
        calls: limits.maxCallsPerAnonymous,
        bytes: limits.maxReceivedBytesPerAnonymous,
      },
    };
    this.#maxAnonymousConnections = limits.maxAnonymousConnections;
    this.#refusals = refusals;
  }

  /** How many clients there are. */
  get count(): number {
    return this.#shares.size;
  }

  /**
   * Counts a connection until `leave`. Undefined when it is one too many: it
   * has to be closed.
   *
   * @param name an address, or a role and a name
   */
  enter(kind: ClientKind, name: string): ClientShare | undefined {
    const limits = this.#limits[kind];
    const key = `${kind} ${name}`;
    const share = this.#shares.get(key) ??
      new ClientShare(name, { limits, refusals: this.#refusals });
    const why = this.#obstacle(kind, share);
    if (why !== undefined) {
      this.#refusals.report({ from: name, why });
      return undefined;
    }
    if (kind === "anonymous") this.#anonymous++;
    share.connections++;
    this.#shares.set(key, share);
    return share;
  }

  /** Takes a connection out that was counted. */
  leave(kind: ClientKind, share: ClientShare): void {
    if (kind === "anonymous") this.#anonymous--;
    share.connections--;
    if (share.connections === 0) this.#shares.delete(`${kind} ${share.name}`);
  }

  /** Why a client may have no more connections; undefined where it may. */
  #obstacle(
    kind: ClientKind,
    { connections }: ClientShare,
  ): string | undefined {
    const most = this.#limits[kind].connections;
    const without = kind === "anonymous"
      ? " without a certificate that holds"
      : "";
    if (connections >= most) {
      return `it has ${most} connections${without}, as many as it may`;
    }
    return kind === "anonymous" &&
        this.#anonymous >= this.#maxAnonymousConnections
      ? `there are ${this.#maxAnonymousConnections} connections${without}, as many as there may be`
      : undefined;
  }
}

/** Refused clients are told to the operator this often at most, in ms. */
const REPORT_INTERVAL_MS = 10_000;

const log = getLogger(["stellar-net", "rpc"]);

/** Who was refused, and why. */
export interface RefusedClient {
  /** An address, or a name such as `node "host2"`. */
  readonly from: string;
  readonly why: string;
}

/** Tells the operator about clients that are refused, and does not let them fill the log. */
export class Refusals {
  readonly #uptimeMs: () => number;
  #reportedAtMs = -Infinity;
  #unreported = 0;

  constructor(uptimeMs: () => number = () => performance.now()) {
    this.#uptimeMs = uptimeMs;
  }

  /** Logs a refusal, if none was in the last ten seconds. */
  report({ from, why }: RefusedClient): void {
    const nowMs = this.#uptimeMs();
    if (nowMs - this.#reportedAtMs < REPORT_INTERVAL_MS) {
      this.#unreported++;
      log.debug("Refused a client at {from}: {why}", { from, why });
      return;
    }
    const others = this.#unreported;
    this.#reportedAtMs = nowMs;
    this.#unreported = 0;
    log.warn("Refused a client at {from}: {why} ({others} others before)", {
      ...{ from, why, others },
    });
  }
}
