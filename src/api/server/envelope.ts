import {
  type DescMessage,
  fromBinary,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { setTrailerStatus } from "@connectrpc/connect/protocol-grpc";
import type { IncomingHttpHeaders } from "node:http2";

/** Header fields as node:http2 sends them. */
export function entries(headers: Headers | undefined): Record<string, string> {
  return headers ? Object.fromEntries(headers) : {};
}

/** A request's header fields, without HTTP/2's own. */
export function toHeaders(headers: IncomingHttpHeaders): Headers {
  const result = new Headers();
  for (const [name, value] of Object.entries(headers)) {
    if (name.startsWith(":")) continue;
    for (const item of Array.isArray(value) ? value : [value]) {
      if (item !== undefined) result.append(name, item);
    }
  }
  return result;
}

/** The status fields of a failed gRPC call, by their names. */
export function formatGrpcStatus(error: ConnectError): Record<string, string> {
  return {
    ...Object.fromEntries(setTrailerStatus(new Headers(), error)),
    "grpc-message": encodeGrpcMessage(error.rawMessage),
  };
}

/**
 * Percent-encodes a message for the grpc-message field: percent signs and what
 * is not printable ASCII, and no more, because grpc-js decodes no more (https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md).
 */
export function encodeGrpcMessage(message: string): string {
  return message.toWellFormed().replace(
    /[^\x20-\x24\x26-\x7e]+/g,
    encodeURIComponent,
  );
}

/** One byte of flags and four of length precede a message. */
export const ENVELOPE_HEADER_BYTES = 5;

/**
 * Reads the one message of a unary request, which is not compressed
 * (https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md).
 *
 * @throws {ConnectError} INVALID_ARGUMENT
 */
export function splitEnvelope<T extends DescMessage>(
  schema: T,
  chunks: readonly Uint8Array[],
): MessageShape<T> {
  const bytes = chunks.length === 1 ? chunks[0]! : concat(chunks);
  if (bytes.length === 0) {
    throw protocolError("missing input message for unary method");
  }
  if (bytes.length < ENVELOPE_HEADER_BYTES) {
    throw protocolError("incomplete envelope");
  }
  const view = new DataView(
    bytes.buffer,
    bytes.byteOffset,
    ENVELOPE_HEADER_BYTES,
  );
  const length = view.getUint32(1);
  const received = bytes.length - ENVELOPE_HEADER_BYTES;
  if (view.getUint8(0) !== 0) {
    throw protocolError("received compressed envelope without an encoding");
  }
  if (received < length) {
    throw protocolError(`promised ${length} bytes, received ${received}`);
  }
  if (received > length) {
    throw protocolError("received extra input message for unary method");
  }
  try {
    return fromBinary(schema, bytes.subarray(ENVELOPE_HEADER_BYTES));
  } catch (error) {
    throw new ConnectError(
      `Cannot read ${schema.typeName}: ${(error as Error).message}`,
      Code.InvalidArgument,
    );
  }
}

/** Writes a message with its envelope. */
export function joinEnvelope<T extends DescMessage>(
  schema: T,
  message: MessageShape<T>,
): Uint8Array {
  const bytes = toBinary(schema, message);
  const envelope = new Uint8Array(ENVELOPE_HEADER_BYTES + bytes.length);
  new DataView(envelope.buffer).setUint32(1, bytes.length);
  envelope.set(bytes, ENVELOPE_HEADER_BYTES);
  return envelope;
}

function protocolError(what: string): ConnectError {
  return new ConnectError(`protocol error: ${what}`, Code.InvalidArgument);
}

function concat(chunks: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(
    chunks.reduce((sum, chunk) => sum + chunk.length, 0),
  );
  let offset = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, offset);
    offset += chunk.length;
  }
  return bytes;
}
