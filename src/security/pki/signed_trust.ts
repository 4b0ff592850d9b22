import { NetError } from "../../base/error.ts";
import { readRecord } from "../../base/json_reader.ts";
import {
  type AuthorityRecord,
  openAuthority,
  type TrustRecord,
} from "./authority.ts";
import { fingerprintOf } from "./pem.ts";
import { publicPart, trustedAt } from "./generations.ts";
import { openKey, verifyBytes } from "./key.ts";
import { readRevocationRecord, readTrustRecord } from "./records.ts";
import type { RevocationRecord } from "./revocation.ts";
import { base64url, fromBase64url } from "./token.ts";
import { readCertificate } from "./x509.ts";

/**
 * Trust changes only by a signature of an authority that is already trusted.
 * The registry signs all of its trust with every authority that has a key, and
 * in a rotation the previous authority endorses the next one, for hosts that
 * were off while both had keys.
 *
 * A receiver merges a signed trust into its own. Merging only adds
 * authorities and revocations and shortens times, so that an old statement
 * that somebody sends again takes nothing back.
 */

/** The authorities and revocations by which a host verifies certificates. */
export interface TrustContent {
  readonly authorities: readonly TrustRecord[];
  readonly revocations: readonly RevocationRecord[];
}

/** A trust with its signatures. */
export interface SignedTrust {
  /** JSON of the content and the endorsements. */
  readonly statement: string;
  /** By one or more authorities. */
  readonly signatures: readonly TrustSignature[];
}

/** A signature of an authority over a statement. */
export interface TrustSignature {
  readonly generation: number;
  /** ECDSA-Sig-Value in DER. */
  readonly signature: Uint8Array<ArrayBuffer>;
}

/** The statement of an authority that its members should trust the next one. */
export interface EndorsementRecord {
  /** Of the endorsed authority. */
  readonly generation: number;
  /** The generation of the authority that signs. */
  readonly by: number;
  /** ECDSA-Sig-Value in DER, as base64url, over the certificate. */
  readonly signature: string;
}

/** Prefixes of what is signed. A certificate begins with another byte, so that no signature is valid for both. */
const STATEMENT = "stellar-net trust v1\n";
const ENDORSEMENT = "stellar-net endorsement v1\n";

/** Signs the trust of a cluster, with every authority that has its key. */
export function signTrust(
  records: readonly AuthorityRecord[],
  content: {
    readonly revocations: readonly RevocationRecord[];
    readonly endorsements: readonly EndorsementRecord[];
  },
): SignedTrust {
  const { revocations, endorsements } = content;
  const authorities = records.map(publicPart);
  const statement = JSON.stringify({ authorities, revocations, endorsements });
  const signatures = records.filter(({ privateKey }) => privateKey !== "")
    .map((record) => ({
      generation: record.generation,
      signature: openAuthority(record).signer
        .signBytes(encode(STATEMENT, statement)),
    }));
  return { statement, signatures };
}

/** Endorses the next authority with the previous one. */
export function endorse(
  previous: AuthorityRecord,
  next: TrustRecord,
): EndorsementRecord {
  const signature = openKey(previous.privateKey)
    .signBytes(encode(ENDORSEMENT, next.certificate));
  return {
    generation: next.generation,
    by: previous.generation,
    signature: base64url(signature),
  };
}

/**
 * Merges a signed trust into the known one.
 *
 * @param checks the fingerprint of an authority to start from in place of the
 * known ones, such as a join token's
 * @throws {NetError} `unauthenticated` when no authority that is trusted has
 * signed it, or it cannot be read
 */
export function mergeTrust(
  known: TrustContent,
  offered: SignedTrust,
  checks: { readonly nowMs: number; readonly fingerprint?: string },
): TrustContent {
  const { nowMs, fingerprint } = checks;
  const content = readStatement(offered.statement);
  const start = fingerprint === undefined ? known.authorities : [];
  const trusted = fingerprint === undefined
    ? trustedAt(known.authorities, nowMs)
    : content.authorities.filter((one) => keyOf(one) === fingerprint);
  const reached = follow(trusted, content);
  const message = encode(STATEMENT, offered.statement);
  const isSigned = offered.signatures.some(({ generation, signature }) =>
    reached.some((authority) =>
      authority.generation === generation &&
      isSignedBy(authority, message, signature)
    )
  );
  if (!isSigned) {
    throw refused("no authority that is trusted here has signed it");
  }
  const clusterId = trusted[0]?.clusterId;
  if (content.authorities.some((one) => one.clusterId !== clusterId)) {
    throw refused("it names authorities of another cluster");
  }
  return {
    authorities: mergeAuthorities(start, content.authorities),
    revocations: mergeRevocations(
      fingerprint === undefined ? known.revocations : [],
      content.revocations,
    ).filter(({ untilMs }) => nowMs < untilMs),
  };
}

