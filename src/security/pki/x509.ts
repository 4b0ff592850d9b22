import type { Address } from "../../net/address.ts";
import {
  contentOf,
  contextTag,
  type DerElement,
  notDer,
  partsOf,
  readElement,
  TAG,
  writeDer,
} from "./der.ts";
import {
  isSameBytes,
  isSignedWith,
  keyId,
  readSigned,
  type Signed,
  type Signer,
} from "./key.ts";
import { parseOnePem } from "./pem.ts";
import { GENERAL_NAME, OID } from "./profile.ts";

/**
 * Certificates (RFC 5280), read and written by their DER. `X509Certificate`
 * of node:crypto prints all names as one text, in which a DNS name
 * `a, URI:stellar-net://…` poses as a URI; here each name keeps its kind.
 */

/** A certificate, read. Nothing in it is verified. */
export interface Certificate {
  readonly signed: Signed;
  /** Hexadecimal in lower case. */
  readonly serial: string;
  readonly issuer: Name;
  readonly subject: Name;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  /** SubjectPublicKeyInfo in DER. */
  readonly publicKey: Uint8Array;
  readonly alternativeNames: readonly GeneralName[];
  /** The OIDs of its extended key usage. */
  readonly purposes: readonly string[];
  /** Whether it may sign others. */
  readonly isAuthority: boolean;
}

/** A distinguished name. */
export interface Name {
  readonly der: Uint8Array;
  /** Its attributes in order; the text of a kind that is not in use is empty. */
  readonly attributes: readonly {
    readonly oid: string;
    readonly text: string;
  }[];
}

/** A name beside the subject. */
export interface GeneralName {
  readonly kind: keyof typeof GENERAL_NAME;
  readonly value: Uint8Array;
}

/** The fields of a certificate. */
export interface CertificateFields {
  readonly serial: Uint8Array;
  /** DER, as {@linkcode writeName} makes it. */
  readonly issuer: Uint8Array;
  readonly subject: Uint8Array;
  /** Cut to whole seconds. */
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  /** SubjectPublicKeyInfo in DER: the subject's and the issuer's. */
  readonly publicKey: Uint8Array;
  readonly issuerKey: Uint8Array;
  /** `authority`: it signs certificates of hosts, and no other authority. */
  readonly use: "authority" | {
    /** OIDs of the extended key usage. */
    readonly purposes: readonly string[];
    readonly uri: string;
    readonly dnsNames: readonly string[];
    readonly addresses: readonly Address[];
  };
}

/** From this year on a time is a GeneralizedTime (RFC 5280, section 4.1.2.5). */
const FIRST_GENERALIZED_YEAR = 2050;
const V3 = writeDer(0xa0, writeDer(TAG.integer, Uint8Array.of(2)));
const TRUE = writeDer(TAG.boolean, Uint8Array.of(0xff));
/** keyCertSign and cRLSign; digitalSignature (RFC 5280, section 4.2.1.3). */
const KEY_USAGE = {
  authority: Uint8Array.of(1, 0x06),
  holder: Uint8Array.of(7, 0x80),
};

/**
 * Reads a certificate.
 *
 * @param certificate PEM with exactly one, or DER
 * @throws {RangeError} when it is not a certificate
 */
export function readCertificate(certificate: string | Uint8Array): Certificate {
  const der = typeof certificate === "string"
    ? parseOnePem("CERTIFICATE", certificate)
    : certificate;
  try {
    return readFields(readSigned("CERTIFICATE", der));
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause;
    throw new RangeError(`The CERTIFICATE is not valid: ${cause.message}`, {
      cause,
    });
  }
}

/** Whether the holder of an authority's certificate signed another certificate. */
export function isSignedBy(
  certificate: Certificate,
  issuer: Certificate,
): boolean {
  return isSameBytes(certificate.issuer.der, issuer.subject.der) &&
    isSignedWith(certificate.signed, issuer.publicKey);
}

/** The texts of a name's attributes of one kind. */
export function attributesOf(name: Name, oid: string): string[] {
  return name.attributes.filter((one) => one.oid === oid)
    .map(({ text }) => text);
}

/** The addresses that a certificate is for. @throws {RangeError} when one is neither IPv4 nor IPv6 */
export function addressesOf(certificate: Certificate): Address[] {
  return certificate.alternativeNames
    .filter(({ kind }) => kind === "address")
    .map(({ value }) => {
      if (value.length !== 4 && value.length !== 16) {
        throw new RangeError("An address of the certificate is not valid");
      }
      const family = value.length === 4 ? 4 : 6;
      return { family, value: BigInt(`0x${value.toHex()}`) };
    });
}

