/** The answer to a request. */
export interface HttpResponse {
  readonly status: number;
  readonly body: Uint8Array;
}

/** A call of the Connect protocol, unary and in JSON, as an HTTP/1.1 request. */
export function encodeRequest(
  path: string,
  body: string,
  options: { readonly timeoutMs: number },
): Uint8Array {
  const length = new TextEncoder().encode(body).length;
  return new TextEncoder().encode([
    `POST ${path} HTTP/1.1`,
    "host: localhost",
    "content-type: application/json",
    "connect-protocol-version: 1",
    `connect-timeout-ms: ${options.timeoutMs}`,
    `content-length: ${length}`,
    "connection: close",
    "",
    body,
  ].join("\r\n"));
}

/** Bytes that are no valid response. */
export class HttpSyntaxError extends Error {
  override readonly name = "HttpSyntaxError";
}

const MAX_HEAD_BYTES = 32_768;
const CR_LF = 2;

/** Reads an HTTP/1.1 response (RFC 9112) piece by piece. */
export class HttpResponseReader {
  readonly #maxBytes: number;
  /** The bytes so far; the rest from `#length` on is free. */
  #bytes: Uint8Array<ArrayBuffer> = new Uint8Array(4096);
  #length = 0;

  /** @param options `maxBytes` limits the whole message */
  constructor(options: { readonly maxBytes: number }) {
    this.#maxBytes = options.maxBytes;
  }

  /** Appends bytes. @throws {HttpSyntaxError} when the message is too long */
  push(bytes: Uint8Array): void {
    const length = this.#length + bytes.length;
    if (length > this.#maxBytes) {
      throw new HttpSyntaxError(
        `it is longer than ${this.#maxBytes} bytes`,
      );
    }
    if (length > this.#bytes.length) {
      const larger = new Uint8Array(
        Math.min(this.#maxBytes, Math.max(length, 2 * this.#bytes.length)),
      );
      larger.set(this.#bytes.subarray(0, this.#length));
      this.#bytes = larger;
    }
    this.#bytes.set(bytes, this.#length);
    this.#length = length;
  }

  /**
   * The response, or undefined while it is incomplete.
   *
   * @param options `ended`: no more bytes will come
   * @throws {HttpSyntaxError} when the bytes are no valid response
   */
  read(options: { readonly ended: boolean }): HttpResponse | undefined {
    const headEnd = this.#findHeadEnd();
    if (headEnd === undefined) return undefined;
    const [statusLine, ...lines] = this.#text(0, headEnd).split("\r\n");
    const status = /^HTTP\/1\.[01] (\d{3})(?: |$)/.exec(statusLine!)?.[1];
    if (status === undefined) {
      throw new HttpSyntaxError("it does not start with an HTTP status");
    }
    const body = this.#parseBody(
      parseHeaders(lines),
      headEnd + 2 * CR_LF,
      options.ended,
    );
    return body && { status: Number(status), body };
  }

  #parseBody(
    headers: ReadonlyMap<string, string>,
    start: number,
    ended: boolean,
  ): Uint8Array | undefined {
    const encoding = headers.get("transfer-encoding");
    if (encoding !== undefined) {
      if (encoding.toLowerCase() === "chunked") return this.#parseChunks(start);
      throw new HttpSyntaxError("its transfer encoding is not known");
    }
    const length = headers.get("content-length");
    if (length === undefined) {
      return ended ? this.#bytes.slice(start, this.#length) : undefined;
    }
    if (!/^\d{1,15}$/.test(length)) {
      throw new HttpSyntaxError("its content-length is not a number");
    }
    const end = start + Number(length);
    if (end > this.#maxBytes) {
      throw new HttpSyntaxError(`it is longer than ${this.#maxBytes} bytes`);
    }
    return end > this.#length ? undefined : this.#bytes.slice(start, end);
  }

  #parseChunks(start: number): Uint8Array | undefined {
    const chunks: Uint8Array[] = [];
    let at = start;
    for (;;) {
      const lineEnd = this.#findLineEnd(at);
      if (lineEnd === undefined) return undefined;
      const size = /^([0-9a-fA-F]{1,8})[ \t]*(?:;|$)/
        .exec(this.#text(at, lineEnd))?.[1];
      if (size === undefined) throw new HttpSyntaxError("a chunk has no size");
      const length = parseInt(size, 16);
      if (length === 0) return concat(chunks);
      const chunkStart = lineEnd + CR_LF;
      at = chunkStart + length + CR_LF;
      if (at > this.#length) return undefined;
      chunks.push(this.#bytes.subarray(chunkStart, chunkStart + length));
    }
  }

  #findHeadEnd(): number | undefined {
    for (let at = 0; at < MAX_HEAD_BYTES;) {
      const lineEnd = this.#findLineEnd(at);
      if (lineEnd === undefined) break;
      at = lineEnd + CR_LF;
      if (this.#bytes[at] === 13 && this.#findLineEnd(at) === at) {
        return lineEnd;
      }
    }
    if (this.#length <= MAX_HEAD_BYTES) return undefined;
    throw new HttpSyntaxError(
      `its head is longer than ${MAX_HEAD_BYTES} bytes`,
    );
  }

  /** Index of the next CR LF from an index on. */
  #findLineEnd(from: number): number | undefined {
    let at = from - 1;
    do {
      at = this.#bytes.indexOf(13, at + 1);
      if (at < 0 || at + 1 >= this.#length) return undefined;
    } while (this.#bytes[at + 1] !== 10);
    return at;
  }

  #text(start: number, end: number): string {
    return new TextDecoder().decode(this.#bytes.subarray(start, end));
  }
}

function parseHeaders(lines: readonly string[]): Map<string, string> {
  const headers = new Map<string, string>();
  for (const line of lines) {
    const colon = line.indexOf(":");
    if (colon < 1) throw new HttpSyntaxError("a header has no name");
    headers.set(
      line.slice(0, colon).toLowerCase(),
      line.slice(colon + 1).trim(),
    );
  }
  return headers;
}

function concat(chunks: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(
    chunks.reduce((sum, { length }) => sum + length, 0),
  );
  let at = 0;
  for (const chunk of chunks) {
    whole.set(chunk, at);
    at += chunk.length;
  }
  return whole;
}
