import type { JsonObject } from "../base/json_reader.ts";

/** Bytes that an exchange sends: many full packets, more than a socket buffers. */
export const EXCHANGE_BYTES = 256 * 1024;
/** Most time for an exchange, in ms. */
const EXCHANGE_MS = 5_000;
/** Most time for a connection that is served, in ms: its client gives up first, and says so. */
const SERVE_MS = 4 * EXCHANGE_MS;
/** Time without a line after which the process ends, in ms. */
const SILENCE_MS = 60_000;
/** Connections that are served at once. */
const MAX_CONNECTIONS = 16;

/** A line to the process: an exchange to make, or a sign that it is needed. */
export interface EchoOrder {
  readonly id: number;
  readonly hostname: string;
  readonly port: number;
}

/** A line from the process: the port that it listens on, or the result of an order. */
export type EchoReport =
  | { readonly port: number }
  | { readonly id: number; readonly problem: string };

/** What the process works with. */
export interface EchoProcessOptions {
  /** Orders as lines of JSON; empty lines are signs of life. */
  readonly input: ReadableStream<Uint8Array<ArrayBuffer>>;
  readonly write: (text: string) => void;
}

/**
 * Serves a network namespace: echoes what TCP connections send, and makes
 * connections on order. Returns at the end of its input, which comes with the
 * end of the agent, or when it has heard nothing for a minute. The namespace
 * and all that is in it end with the process.
 */
export async function runEchoProcess(
  { input, write }: EchoProcessOptions,
): Promise<void> {
  const report = (line: EchoReport) => write(`${JSON.stringify(line)}\n`);
  using listener = listen();
  void serve(listener);
  report({ port: listener.addr.port });
  const lines = input.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const silence = Promise.withResolvers<{ done: true; value: undefined }>();
    const timer = setTimeout(
      () => silence.resolve({ done: true, value: undefined }),
      SILENCE_MS,
    );
    const { done, value } = await Promise.race([lines.read(), silence.promise]);
    clearTimeout(timer);
    if (done) return;
    const parts = (rest + value).split("\n");
    rest = parts.pop()!;
    for (const line of parts.filter((part) => part !== "")) {
      const { id, hostname, port }: EchoOrder = JSON.parse(line);
      void exchange({ hostname, port })
        .then((problem) => report({ id, problem }));
    }
  }
}

/** Reads a line from the process; undefined for one of another form. */
export function readReport(line: string): EchoReport | undefined {
  const { port, id, problem }: JsonObject = JSON.parse(line);
  if (typeof port === "number") return { port };
  return typeof id === "number" && typeof problem === "string"
    ? { id, problem }
    : undefined;
}

/** Listens on each address that the namespace will have, of both families where the kernel has both. */
function listen(): Deno.TcpListener {
  try {
    return Deno.listen({ hostname: "::", port: 0 });
  } catch {
    return Deno.listen({ hostname: "0.0.0.0", port: 0 });
  }
}

async function serve(listener: Deno.TcpListener): Promise<void> {
  let open = 0;
  for await (const connection of listener) {
    if (open === MAX_CONNECTIONS) {
      connection.close();
      continue;
    }
    open++;
    // Bounds clients that vanish or never stop sending.
    const limit = setTimeout(() => connection.close(), SERVE_MS);
    void connection.readable.pipeTo(connection.writable).catch(() => {})
      .finally(() => {
        clearTimeout(limit);
        open--;
      });
  }
}

/** Sends bytes and gets them back. @returns why that failed; empty when it did not */
export async function exchange(
  to: { readonly hostname: string; readonly port: number },
  { limitMs = EXCHANGE_MS }: { readonly limitMs?: number } = {},
): Promise<string> {
  let connection: Deno.TcpConn | undefined;
  let received = 0;
  let isLate = false;
  const abort = new AbortController();
  const limit = setTimeout(() => {
    isLate = true;
    abort.abort();
    connection?.close();
  }, limitMs);
  try {
    connection = await Deno.connect({ ...to, signal: abort.signal });
    // A close() while bytes are on their way is a rejection of its own.
    const sent = send(connection).catch(() => {});
    for await (const bytes of connection.readable) received += bytes.length;
    await sent;
    return received === EXCHANGE_BYTES
      ? ""
      : `the connection ended after ${received} of ${EXCHANGE_BYTES} bytes`;
  } catch (error) {
    if (!isLate) {
      return connection === undefined
        ? `no connection: ${error instanceof Error ? error.message : error}`
        : `the connection broke after ${received} of ${EXCHANGE_BYTES} bytes`;
    }
    return connection === undefined
      ? `no connection within ${limitMs / 1000} s`
      : `only ${received} of ${EXCHANGE_BYTES} bytes came back within ${
        limitMs / 1000
      } s`;
  } finally {
    clearTimeout(limit);
  }
}

async function send(connection: Deno.TcpConn): Promise<void> {
  const writer = connection.writable.getWriter();
  const block = new Uint8Array(16 * 1024);
  for (let sent = 0; sent < EXCHANGE_BYTES; sent += block.length) {
    await writer.write(block);
  }
  // Half-closes: the peer's answer ends when it has echoed everything.
  await connection.closeWrite();
}