/** Makes a certificate, and signs it. Returns its DER. */
export function writeCertificate(
  fields: CertificateFields,
  signer: Signer,
): Uint8Array<ArrayBuffer> {
  const { serial, issuer, subject, publicKey } = fields;
  const algorithm = writeDer(TAG.sequence, oid(OID.ecdsaWithSha256));
  return signer.sign(writeDer(
    TAG.sequence,
    V3,
    writeDer(TAG.integer, serial),
    algorithm,
    issuer,
    writeDer(
      TAG.sequence,
      writeTime(fields.notBeforeMs),
      writeTime(fields.notAfterMs),
    ),
    subject,
    publicKey,
    writeDer(0xa3, writeDer(TAG.sequence, ...writeExtensions(fields))),
  ));
}

/** A random serial number: 126 bits, positive, always of the same length. */
export function randomSerial(): Uint8Array<ArrayBuffer> {
  const serial = crypto.getRandomValues(new Uint8Array(16));
  serial[0] = (serial[0]! & 0x7f) | 0x40;
  return serial;
}

/** The DER of a distinguished name of organisation, unit and common name, without those that are empty. */
export function writeName(
  parts: {
    readonly organization: string;
    readonly unit: string;
    readonly commonName: string;
  },
): Uint8Array<ArrayBuffer> {
  const attributes = ([
    [OID.organization, parts.organization],
    [OID.organizationalUnit, parts.unit],
    [OID.commonName, parts.commonName],
  ] as const).filter(([, text]) => text !== "");
  return writeDer(
    TAG.sequence,
    ...attributes.map(([type, text]) =>
      writeDer(
        TAG.set,
        writeDer(
          TAG.sequence,
          oid(type),
          writeDer(TAG.utf8String, new TextEncoder().encode(text)),
        ),
      )
    ),
  );
}

function readFields(signed: Signed): Certificate {
  const fields = partsOf(TAG.sequence, signed.content);
  // Only certificates of version 3 have extensions (RFC 5280, section 4.1.2.1).
  const [version, serial, , issuer, validity, subject, publicKey, ...rest] =
    fields;
  if (!version || !isSameBytes(version.bytes, V3) || !publicKey) throw notDer();
  const [notBefore, notAfter] = partsOf(TAG.sequence, validity);
  return {
    signed,
    serial: contentOf(TAG.integer, serial).toHex(),
    issuer: readName(issuer),
    subject: readName(subject),
    notBeforeMs: readTime(notBefore),
    notAfterMs: readTime(notAfter),
    publicKey: readElement(TAG.sequence, publicKey.bytes).bytes,
    ...readExtensions(rest.find(({ tag }) => tag === 0xa3)),
  };
}

function readName(element: DerElement | undefined): Name {
  const sets = partsOf(TAG.sequence, element);
  return {
    der: element!.bytes,
    attributes: sets.flatMap((set) => partsOf(TAG.set, set)).map((pair) => {
      const [type, value] = partsOf(TAG.sequence, pair);
      return {
        oid: contentOf(TAG.oid, type).toHex(),
        text: value ? readText(value) : "",
      };
    }),
  };
}

function readText({ tag, content }: DerElement): string {
  const isText = tag === TAG.utf8String || tag === TAG.printableString ||
    tag === TAG.ia5String;
  return isText ? new TextDecoder().decode(content) : "";
}

function readTime(element: DerElement | undefined): number {
  const text = new TextDecoder().decode(element?.content);
  const isShort = element?.tag === TAG.utcTime;
  const digits = isShort ? `${text < "50" ? "20" : "19"}${text}` : text;
  const match = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/.exec(digits);
  if (!match || !isShort && element?.tag !== TAG.generalizedTime) {
    throw new RangeError("a time in it cannot be read");
  }
  const [, year, month, ...others] = match.map(Number);
  const [day, hour, minute, second] = others;
  return Date.UTC(year!, month! - 1, day, hour, minute, second);
}