/** Reads an endorsement. @throws {RangeError} when it is damaged */
export function readEndorsementRecord(value: unknown): EndorsementRecord {
  const reader = readRecord("endorsement", value);
  const record = {
    generation: reader.count("generation", 1),
    by: reader.count("by", 1),
    signature: reader.text("signature", (text) => {
      fromBase64url(text);
      return text;
    }),
  };
  reader.end();
  return record;
}

/** The trusted authorities, and those that they endorse, one after the other. */
function follow(
  trusted: readonly TrustRecord[],
  { authorities, endorsements }: ReturnType<typeof readStatement>,
): TrustRecord[] {
  const reached = [...trusted];
  const inOrder = endorsements.toSorted((a, b) => a.generation - b.generation);
  for (const { generation, by, signature } of inOrder) {
    const next = authorities.find((one) => one.generation === generation);
    const message = next && encode(ENDORSEMENT, next.certificate);
    const isValid = message && reached.some((one) =>
      one.generation === by &&
      isSignedBy(one, message, fromBase64url(signature))
    );
    if (isValid) reached.push(next);
  }
  return reached;
}

function readStatement(text: string) {
  try {
    const reader = readRecord("trust", JSON.parse(text));
    const content = {
      authorities: reader.list("authorities", readTrustRecord),
      revocations: reader.list("revocations", readRevocationRecord),
      endorsements: reader.list("endorsements", readEndorsementRecord),
    };
    reader.end();
    return content;
  } catch (cause) {
    const isExpected = cause instanceof RangeError ||
      cause instanceof SyntaxError;
    if (!isExpected) throw cause;
    throw refused(cause.message);
  }
}

/**
 * An authority that the offer lacks is kept, unless all that are offered are
 * later: then it is retired. A known one is trusted no longer than before.
 */
function mergeAuthorities(
  known: readonly TrustRecord[],
  offered: readonly TrustRecord[],
): TrustRecord[] {
  const first = Math.min(...offered.map(({ generation }) => generation));
  const merged = new Map(
    known.filter(({ generation }) => generation >= first)
      .map((one) => [one.generation, one]),
  );
  for (const one of offered) {
    const before = merged.get(one.generation);
    const isSame = before !== undefined && keyOf(before) === keyOf(one);
    merged.set(one.generation, {
      ...one,
      trustedUntilMs: isSame
        ? Math.min(before.trustedUntilMs, one.trustedUntilMs)
        : one.trustedUntilMs,
    });
  }
  return [...merged.values()].sort((a, b) => a.generation - b.generation);
}

function mergeRevocations(
  known: readonly RevocationRecord[],
  offered: readonly RevocationRecord[],
): RevocationRecord[] {
  const merged = new Map<string, RevocationRecord>();
  for (const one of [...known, ...offered]) {
    const key = one.kind === "serial" ? one.serial : `${one.role}/${one.name}`;
    const before = merged.get(key);
    const isOlder = before !== undefined && endOf(before) > endOf(one);
    if (!isOlder) merged.set(key, one);
  }
  return [...merged.values()];
}

/** Up to when a revocation reaches: the certificates of a name, then the time itself. */
function endOf(record: RevocationRecord): number {
  return record.kind === "name" ? record.issuedUpToMs : record.untilMs;
}

function isSignedBy(
  { certificate }: TrustRecord,
  message: Uint8Array,
  signature: Uint8Array,
): boolean {
  const { publicKey } = readCertificate(certificate);
  return verifyBytes(message, { publicKey, signature });
}

/** The fingerprint of the key in the certificate, whatever the record says. */
function keyOf({ certificate }: TrustRecord): string {
  return fingerprintOf(readCertificate(certificate).publicKey);
}

function encode(prefix: string, text: string): Uint8Array {
  return new TextEncoder().encode(`${prefix}${text}`);
}

function refused(what: string): NetError {
  return new NetError(
    "unauthenticated",
    `Cannot change which authorities are trusted: ${what}`,
  );
}
