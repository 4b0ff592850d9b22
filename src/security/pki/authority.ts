import { parseId } from "../../base/names.ts";
import { fingerprintOf, formatPem } from "./pem.ts";
import { createKey, openKey, type Signer } from "./key.ts";
import {
  AUTHORITY_LIFETIME_MS,
  authorityName,
  BACKDATE_MS,
  ORGANIZATION,
} from "./profile.ts";
import {
  type Certificate,
  randomSerial,
  readCertificate,
  writeCertificate,
  writeName,
} from "./x509.ts";

/** The public part of a cluster's authority, which every host knows. */
export interface TrustRecord {
  readonly clusterId: string;
  /** 1 for the authority that the cluster was created with; one more for each rotation. */
  readonly generation: number;
  /** PEM. */
  readonly certificate: string;
  /** {@linkcode fingerprintOf} its public key. */
  readonly fingerprint: string;
  /** When it begins to sign. Hosts have to know it before. */
  readonly signsFromMs: number;
  /** When hosts stop accepting what it signed. */
  readonly trustedUntilMs: number;
}

/** An authority as the registry stores it. */
export interface AuthorityRecord extends TrustRecord {
  /** PKCS#8 in PEM; empty once another authority signs. */
  readonly privateKey: string;
}

/** An authority that can sign. Its key stays inside. */
export interface Authority {
  readonly record: TrustRecord;
  readonly certificate: Certificate;
  readonly signer: Signer;
}

/** Options of a new authority. */
export interface AuthorityOptions {
  readonly clusterId: string;
  /** Default 1. */
  readonly generation?: number;
  readonly nowMs: number;
  /** Default ten years. */
  readonly lifetimeMs?: number;
  /** When it begins to sign. Default: now. */
  readonly signsFromMs?: number;
}

/**
 * Makes an authority: a key, and a self-signed certificate that names the
 * cluster and the generation.
 *
 * @throws {RangeError} when the cluster id or the generation is not valid
 */
export function createAuthority(options: AuthorityOptions): AuthorityRecord {
  const { clusterId, generation = 1, nowMs } = options;
  const { lifetimeMs = AUTHORITY_LIFETIME_MS, signsFromMs = nowMs } = options;
  if (!Number.isSafeInteger(generation) || generation < 1) {
    throw new RangeError(`${generation} is not a generation: it counts from 1`);
  }
  const name = writeName({
    organization: ORGANIZATION,
    unit: parseId(clusterId),
    commonName: authorityName(generation),
  });
  const privateKey = createKey();
  const signer = openKey(privateKey);
  const { publicKey } = signer;
  const der = writeCertificate({
    serial: randomSerial(),
    issuer: name,
    subject: name,
    notBeforeMs: nowMs - BACKDATE_MS,
    notAfterMs: nowMs + lifetimeMs,
    publicKey,
    issuerKey: publicKey,
    use: "authority",
  }, signer);
  return {
    clusterId,
    generation,
    certificate: formatPem("CERTIFICATE", der),
    fingerprint: fingerprintOf(publicKey),
    signsFromMs,
    trustedUntilMs: readCertificate(der).notAfterMs,
    privateKey,
  };
}

/**
 * Opens a stored authority for signing.
 *
 * @throws {RangeError} when it has no key any more, or its key, fingerprint
 * and certificate do not belong together
 */
export function openAuthority(record: AuthorityRecord): Authority {
  const { privateKey, ...trust } = record;
  const what = `Cannot sign with authority ${record.generation}`;
  if (privateKey === "") {
    throw new RangeError(`${what}: its key was given up when it was replaced`);
  }
  const certificate = readCertificate(record.certificate);
  const signer = openKey(privateKey);
  const fingerprint = fingerprintOf(certificate.publicKey);
  if (fingerprintOf(signer.publicKey) !== fingerprint) {
    throw new RangeError(`${what}: its key is not that of its certificate`);
  }
  if (fingerprint !== record.fingerprint) {
    throw new RangeError(`${what}: its fingerprint is another one`);
  }
  return { record: trust, certificate, signer };
}