function readExtensions(
  wrapped: DerElement | undefined,
): Pick<Certificate, "alternativeNames" | "purposes" | "isAuthority"> {
  const [list] = wrapped ? partsOf(wrapped.tag, wrapped) : [];
  const found = new Map<string, Uint8Array>();
  for (const extension of list ? partsOf(TAG.sequence, list) : []) {
    const parts = partsOf(TAG.sequence, extension);
    const type = contentOf(TAG.oid, parts[0]).toHex();
    if (found.has(type)) {
      throw new RangeError("it has one extension several times");
    }
    found.set(type, contentOf(TAG.octetString, parts.at(-1)));
  }
  const constraints = found.get(OID.basicConstraints);
  const purposes = found.get(OID.extendedKeyUsage);
  return {
    alternativeNames: readAlternativeNames(found.get(OID.subjectAltName)),
    purposes: purposes
      ? partsOf(TAG.sequence, readElement(TAG.sequence, purposes))
        .map((purpose) => contentOf(TAG.oid, purpose).toHex())
      : [],
    isAuthority: constraints !== undefined &&
      partsOf(TAG.sequence, readElement(TAG.sequence, constraints))
        .some(({ bytes }) => isSameBytes(bytes, TRUE)),
  };
}

function readAlternativeNames(der: Uint8Array | undefined): GeneralName[] {
  // Anything but a list names nobody.
  if (der?.[0] !== TAG.sequence) return [];
  try {
    return partsOf(TAG.sequence, readElement(TAG.sequence, der))
      .flatMap(({ tag, content }) => {
        const kind = (Object.keys(GENERAL_NAME) as GeneralName["kind"][])
          .find((one) => generalNameTag(one) === tag);
        return kind ? { kind, value: content } : [];
      });
  } catch (cause) {
    throw new RangeError("its alternative names cannot be decoded", { cause });
  }
}

function writeExtensions(fields: CertificateFields): Uint8Array[] {
  const { use, publicKey, issuerKey } = fields;
  const isAuthority = use === "authority";
  return [
    // An authority has a path length of 0: it signs no other authority.
    extension(
      OID.basicConstraints,
      isAuthority
        ? writeDer(
          TAG.sequence,
          TRUE,
          writeDer(TAG.integer, Uint8Array.of(0)),
        )
        : writeDer(TAG.sequence),
      { isCritical: true },
    ),
    extension(
      OID.keyUsage,
      writeDer(
        TAG.bitString,
        KEY_USAGE[isAuthority ? "authority" : "holder"],
      ),
      { isCritical: true },
    ),
    ...isAuthority ? [] : [extension(
      OID.extendedKeyUsage,
      writeDer(TAG.sequence, ...use.purposes.map(oid)),
    )],
    extension(
      OID.subjectKeyIdentifier,
      writeDer(TAG.octetString, keyId(publicKey)),
    ),
    extension(
      OID.authorityKeyIdentifier,
      writeDer(
        TAG.sequence,
        writeDer(contextTag(0, { isConstructed: false }), keyId(issuerKey)),
      ),
    ),
    ...isAuthority ? [] : [extension(
      OID.subjectAltName,
      writeDer(
        TAG.sequence,
        generalName("uri", new TextEncoder().encode(use.uri)),
        ...use.dnsNames.map((name) =>
          generalName("dns", new TextEncoder().encode(name))
        ),
        ...use.addresses.map((address) =>
          generalName("address", addressBytes(address))
        ),
      ),
    )],
  ];
}

function extension(
  type: string,
  value: Uint8Array,
  { isCritical }: { readonly isCritical: boolean } = { isCritical: false },
): Uint8Array {
  return writeDer(
    TAG.sequence,
    oid(type),
    ...isCritical ? [TRUE] : [],
    writeDer(TAG.octetString, value),
  );
}

function generalName(
  kind: GeneralName["kind"],
  value: Uint8Array,
): Uint8Array {
  return writeDer(generalNameTag(kind), value);
}

function generalNameTag(kind: GeneralName["kind"]): number {
  return contextTag(GENERAL_NAME[kind], { isConstructed: false });
}

function oid(hex: string): Uint8Array {
  return writeDer(TAG.oid, Uint8Array.fromHex(hex));
}

/** Cut to whole seconds. */
function writeTime(atMs: number): Uint8Array {
  const digits = new Date(Math.floor(atMs / 1000) * 1000).toISOString()
    .replace(/\.000Z$/, "Z").replace(/[-:T]/g, "");
  const isShort = Number(digits.slice(0, 4)) < FIRST_GENERALIZED_YEAR;
  return writeDer(
    isShort ? TAG.utcTime : TAG.generalizedTime,
    new TextEncoder().encode(isShort ? digits.slice(2) : digits),
  );
}

function addressBytes({ family, value }: Address): Uint8Array {
  const digits = family === 4 ? 8 : 32;
  return Uint8Array.fromHex(value.toString(16).padStart(digits, "0"));
}
