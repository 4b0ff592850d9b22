import {
  type ContextKey,
  type ContextValues,
  createContextKey,
} from "@connectrpc/connect";
import { quote } from "../../net/address.ts";
import type { PeerIdentity } from "../../security/pki/identity.ts";
import type { ClientShare } from "../limits/clients.ts";

/** The caller, as the connection shows it: never what a request says. */
export type Caller =
  /** A user of this host whom the socket's mode lets in. */
  | { readonly kind: "socket" }
  /** Any user of this host, in plain text. */
  | { readonly kind: "loopback"; readonly address: string }
  /** Anybody, in plain text: `--insecure`. */
  | { readonly kind: "plain"; readonly address: string }
  /** Over TLS, without a certificate: a host that is about to join. */
  | { readonly kind: "anonymous"; readonly address: string }
  /** Over TLS, with a valid certificate. */
  | {
    readonly kind: "member";
    readonly identity: PeerIdentity;
    readonly address: string;
  }
  /** Over TLS, with a certificate that is not valid. */
  | {
    readonly kind: "refused";
    /** The reason, as a sentence. */
    readonly why: string;
    /** The identity of a certificate whose only fault is that it has expired. */
    readonly expired?: PeerIdentity;
    readonly address: string;
  };

const UNKNOWN: Caller = {
  kind: "refused",
  why: "Cannot identify the caller",
  address: "",
};

/** The key of the caller in a call's context. */
export const CALLER: ContextKey<Caller> = createContextKey<Caller>(UNKNOWN, {
  description: "caller",
});

/**
 * The key of the fingerprint (`fingerprintOf`) of the certificate that the
 * server showed on the call's connection. Empty in plain text.
 */
export const SERVER_FINGERPRINT: ContextKey<string> = createContextKey<string>(
  "",
  { description: "fingerprint of the server's certificate" },
);

/** The caller of a call. */
export function callerOf(
  { values }: { readonly values: ContextValues },
): Caller {
  return values.get(CALLER);
}

/** A caller as logs and the audit name it: `operator alice`, `socket`. */
export function formatCaller(caller: Caller): string {
  if (caller.kind !== "member") return caller.kind;
  const { role, name } = caller.identity;
  return `${role} ${name}`;
}

/** A caller as messages name it: `operator "alice"`, `socket`. */
export function describeCaller(caller: Caller): string {
  if (caller.kind !== "member") return caller.kind;
  const { role, name } = caller.identity;
  return `${role} ${quote(name)}`;
}

/** A connection that a server has accepted. */
export interface Connection {
  /** The caller as of now: certificates are checked again while a connection lasts. */
  readonly caller: Caller;
  /** Fingerprint of the certificate that the server showed; empty without TLS. */
  readonly serverFingerprint: string;
  /** The client's share of the server; undefined for a client without limits. */
  readonly share: ClientShare | undefined;
}

/** The connection of every client of a unix socket. */
export const SOCKET_CONNECTION: Connection = {
  caller: { kind: "socket" },
  serverFingerprint: "",
  share: undefined,
};

/** Stands in for a connection that is not known any more. */
export const LOST_CONNECTION: Connection = {
  caller: CALLER.defaultValue,
  serverFingerprint: "",
  share: undefined,
};

/**
 * The values of a call's context: those of its connection, and what is set
 * besides. There is one for each call, so it allocates nothing until then.
 */
export class CallValues implements ContextValues {
  readonly #connection: Connection;
  #set: Map<symbol, unknown> | undefined;
  #isDelivered: boolean | undefined;
  #onDelivery: ((isDelivered: boolean) => void) | undefined;

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

  /** Whether a listener waits for the delivery of the answer. */
  get isAwaited(): boolean {
    return this.#onDelivery !== undefined;
  }

  /** Decides, once, whether the answer was delivered. */
  settle(isDelivered: boolean): void {
    if (this.#isDelivered !== undefined) return;
    this.#isDelivered = isDelivered;
    this.#onDelivery?.(isDelivered);
    this.#onDelivery = undefined;
  }

  /** Calls back once, with whether the answer was delivered. */
  onDelivery(listener: (isDelivered: boolean) => void): void {
    if (this.#isDelivered !== undefined) listener(this.#isDelivered);
    else this.#onDelivery = listener;
  }
}

/**
 * Calls back once, with whether the answer of a call was delivered to its
 * caller. An answer that no server sends counts as delivered.
 */
export function onDelivery(
  values: ContextValues,
  listener: (isDelivered: boolean) => void,
): void {
  if (values instanceof CallValues) values.onDelivery(listener);
  else listener(true);
}

/** Says that the answer of a call will not reach its caller. */
export function settleAsLost(values: ContextValues): void {
  if (values instanceof CallValues) values.settle(false);
}

/**
 * A text field of a request; empty where there is none.
 *
 * @param path local names of fields, with dots between them: `owner.containerId`
 */
export function textOf(request: object, path: string): string {
  let value: unknown = request;
  for (const name of path.split(".")) {
    if (typeof value !== "object" || value === null) return "";
    value = (value as Readonly<Record<string, unknown>>)[name];
  }
  return typeof value === "string" ? value : "";
}
