import type { ContextKey, ContextValues } from "@connectrpc/connect";
import { CALLER, type Caller, SERVER_FINGERPRINT } from "./caller.ts";
import type { ClientShare } from "../limits/client_limits.ts";

/** A connection that a server has accepted. */
export interface Connection {
  /** Who is at the other end, as of now: certificates are looked at again. */
  readonly caller: Caller;
  /** Of the certificate that the client was shown; empty without TLS. */
  readonly serverFingerprint: string;
  /** What its client has of the server; undefined where that has no limits. */
  readonly share: ClientShare | undefined;
}

/** What stands in where it is not known which connection a call came on. */
export const LOST_CONNECTION: Connection = {
  caller: CALLER.defaultValue,
  serverFingerprint: "",
  share: undefined,
};

/**
 * The values that come with a call: those of its connection, and what is set
 * besides. There is one a call: it costs no more than itself until something
 * is set.
 */
export class CallValues implements ContextValues {
  readonly #connection: Connection;
  #set: Map<symbol, unknown> | undefined;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  get<T>(key: ContextKey<T>): T {
    const value = this.#set?.has(key.id)
      ? this.#set.get(key.id)
      : key.id === CALLER.id
      ? this.#connection.caller
      : key.id === SERVER_FINGERPRINT.id
      ? this.#connection.serverFingerprint
      : key.defaultValue;
    return value as T;
  }

  set<T>(key: ContextKey<T>, value: T): this {
    this.#set ??= new Map();
    this.#set.set(key.id, value);
    return this;
  }

  delete(key: ContextKey<unknown>): this {
    this.#set?.delete(key.id);
    return this;
  }
}
