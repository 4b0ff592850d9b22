import { OctetString } from "asn1js";
import { type Address, compareAddresses } from "../../net/address.ts";
import { decodeCertificate } from "./decode.ts";
import { alternativeNames } from "./certificate_identity.ts";
import { parsePem } from "./pem.ts";

const IP_ADDRESS = 7;

/**
 * The addresses that a certificate is for, in order.
 *
 * @param chain PEM: the certificate first
 * @throws {RangeError} when it is none
 */
export function certifiedAddresses(chain: string): Address[] {
  const [own] = parsePem("CERTIFICATE", chain);
  return alternativeNames(decodeCertificate(own!))
    .filter(({ type }) => type === IP_ADDRESS)
    .map(({ value }) => readAddress(value))
    .sort(compareAddresses);
}

function readAddress(value: unknown): Address {
  const bytes = value instanceof OctetString
    ? new Uint8Array(value.valueBlock.valueHexView)
    : new Uint8Array();
  if (bytes.length !== 4 && bytes.length !== 16) {
    throw new RangeError("An address of the certificate is not valid");
  }
  return {
    family: bytes.length === 4 ? 4 : 6,
    value: BigInt(`0x${bytes.toHex()}`),
  };
}
