import {
  type ContextKey,
  type ContextValues,
  createContextKey,
} from "@connectrpc/connect";
import { getLogger } from "@logtape/logtape";
import { quote } from "../../net/address.ts";
import type { PeerIdentity } from "../../security/pki/identity.ts";
import type { ClientShare } from "../limits/clients.ts";

/** Who calls: known by the way the call came, never by what it says. */
export type Caller =
  /** A user of this host whom the socket's mode lets in. */
  | { readonly kind: "socket" }
  /** Anybody on this host, in plain text. */
  | { readonly kind: "loopback"; readonly address: string }
  /** Anybody, in plain text: `--insecure`. */
  | { readonly kind: "plain"; readonly address: string }
  /** Over TLS, without a certificate: a host that is about to join. */
  | { readonly kind: "newcomer"; readonly address: string }
  /** Over TLS, with a certificate that holds. */
  | {
    readonly kind: "member";
    readonly identity: PeerIdentity;
    readonly address: string;
  }
  /** Over TLS, with a certificate that does not hold. */
  | {
    readonly kind: "refused";
    /** What is wrong, as a sentence. */
    readonly why: string;
    /** Who it was, where the certificate has only ended. */
    readonly ended?: PeerIdentity;
    readonly address: string;
  };

const NOBODY: Caller = {
  kind: "refused",
  why: "Cannot tell who calls",
  address: "",
};

/** Where a call's context has its caller. */
export const CALLER: ContextKey<Caller> = createContextKey<Caller>(NOBODY, {
  description: "who calls",
});

/** Who makes a call. */
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

/**
 * Where a call's context has the fingerprint of the certificate that this end
 * of its connection has shown: `fingerprintOf` its DER. Empty in plain text.
 */
export const SERVER_FINGERPRINT: ContextKey<string> = createContextKey<string>(
  "",
  { description: "fingerprint of the server's certificate" },
);

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

const log = getLogger(["stellar-net", "rpc"]);

/** Takes something back. */
type Undo = () => Promise<unknown>;

const UNDO: ContextKey<Undo | undefined> = createContextKey<Undo | undefined>(
  undefined,
  { description: "what to do when the answer of a call is not delivered" },
);

/**
 * Has something taken back when the answer of a call does not reach its
 * caller: when the connection is gone before, or the answer cannot be sent.
 */
export function undoUnlessDelivered(values: ContextValues, undo: Undo): void {
  values.set(UNDO, undo);
}

/** Takes back what a call has asked for, because its answer was not delivered. */
export async function undoUndelivered(
  values: ContextValues | undefined,
): Promise<void> {
  const undo = values?.get(UNDO);
  if (!values || !undo) return;
  values.delete(UNDO);
  try {
    await undo();
  } catch (error) {
    log.warn(
      "Cannot take back what an answer that was not delivered gave: {error}",
      {
        error,
      },
    );
  }
}
