import type { TrustRecord } from "./pki/authority.ts";
import type { RevocationRecord } from "./pki/revocation.ts";

/** What a host of the cluster checks others with. */
export interface Trust {
  /** The authorities that are trusted or will be, the oldest first. */
  readonly authorities: readonly TrustRecord[];
  readonly revocations: readonly RevocationRecord[];
}

/** What an authority gives to who it has certified. */
export interface Credentials {
  /** PEM: the certificate, then its authority's. */
  readonly chain: string;
  readonly trust: Trust;
}
