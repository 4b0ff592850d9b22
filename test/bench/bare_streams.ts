/**
 * An HTTP/2 server that only sends bytes to all its clients:
 * what a registry is measured beside. It answers line by line with its port, a
 * {@linkcode BareQuestion} each: how long its watchers wait is its network's
 * and its runtime's doing alone.
 */
import { Buffer } from "node:buffer";
import { createServer, type ServerHttp2Stream } from "node:http2";
import { frame } from "./grpc_frames.ts";
import { answerLines } from "./line_process.ts";

/** What it is told. Messages are in base64. */
export type BareQuestion =
  /** Listen with a message that each new stream gets first. Answered with the port. */
  | {
    readonly kind: "listen";
    readonly first: string;
    readonly maxStreams: number;
  }
  /** Send all streams a message. Answered when it is handed over. */
  | { readonly kind: "push"; readonly message: string };

const streams = new Set<ServerHttp2Stream>();

function listen(first: Buffer, maxStreams: number): Promise<number> {
  const server = createServer({
    settings: { maxConcurrentStreams: maxStreams },
  });
  server.on("stream", (accepted) => {
    const stream = accepted as ServerHttp2Stream;
    stream.on("error", () => {});
    stream.resume();
    stream.respond({ ":status": 200, "content-type": "application/grpc" });
    stream.write(first);
    streams.add(stream);
    stream.on("close", () => streams.delete(stream));
  });
  return new Promise((resolve) =>
    server.listen(0, "127.0.0.1", () => {
      const address = server.address() as { readonly port: number };
      resolve(address.port);
    })
  );
}

if (import.meta.main) {
  await answerLines((question: BareQuestion) => {
    if (question.kind === "listen") {
      const first = frame(Buffer.from(question.first, "base64"));
      return listen(first, question.maxStreams);
    }
    const message = frame(Buffer.from(question.message, "base64"));
    for (const stream of streams) stream.write(message);
    return undefined;
  });
}
