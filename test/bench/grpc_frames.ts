import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect,
} from "node:http2";
import { Buffer } from "node:buffer";
import { once } from "node:events";
import { deferEnd } from "../../src/api/server/http2_sessions.ts";

/** Length of what precedes a message: a flag, and the length in four bytes. */
const HEADER_BYTES = 5;

/** Bytes that a stream, and all streams of a connection, may be sent ahead of being read. */
const STREAM_WINDOW_BYTES = 1024 * 1024;
const CONNECTION_WINDOW_BYTES = 64 * 1024 * 1024;

/** Connects to an HTTP/2 server on 127.0.0.1, which has to be there. */
export async function connectHttp2(port: number): Promise<ClientHttp2Session> {
  const session = connect(`http://127.0.0.1:${port}`, {
    settings: { initialWindowSize: STREAM_WINDOW_BYTES },
  });
  deferEnd(session);
  await once(session, "connect");
  session.setLocalWindowSize(CONNECTION_WINDOW_BYTES);
  return session;
}

/** The frame of a message of gRPC, not compressed. */
export function frame(message: Uint8Array): Buffer {
  const buffer = Buffer.alloc(HEADER_BYTES + message.length);
  buffer.writeUInt32BE(message.length, 1);
  buffer.set(message, HEADER_BYTES);
  return buffer;
}

/**
 * Calls a method of gRPC with as little of its own as can be: thousands of
 * callers share the cores with the server that is measured.
 */
export function startCall(
  session: ClientHttp2Session,
  path: string,
  request: Uint8Array,
): ClientHttp2Stream {
  const stream = session.request({
    ":method": "POST",
    ":path": path,
    "content-type": "application/grpc",
    te: "trailers",
  });
  stream.end(frame(request));
  return stream;
}

/** Passes on each message of an answer as it is complete. */
export function onMessage(
  stream: ClientHttp2Stream,
  take: (message: Uint8Array) => void,
): void {
  // Chunks of a message that is not complete, and their bytes together.
  let chunks: Buffer[] = [];
  let length = 0;
  let wanted = HEADER_BYTES;
  stream.on("data", (chunk: Buffer) => {
    chunks.push(chunk);
    length += chunk.length;
    while (length >= wanted) {
      const all = chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks);
      chunks = [all];
      const end = HEADER_BYTES + all.readUInt32BE(1);
      if (length < end) {
        wanted = end;
        return;
      }
      take(all.subarray(HEADER_BYTES, end));
      chunks = [all.subarray(end)];
      length -= end;
      wanted = HEADER_BYTES;
    }
  });
}

/**
 * Makes a call that is answered with one message.
 *
 * @throws {Error} with what the server answered
 */
export function callUnary(
  session: ClientHttp2Session,
  path: string,
  request: Uint8Array,
): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    const stream = startCall(session, path, request);
    let answer: Uint8Array | undefined;
    let trailers: Record<string, unknown> = {};
    onMessage(stream, (message) => answer = message);
    stream.on("response", (headers) => trailers = { ...headers });
    stream.on("trailers", (more) => trailers = { ...trailers, ...more });
    stream.on("error", reject);
    stream.on("close", () => {
      if (answer && trailers["grpc-status"] === "0") resolve(answer);
      else {
        const { "grpc-status": code, "grpc-message": message } = trailers;
        reject(new Error(`Cannot call ${path}: ${code} ${message}`));
      }
    });
  });
}
