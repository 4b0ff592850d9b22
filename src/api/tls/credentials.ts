import type { PeerIdentity } from "../../security/pki/identity.ts";

/** Texts in PEM, as node:tls takes them. */
export interface TlsMaterial {
  /** The certificate, and those between it and its authority; empty, as the key: none is shown. */
  readonly cert: string;
  readonly key: string;
  /** The authorities that are trusted. */
  readonly ca: string;
}

/** What the other end of a connection has shown. It has the key: TLS has verified that. */
export interface ShownCertificate {
  /** DER. */
  readonly der: Uint8Array;
  /** Whether TLS has found it signed by a trusted authority, for this purpose, and in time. */
  readonly isTrusted: boolean;
  readonly usage: "client" | "server";
}

/** Who is at the other end of a connection. */
export type Recognition =
  | { readonly kind: "member"; readonly identity: PeerIdentity }
  | {
    readonly kind: "refused";
    /** What is wrong, as a sentence. */
    readonly why: string;
    /** Who it was, where the certificate has only ended and may be renewed. */
    readonly expired?: PeerIdentity;
  };

/** What an agent or a client shows to others, and recognises them by. */
export interface TlsCredentials {
  /** What is in force; undefined while there is no certificate yet. */
  readonly material: TlsMaterial | undefined;
  /**
   * Whether a client without a certificate may call at all: to join. Otherwise
   * its handshake fails.
   */
  readonly acceptsAnonymous: boolean;
  /** Where the authorities are that it trusts, for messages. Default `of this cluster`. */
  readonly trusts?: string;
  /** Where the certificate is, for messages: the path of a file. */
  readonly place: string;
  /** Tells who is at the other end, as of now: also good for connections that last. */
  recognize(shown: ShownCertificate): Recognition;
  /** What others would find wrong with the own certificate now; empty when nothing is. */
  fault(nowMs: number): string;
  /** What an operator should know. */
  warnings(nowMs: number): string[];
  /** Takes in that another has not accepted what was shown to it, and why. */
  noteRefusal?(why: string): void;
  /** Calls back after each change of what is shown, trusted or revoked. @returns what ends that */
  onChange(listener: () => void): () => void;
}
