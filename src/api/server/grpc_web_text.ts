import { Buffer } from "node:buffer";
import { Code, ConnectError, type ConnectRouter } from "@connectrpc/connect";

type Handler = ConnectRouter["handlers"][number];
type Request = Parameters<Handler>[0];
type Body = AsyncIterable<Uint8Array>;

/** The start of the content types of gRPC-Web as text. */
export const WEB_TEXT = "application/grpc-web-text";
const WEB = "application/grpc-web";
/** Characters that stand for whole bytes together. */
const QUANTUM = 4;

/**
 * Answers a call of gRPC-Web whose bodies are base64, for clients that cannot
 * read bytes while they arrive. Padding may come within a body, wherever its
 * sender has flushed it
 * (https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-WEB.md).
 */
export async function answerWebText(
  handler: Handler,
  request: Request,
): ReturnType<Handler> {
  const type = request.header.get("content-type") ?? WEB_TEXT;
  request.header.set("content-type", type.replace(WEB_TEXT, WEB));
  const body = decode(request.body as Body);
  const answer = await handler({ ...request, body });
  const header = new Headers(answer.header);
  header.set("content-type", type);
  return answer.body
    ? { ...answer, header, body: encode(answer.body as Body) }
    : answer;
}

async function* decode(body: Body): Body {
  let rest = "";
  for await (const chunk of body) {
    const text = rest + Buffer.from(chunk).toString("latin1");
    const whole = text.length - text.length % QUANTUM;
    rest = text.slice(whole);
    for (const [part] of text.slice(0, whole).matchAll(/[^=]*=+|[^=]+/g)) {
      yield fromBase64(part);
    }
  }
  if (rest !== "") yield fromBase64(rest);
}

function fromBase64(text: string): Uint8Array {
  try {
    return Uint8Array.fromBase64(text, { lastChunkHandling: "strict" });
  } catch (error) {
    throw new ConnectError(
      "Cannot read the body: it is not base64",
      Code.InvalidArgument,
      undefined,
      undefined,
      error,
    );
  }
}

async function* encode(body: Body): Body {
  for await (const chunk of body) {
    yield new TextEncoder().encode(chunk.toBase64());
  }
}
