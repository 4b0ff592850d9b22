import type { AuthorityRecord } from "../../src/security/pki/authority.ts";
import { publicPart } from "../../src/security/pki/generations.ts";
import type { RevocationRecord } from "../../src/security/pki/revocation.ts";
import {
  type EndorsementRecord,
  signTrust,
} from "../../src/security/pki/signed_trust.ts";
import type { Trust } from "../../src/security/trust.ts";

/** The trust in some authorities, signed by those that have their key. */
export function trustOf(
  records: readonly AuthorityRecord[],
  revocations: readonly RevocationRecord[] = [],
  endorsements: readonly EndorsementRecord[] = [],
): Trust {
  return {
    authorities: records.map(publicPart),
    revocations,
    signed: signTrust(records, { revocations, endorsements }),
  };
}
