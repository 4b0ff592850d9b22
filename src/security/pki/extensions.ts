import { BitString, OctetString } from "asn1js";
import { createHash } from "node:crypto";
import {
  AuthorityKeyIdentifier,
  BasicConstraints,
  Extension,
  ExtKeyUsage,
  GeneralName,
  GeneralNames,
  type PublicKeyInfo,
} from "pkijs";
import type { Address } from "../../net/address.ts";
import { OID } from "./oid.ts";

/** The extensions of a certificate (RFC 5280, section 4.2), as this project uses them. */

/** The choices of a GeneralName that are used. */
const GENERAL_NAME = { dns: 2, uri: 6, ip: 7 } as const;

const KEY_ID_BYTES = 20;

/** The id of a public key: 160 bits of its SHA-256 (RFC 7093, section 2, method 1). */
export function keyId(publicKey: PublicKeyInfo): Uint8Array<ArrayBuffer> {
  const bits = publicKey.subjectPublicKey.valueBlock.valueHexView;
  return new Uint8Array(
    createHash("sha256").update(bits).digest().subarray(0, KEY_ID_BYTES),
  );
}

/** Subject and authority key identifiers. */
export function keyIdExtensions(
  subject: PublicKeyInfo,
  issuer: PublicKeyInfo,
): Extension[] {
  const subjectId = new OctetString({ valueHex: keyId(subject) });
  const authorityId = new AuthorityKeyIdentifier({
    keyIdentifier: new OctetString({ valueHex: keyId(issuer) }),
  });
  return [
    extension(OID.subjectKeyIdentifier, subjectId.toBER()),
    extension(OID.authorityKeyIdentifier, authorityId.toSchema().toBER()),
  ];
}

/** What an authority may: sign certificates of hosts, and no other authority. */
export function authorityExtensions(): Extension[] {
  const constraints = new BasicConstraints({ cA: true, pathLenConstraint: 0 });
  return [
    extension(OID.basicConstraints, constraints.toSchema().toBER(), true),
    // keyCertSign and cRLSign.
    keyUsage(0x06, 1),
  ];
}

/** What a host or operator may: authenticate itself in TLS. */
export function endEntityExtensions(purposes: readonly string[]): Extension[] {
  const constraints = new BasicConstraints({ cA: false });
  const extended = new ExtKeyUsage({ keyPurposes: [...purposes] });
  return [
    extension(OID.basicConstraints, constraints.toSchema().toBER(), true),
    // digitalSignature.
    keyUsage(0x80, 7),
    extension(OID.extendedKeyUsage, extended.toSchema().toBER()),
  ];
}

/** The names that a certificate stands for. */
export function subjectAltName(
  names: {
    readonly uri: string;
    readonly dnsNames: readonly string[];
    readonly addresses: readonly Address[];
  },
): Extension {
  const list = new GeneralNames({
    names: [
      new GeneralName({ type: GENERAL_NAME.uri, value: names.uri }),
      ...names.dnsNames.map((value) =>
        new GeneralName({ type: GENERAL_NAME.dns, value })
      ),
      ...names.addresses.map((address) =>
        new GeneralName({
          type: GENERAL_NAME.ip,
          value: new OctetString({ valueHex: addressBytes(address) }),
        })
      ),
    ],
  });
  return extension(OID.subjectAltName, list.toSchema().toBER());
}

function keyUsage(bits: number, unusedBits: number): Extension {
  const value = new BitString({
    valueHex: new Uint8Array([bits]).buffer,
    unusedBits,
  });
  return extension(OID.keyUsage, value.toBER(), true);
}

function extension(
  extnID: string,
  extnValue: ArrayBuffer,
  critical = false,
): Extension {
  return new Extension({ extnID, critical, extnValue });
}

function addressBytes(address: Address): Uint8Array<ArrayBuffer> {
  const length = address.family === 4 ? 4 : 16;
  const hex = address.value.toString(16).padStart(length * 2, "0");
  return Uint8Array.fromHex(hex);
}
