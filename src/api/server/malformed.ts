import { Code } from "@connectrpc/connect";
import type { universalResponseToNodeResponse } from "@connectrpc/connect-node";
import { escapeUnsafe } from "../../net/address.ts";
import { encodeGrpcMessage } from "./envelope.ts";

type UniversalResponse = Parameters<typeof universalResponseToNodeResponse>[0];

/** How Connect says that the bytes of a request are no message. */
const MALFORMED = "parse binary: ";

/**
 * Makes INVALID_ARGUMENT of the INTERNAL that Connect answers to bytes that are
 * no message: it is the client's fault. In gRPC and in unary Connect calls; in
 * other protocols it stays. What a Connect error quotes of JSON is made safe
 * for a terminal, and what a gRPC error says is encoded no more than needed.
 */
export async function refuseMalformed(
  answer: UniversalResponse,
): Promise<UniversalResponse> {
  const { body, header, trailer, status } = answer;
  if (!body || body instanceof Uint8Array) return answer;
  if (trailer) return { ...answer, body: refuseInTrailer(body, trailer) };
  const isPlainError = status >= 400 && !header?.has("content-encoding") &&
    header?.get("content-type") === "application/json";
  return isPlainError ? await refuseInBody(answer, body) : answer;
}

async function refuseInBody(
  answer: UniversalResponse,
  body: AsyncIterable<Uint8Array>,
): Promise<UniversalResponse> {
  const error = JSON.parse(await readText(body));
  const message = escapeUnsafe(String(error.message ?? ""));
  const isMalformed = error.code === "internal" &&
    message.startsWith(MALFORMED);
  const said = { ...error, ...isMalformed && { code: "invalid_argument" } };
  const bytes = new TextEncoder().encode(JSON.stringify({ ...said, message }));
  const header = new Headers(answer.header);
  if (header.has("content-length")) {
    header.set("content-length", String(bytes.length));
  }
  const status = isMalformed ? 400 : answer.status;
  return { ...answer, status, header, body: once(bytes) };
}

async function readText(body: AsyncIterable<Uint8Array>): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of body) {
    text += decoder.decode(chunk, { stream: true });
  }
  return text + decoder.decode();
}

async function* once(bytes: Uint8Array): AsyncIterable<Uint8Array> {
  yield bytes;
}

async function* refuseInTrailer(
  body: AsyncIterable<Uint8Array>,
  trailer: Headers,
): AsyncIterable<Uint8Array> {
  yield* body;
  const message = trailer.get("grpc-message") ?? "";
  if (
    trailer.get("grpc-status") === String(Code.Internal) &&
    message.startsWith(encodeURIComponent(MALFORMED))
  ) trailer.set("grpc-status", String(Code.InvalidArgument));
  if (message !== "") {
    trailer.set("grpc-message", encodeGrpcMessage(decodeURIComponent(message)));
  }
}
