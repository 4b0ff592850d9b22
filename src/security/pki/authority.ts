import type { Certificate } from "pkijs";
import { parseId } from "../../base/names.ts";
import { authorityName, BACKDATE_MS, ORGANIZATION } from "./authority_name.ts";
import {
  createName,
  randomSerial,
  signCertificate,
  toDer,
} from "./certificate_parts.ts";
import { decodeCertificate } from "./decode.ts";
import { authorityExtensions, keyIdExtensions } from "./extensions.ts";
import { fingerprintOf } from "./fingerprint.ts";
import { createKey, openKey, publicKeyInfo } from "./host_key.ts";
import { AUTHORITY_LIFETIME_MS } from "./lifetimes.ts";
import { formatPem } from "./pem.ts";

/** The public part of an authority of a cluster: what every host knows. */
export interface TrustRecord {
  readonly clusterId: string;
  /** 1 for the authority that the cluster was created with; one more for each rotation. */
  readonly generation: number;
  /** PEM. */
  readonly certificate: string;
  /** {@linkcode fingerprintOf} its public key. */
  readonly fingerprint: string;
  /** From when on it signs: hosts have to know it before. */
  readonly signsFromMs: number;
  /** Until when what it signed is accepted. */
  readonly trustedUntilMs: number;
}

/** An authority as the registry stores it. */
export interface AuthorityRecord extends TrustRecord {
  /** PKCS#8 in PEM; empty once it will not sign again. */
  readonly privateKey: string;
}

/** An authority that can sign. Its key cannot be taken out of it. */
export interface Authority {
  readonly record: TrustRecord;
  readonly certificate: Certificate;
  readonly key: CryptoKey;
}

/** Of what an authority is made. */
export interface AuthorityOptions {
  readonly clusterId: string;
  /** Default 1. */
  readonly generation?: number;
  readonly nowMs: number;
  /** Default ten years. */
  readonly lifetimeMs?: number;
  /** From when on it signs. Default: now. */
  readonly signsFromMs?: number;
}

/**
 * Makes an authority: a key and a certificate that it signs itself, which
 * names the cluster and the generation.
 *
 * @throws {RangeError} when the cluster id or the generation is not valid
 */
export async function createAuthority(
  options: AuthorityOptions,
): Promise<AuthorityRecord> {
  const { clusterId, generation = 1, nowMs } = options;
  const { lifetimeMs = AUTHORITY_LIFETIME_MS, signsFromMs = nowMs } = options;
  if (!Number.isSafeInteger(generation) || generation < 1) {
    throw new RangeError(`${generation} is not a generation: it counts from 1`);
  }
  const privateKey = await createKey();
  const publicKey = await publicKeyInfo(privateKey);
  const name = createName({
    organization: ORGANIZATION,
    unit: parseId(clusterId),
    commonName: authorityName(generation),
  });
  const certificate = await signCertificate({
    serial: randomSerial(),
    issuer: name,
    subject: name,
    notBeforeMs: nowMs - BACKDATE_MS,
    notAfterMs: nowMs + lifetimeMs,
    publicKey,
    extensions: [
      ...authorityExtensions(),
      ...keyIdExtensions(publicKey, publicKey),
    ],
  }, await openKey(privateKey));
  return {
    clusterId,
    generation,
    certificate: formatPem("CERTIFICATE", toDer(certificate)),
    fingerprint: fingerprintOf(toDer(publicKey)),
    signsFromMs,
    trustedUntilMs: certificate.notAfter.value.getTime(),
    privateKey,
  };
}

/**
 * Makes a stored authority ready to sign.
 *
 * @throws {RangeError} when it has no key any more, or the record is damaged:
 * its fingerprint and its key have to be those of its certificate
 */
export async function openAuthority(
  record: AuthorityRecord,
): Promise<Authority> {
  const { privateKey, ...trust } = record;
  const what = `Cannot sign with authority ${record.generation}`;
  if (privateKey === "") {
    throw new RangeError(`${what}: its key was given up when it was replaced`);
  }
  const certificate = decodeCertificate(record.certificate);
  const publicKey = toDer(await publicKeyInfo(privateKey));
  const stated = toDer(certificate.subjectPublicKeyInfo);
  if (fingerprintOf(publicKey) !== fingerprintOf(stated)) {
    throw new RangeError(`${what}: its key is not that of its certificate`);
  }
  if (fingerprintOf(stated) !== record.fingerprint) {
    throw new RangeError(`${what}: its fingerprint is another one`);
  }
  return { record: trust, certificate, key: await openKey(privateKey) };
}
