import type { ConnectError } from "@connectrpc/connect";
import { setTrailerStatus } from "@connectrpc/connect/protocol-grpc";

/** The status fields of a failed gRPC call, by their names. */
export function formatGrpcStatus(error: ConnectError): Record<string, string> {
  return {
    ...Object.fromEntries(setTrailerStatus(new Headers(), error)),
    "grpc-message": encodeGrpcMessage(error.rawMessage),
  };
}

/**
 * Encodes a message for the grpc-message field: percent signs and what is not
 * printable ASCII, and no more. grpc-js shows what is encoded beyond that as
 * it stands (https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md).
 */
export function encodeGrpcMessage(message: string): string {
  return message.toWellFormed().replace(
    /[^\x20-\x24\x26-\x7e]+/g,
    encodeURIComponent,
  );
}
