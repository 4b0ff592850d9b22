import type { PeerIdentity } from "../../security/pki/identity.ts";

/** PEM texts for node:tls. */
export interface TlsMaterial {
  /** The certificate, then its intermediate ones; empty, like the key, to show none. */
  readonly cert: string;
  readonly key: string;
  /** The trusted authorities. */
  readonly ca: string;
}

/** A certificate that the other end of a connection showed. TLS has verified that it has the key. */
export interface ShownCertificate {
  readonly der: Uint8Array;
  /** Whether TLS found it signed by a trusted authority, for this purpose, and within its validity period. */
  readonly isTrusted: boolean;
  readonly usage: "client" | "server";
}

/** The identity of the other end of a connection. */
export type Recognition =
  | { readonly kind: "member"; readonly identity: PeerIdentity }
  | {
    readonly kind: "refused";
    /** The reason, as a sentence. */
    readonly why: string;
    /** The identity of a certificate whose only fault is that it has expired: it may be renewed. */
    readonly expired?: PeerIdentity;
  };

/** The certificate that an agent or a client shows, and how it recognises others. */
export interface TlsCredentials {
  /** The current material; undefined while there is no certificate yet. */
  readonly material: TlsMaterial | undefined;
  /** Whether a client without a certificate may call at all: to join. If not, its
   * handshake fails.
   */
  readonly acceptsAnonymous: boolean;
  /** Where its trusted authorities are, for messages. Default `of this cluster`. */
  readonly trusts?: string;
  /** The path of the certificate, for messages. */
  readonly place: string;
  /** Recognises the other end, as of now. Call it again while a connection lasts. */
  recognize(shown: ShownCertificate): Recognition;
  /** Why others would refuse the own certificate now; empty when they would not. */
  fault(nowMs: number): string;
  /** Warnings for the operator. */
  warnings(nowMs: number): string[];
  /** Why there is no certificate yet; empty when it is being asked for. */
  missing?(): string;
  /** Notes that another agent refused the own certificate, and why. */
  noteRefusal?(why: string): void;
  /** Calls back after each change of certificate, trust or revocations. @returns a function that stops it */
  onChange(listener: () => void): () => void;
}
