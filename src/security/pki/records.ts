import { type JsonReader, readRecord } from "../../base/json_reader.ts";
import { parseId, parseNodeName, parseText } from "../../base/names.ts";
import type { AuthorityRecord, TrustRecord } from "./authority.ts";
import type { IssuedRecord } from "./certificate.ts";
import { parseFingerprint, parseOnePem } from "./pem.ts";
import { parseRole } from "./identity.ts";
import { parseSerial, type RevocationRecord } from "./revocation.ts";
import { parseTokenId } from "./token.ts";
import { readVerifier, type TokenVerifier } from "./token_proof.ts";
import type { TokenRecord, TokenUse } from "./token_record.ts";

/**
 * Strict readers of the records that are stored as JSON; the records are
 * plain JSON as they are. Each throws RangeError for what it did not write.
 */

/** Reads an authority, its key included. */
export function readAuthorityRecord(value: unknown): AuthorityRecord {
  const reader = readRecord("authority", value);
  const record = {
    ...trustFields(reader),
    privateKey: reader.text(
      "privateKey",
      (text) => text === "" ? "" : checked(text, pem("PRIVATE KEY")),
    ),
  };
  reader.end();
  return record;
}

/** Reads the public part of an authority. */
export function readTrustRecord(value: unknown): TrustRecord {
  const reader = readRecord("trusted authority", value);
  const record = trustFields(reader);
  reader.end();
  return record;
}

/** Reads a certificate that was issued. */
export function readIssuedRecord(value: unknown): IssuedRecord {
  const reader = readRecord("issued certificate", value);
  const record: IssuedRecord = {
    serial: reader.text("serial", parseSerial),
    role: reader.text("role", parseRole),
    name: reader.text("name", parseNodeName),
    keyFingerprint: reader.text("keyFingerprint", fingerprint),
    generation: reader.count("generation", 1),
    issuedAtMs: reader.count("issuedAtMs"),
    notAfterMs: reader.count("notAfterMs"),
  };
  reader.end();
  return record;
}

export function readRevocationRecord(value: unknown): RevocationRecord {
  const reader = readRecord("revocation", value);
  const kind = reader.text("kind");
  const common = {
    revokedAtMs: reader.count("revokedAtMs"),
    reason: reader.text("reason", parseText),
    untilMs: reader.count("untilMs"),
  };
  const record = revocation(kind, { reader, common });
  reader.end();
  return record;
}

/** Reads a join token. */
export function readTokenRecord(value: unknown): TokenRecord {
  const reader = readRecord("join token", value);
  const record: TokenRecord = {
    id: reader.text("id", parseTokenId),
    verifier: reader.nested("verifier", readTokenVerifier),
    fingerprint: reader.text("fingerprint", fingerprint),
    role: reader.text("role", parseRole),
    name: reader.text("name", (text) => text === "" ? "" : parseNodeName(text)),
    createdAtMs: reader.count("createdAtMs"),
    expiresAtMs: reader.count("expiresAtMs"),
    maxUses: reader.count("maxUses", 1),
    used: reader.count("used"),
    uses: reader.list("uses", readTokenUse),
    revokedAtMs: reader.count("revokedAtMs"),
  };
  reader.end();
  return record;
}

function readTokenVerifier(value: unknown): TokenVerifier {
  const reader = readRecord("verifier", value);
  const verifier = {
    salt: reader.text("salt"),
    storedKey: reader.text("storedKey"),
  };
  reader.end();
  return readVerifier(verifier);
}

function readTokenUse(value: unknown): TokenUse {
  const reader = readRecord("use", value);
  const use = {
    name: reader.text("name", parseNodeName),
    keyFingerprint: reader.text("keyFingerprint", fingerprint),
    usedAtMs: reader.count("usedAtMs"),
  };
  reader.end();
  return use;
}

function trustFields(reader: JsonReader): TrustRecord {
  return {
    clusterId: reader.text("clusterId", parseId),
    generation: reader.count("generation", 1),
    certificate: reader.text(
      "certificate",
      (text) => checked(text, pem("CERTIFICATE")),
    ),
    fingerprint: reader.text("fingerprint", fingerprint),
    signsFromMs: reader.count("signsFromMs"),
    trustedUntilMs: reader.count("trustedUntilMs"),
  };
}

function revocation(
  kind: string,
  parts: {
    readonly reader: JsonReader;
    readonly common: Pick<
      RevocationRecord,
      "revokedAtMs" | "reason" | "untilMs"
    >;
  },
): RevocationRecord {
  const { reader, common } = parts;
  switch (kind) {
    case "serial":
      return { kind, serial: reader.text("serial", parseSerial), ...common };
    case "name":
      return {
        kind,
        role: reader.text("role", parseRole),
        name: reader.text("name", parseNodeName),
        issuedUpToMs: reader.count("issuedUpToMs"),
        ...common,
      };
    default:
      throw reader.invalid("kind", "it is neither serial nor name");
  }
}

function fingerprint(text: string): string {
  return checked(text, parseFingerprint);
}

function pem(label: "CERTIFICATE" | "PRIVATE KEY"): (text: string) => unknown {
  return (text) => parseOnePem(label, text);
}

/** A text as it is, once a parser has accepted it. */
function checked(text: string, parse: (text: string) => unknown): string {
  parse(text);
  return text;
}
