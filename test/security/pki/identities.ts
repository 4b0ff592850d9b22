import type { Address } from "../../../src/net/address.ts";
import {
  type Authority,
  type AuthorityOptions,
  type AuthorityRecord,
  createAuthority,
  openAuthority,
} from "../../../src/security/pki/authority.ts";
import {
  type CertificateTerms,
  issueCertificate,
  type IssuedCertificate,
} from "../../../src/security/pki/certificate.ts";
import { createKey } from "../../../src/security/pki/key.ts";
import { parsePem } from "../../../src/security/pki/pem.ts";
import {
  createSigningRequest,
  readSigningRequest,
} from "../../../src/security/pki/signing_request.ts";

/** When everything happens, where the real time does not matter. */
export const NOW_MS = Date.UTC(2026, 0, 1);
export const HOUR_MS = 3600_000;
export const LOOPBACK: Address = { family: 4, value: 0x7f000001n };

/** An authority with its record. */
export interface TestAuthority {
  readonly record: AuthorityRecord;
  readonly authority: Authority;
}

/** A certificate with its key. */
export interface TestIdentity extends IssuedCertificate {
  /** PKCS#8 in PEM. */
  readonly key: string;
  readonly request: string;
  /** DER of the certificate alone. */
  readonly der: Uint8Array;
}

/** Makes an authority of cluster `c1`. */
export function createTestAuthority(
  options: Partial<AuthorityOptions> = {},
): TestAuthority {
  const record = createAuthority({
    clusterId: "c1",
    nowMs: NOW_MS,
    ...options,
  });
  return { record, authority: openAuthority(record) };
}

/** Makes a key and has it certified, for node `n1` at the loopback address if nothing else is said. */
export function createIdentity(
  { authority }: TestAuthority,
  terms: Partial<CertificateTerms> = {},
): TestIdentity {
  const { role = "node" } = terms;
  const key = createKey();
  const request = createSigningRequest(key);
  const issued = issueCertificate(authority, {
    request: readSigningRequest(request),
    role,
    name: "n1",
    addresses: role === "node" ? [LOOPBACK] : [],
    dnsNames: [],
    nowMs: NOW_MS,
    ...terms,
  });
  const [der] = parsePem("CERTIFICATE", issued.chain);
  return { ...issued, key, request, der: der! };
}
