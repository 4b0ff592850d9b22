import { Integer, Sequence, Set, Utf8String } from "asn1js";
import {
  AttributeTypeAndValue,
  Certificate,
  type Extension,
  type PublicKeyInfo,
  RelativeDistinguishedNames,
  Time,
} from "pkijs";
import { OID } from "./oid.ts";

/** The parts of a certificate (RFC 5280), as this project uses them. */

/** The only kind of key: ECDSA on P-256, as every TLS library knows it. */
export const KEY_ALGORITHM = { name: "ECDSA", namedCurve: "P-256" } as const;
/** The hash of every signature. */
export const HASH = "SHA-256";

const V3 = 2;
/** From this year on a time is a GeneralizedTime (RFC 5280, section 4.1.2.5). */
const FIRST_GENERALIZED_YEAR = 2050;
const SERIAL_BYTES = 16;

/** What is signed. */
export interface CertificateFields {
  readonly serial: Uint8Array<ArrayBuffer>;
  readonly issuer: RelativeDistinguishedNames;
  readonly subject: RelativeDistinguishedNames;
  /** Cut to whole seconds, as every time in a certificate. */
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  readonly publicKey: PublicKeyInfo;
  readonly extensions: readonly Extension[];
}

/** Makes a certificate and signs it. */
export async function signCertificate(
  fields: CertificateFields,
  key: CryptoKey,
): Promise<Certificate> {
  const certificate = new Certificate();
  certificate.version = V3;
  certificate.serialNumber = new Integer({ valueHex: fields.serial });
  certificate.issuer = fields.issuer;
  certificate.subject = fields.subject;
  certificate.notBefore = time(fields.notBeforeMs);
  certificate.notAfter = time(fields.notAfterMs);
  certificate.subjectPublicKeyInfo = fields.publicKey;
  certificate.extensions = [...fields.extensions];
  await certificate.sign(key, HASH);
  return certificate;
}

/** The DER of a part: a certificate, a request or a public key. */
export function toDer(
  part: { toSchema(): { toBER(): ArrayBuffer } },
): Uint8Array<ArrayBuffer> {
  return new Uint8Array(part.toSchema().toBER());
}

/** A random serial number: 126 bits, positive, always of the same length. */
export function randomSerial(): Uint8Array<ArrayBuffer> {
  const serial = crypto.getRandomValues(new Uint8Array(SERIAL_BYTES));
  serial[0] = (serial[0]! & 0x7f) | 0x40;
  return serial;
}

/** A distinguished name out of an organisation, a unit and a name; what is empty is left out. */
export function createName(
  parts: {
    readonly organization: string;
    readonly unit: string;
    readonly commonName: string;
  },
): RelativeDistinguishedNames {
  const attributes = ([
    [OID.organization, parts.organization],
    [OID.organizationalUnit, parts.unit],
    [OID.commonName, parts.commonName],
  ] as const).filter(([, text]) => text !== "");
  const sets = attributes.map(([type, text]) => {
    const value = new Utf8String({ value: text });
    return new Set({
      value: [new AttributeTypeAndValue({ type, value }).toSchema()],
    });
  });
  // Made by hand: the library puts all attributes into one set.
  return RelativeDistinguishedNames
    .fromBER(new Sequence({ value: sets }).toBER());
}

function time(atMs: number): Time {
  const value = new Date(Math.floor(atMs / 1000) * 1000);
  const type = value.getUTCFullYear() < FIRST_GENERALIZED_YEAR ? 0 : 1;
  return new Time({ type, value });
}
