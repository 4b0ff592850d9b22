import {
  type ContextKey,
  type ContextValues,
  createContextKey,
} from "@connectrpc/connect";
import { quote } from "../../net/address.ts";
import type { PeerIdentity } from "../../security/pki/identity.ts";

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
