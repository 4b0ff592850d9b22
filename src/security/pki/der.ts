/**
 * Reads and writes the Distinguished Encoding Rules (X.690, section 10), as
 * far as certificates and signing requests need them. An element has exactly
 * one encoding: what is read has the same bytes when it is written again.
 */

/** The tags in use (X.690, section 8; RFC 5280, appendix A). */
export const TAG = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  oid: 0x06,
  utf8String: 0x0c,
  printableString: 0x13,
  ia5String: 0x16,
  utcTime: 0x17,
  generalizedTime: 0x18,
  sequence: 0x30,
  set: 0x31,
} as const;

export interface DerElement {
  readonly tag: number;
  readonly content: Uint8Array;
  /** All of it: tag, length and content. */
  readonly bytes: Uint8Array;
}

const MULTI_BYTE_TAG = 0x1f;
const LONG_FORM = 0x80;

/** The tag of a context-specific element: `[number]`. */
export function contextTag(
  number: number,
  { isConstructed }: { readonly isConstructed: boolean },
): number {
  return (isConstructed ? 0xa0 : 0x80) | number;
}

/** Reads elements that follow one another. @throws {RangeError} when the bytes are not DER */
function readElements(bytes: Uint8Array): DerElement[] {
  const elements: DerElement[] = [];
  for (let at = 0; at < bytes.length;) {
    const element = readFirst(bytes.subarray(at));
    elements.push(element);
    at += element.bytes.length;
  }
  return elements;
}

/** Reads one element of a tag. @throws {RangeError} when the bytes are anything else */
export function readElement(tag: number, bytes: Uint8Array): DerElement {
  const element = readFirst(bytes);
  if (element.tag === tag && element.bytes.length === bytes.length) {
    return element;
  }
  throw notDer();
}

/** Checks the tag of an element, and returns its content. @throws {RangeError} for another tag or a missing element */
export function contentOf(
  tag: number,
  element: DerElement | undefined,
): Uint8Array {
  if (element?.tag === tag) return element.content;
  throw notDer();
}

/** The elements inside one of a tag. @throws {RangeError} as {@linkcode contentOf} and {@linkcode readElements} do */
export function partsOf(
  tag: number,
  element: DerElement | undefined,
): DerElement[] {
  return readElements(contentOf(tag, element));
}

/** The bytes of a BIT STRING that consists of whole bytes. @throws {RangeError} for any other */
export function bitsOf(element: DerElement | undefined): Uint8Array {
  const [unused, ...bits] = contentOf(TAG.bitString, element);
  if (unused === 0) return new Uint8Array(bits);
  throw notDer();
}

/** Writes an element. Its content is bytes, or elements one after the other. */
export function writeDer(
  tag: number,
  ...content: readonly Uint8Array[]
): Uint8Array<ArrayBuffer> {
  const body = joinBytes(content);
  return joinBytes([Uint8Array.of(tag, ...lengthBytes(body.length)), body]);
}

/** The error for bytes that are not DER. */
export function notDer(): RangeError {
  return new RangeError("it is not DER");
}

function readFirst(bytes: Uint8Array): DerElement {
  const [tag, first] = bytes;
  if (tag === undefined || first === undefined) throw notDer();
  if ((tag & MULTI_BYTE_TAG) === MULTI_BYTE_TAG) throw notDer();
  const lengthSize = first < LONG_FORM ? 0 : first - LONG_FORM;
  const start = 2 + lengthSize;
  // Four bytes of length are more than any certificate needs.
  if (first === LONG_FORM || lengthSize > 4) throw notDer();
  const length = lengthSize === 0
    ? first
    : bytes.subarray(2, start).reduce((sum, byte) => sum * 256 + byte, 0);
  const end = start + length;
  const header = [tag, ...lengthBytes(length)];
  const isShortest = header.length === start &&
    header.every((byte, i) => byte === bytes[i]);
  if (!isShortest || end > bytes.length) throw notDer();
  return {
    tag,
    content: bytes.subarray(start, end),
    bytes: bytes.subarray(0, end),
  };
}

function lengthBytes(length: number): number[] {
  if (length < LONG_FORM) return [length];
  const bytes: number[] = [];
  for (let left = length; left > 0; left = Math.floor(left / 256)) {
    bytes.unshift(left % 256);
  }
  return [LONG_FORM + bytes.length, ...bytes];
}

function joinBytes(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  const joined = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}
