import { Code, ConnectError } from "@connectrpc/connect";
import { getLogger } from "@logtape/logtape";
import { addDetails } from "../messages/errors.ts";
import type { RpcLimits } from "./limits.ts";

/** The identity of a client: see {@linkcode ClientLimits}. */
export type ClientKind = "address" | "identity" | "anonymous";

/** The limits of one client. */
interface ShareLimits {
  readonly connections: number;
  readonly calls: number;
  readonly bytes: number;
}

/** The present share of one client of a server. */
export class ClientShare {
  /** The name of the client in logs. */
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

  /** Counts a call. @throws {ConnectError} RESOURCE_EXHAUSTED when it is one too many */
  begin(): void {
    const { calls } = this.#limits;
    if (this.#calls >= calls) {
      throw this.#refuse(`it has ${calls} calls in flight, which is the limit`);
    }
    this.#calls++;
  }

  /** Counts bytes of a call. @throws {ConnectError} RESOURCE_EXHAUSTED when they are too many */
  receive(bytes: number): void {
    if (this.#bytes + bytes > this.#limits.bytes) {
      throw this.#refuse(
        `it is sending more than ${this.#limits.bytes} bytes at once`,
      );
    }
    this.#bytes += bytes;
  }

  /** Forgets a call and its bytes. */
  end(bytes: number): void {
    this.#calls--;
    this.#bytes -= bytes;
  }

  #refuse(why: string): ConnectError {
    this.#refusals.report({ from: this.name, why });
    const error = new ConnectError(
      `Cannot take the call of ${this.name}: ${why}; try again`,
      Code.ResourceExhausted,
    );
    return addDetails(error, { reason: "CLIENT_LIMIT" });
  }
}

/** What each client uses of a server, so that none takes all of it. A client is
 * identified by its certificate, else by its address. Over TLS, clients without a
 * valid certificate are anonymous, and get less.
 */
export class ClientLimits {
  readonly #shares = new Map<string, ClientShare>();
  readonly #limits: Readonly<Record<ClientKind, ShareLimits>>;
  readonly #maxAnonymousConnections: number;
  readonly #refusals: Refusals;
  /** Connections of anonymous clients. */
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

  get count(): number {
    return this.#shares.size;
  }

  /** Counts a connection until `leave`. Undefined when it is one too many: the
   * caller closes it.
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

  /** Forgets a connection that was counted. */
  leave(kind: ClientKind, share: ClientShare): void {
    if (kind === "anonymous") this.#anonymous--;
    share.connections--;
    if (share.connections === 0) this.#shares.delete(`${kind} ${share.name}`);
  }

  /** Why a client may have no more connections; undefined when it may. */
  #obstacle(
    kind: ClientKind,
    { connections }: ClientShare,
  ): string | undefined {
    const most = this.#limits[kind].connections;
    const without = kind === "anonymous" ? " without a valid certificate" : "";
    if (connections >= most) {
      return `it has ${most} connections${without}, which is the limit`;
    }
    return kind === "anonymous" &&
        this.#anonymous >= this.#maxAnonymousConnections
      ? `there are ${this.#maxAnonymousConnections} connections${without}, which is the limit`
      : undefined;
  }
}

/** Shortest time between two warnings about refused clients, in ms. */
const REPORT_INTERVAL_MS = 10_000;

const log = getLogger(["stellar-net", "rpc"]);

/** A client that was refused. */
export interface RefusedClient {
  /** An address, or a name such as `node "host2"`. */
  readonly from: string;
  readonly why: string;
}

/** Logs refused clients without letting them fill the log. */
export class Refusals {
  readonly #uptimeMs: () => number;
  #reportedAtMs = -Infinity;
  #unreported = 0;

  constructor(uptimeMs: () => number = () => performance.now()) {
    this.#uptimeMs = uptimeMs;
  }

  /** Logs a refusal: as a warning unless there was one in the last ten seconds. */
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
