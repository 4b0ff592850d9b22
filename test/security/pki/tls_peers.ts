import { once } from "node:events";
import type { AddressInfo } from "node:net";
import tls from "node:tls";

/** How a handshake ended on both sides. */
export interface Handshake {
  /** Code or message of the client's error, undefined for none. */
  readonly clientError: string | undefined;
  /** Code or message of why the server refused the client, undefined where it did not. */
  readonly serverError: string | undefined;
  readonly protocol: string | undefined;
  /** DER of the certificates that the client saw, the server's own first. */
  readonly serverChain: readonly Uint8Array[];
  /** DER of the certificate that the server saw, undefined for none. */
  readonly clientCertificate: Uint8Array | undefined;
  /** How many bytes the server received after the handshake. */
  readonly received: number;
}

/**
 * Has a client and a server of node:tls shake hands over the loopback
 * interface. The client sends `hello` unless it is told to keep quiet.
 */
export async function shakeHands(
  serverOptions: tls.TlsOptions,
  clientOptions: tls.ConnectionOptions & { readonly isQuiet?: boolean },
): Promise<Handshake> {
  const { isQuiet = false, ...connect } = clientOptions;
  let clientCertificate: Uint8Array | undefined;
  let received = 0;
  const server = tls.createServer(
    { minVersion: "TLSv1.3", ...serverOptions },
    (socket) => {
      const { raw } = socket.getPeerCertificate();
      clientCertificate = raw && new Uint8Array(raw);
      socket.on("data", (data) => received += data.length);
      socket.on("error", () => {});
      socket.on("end", () => socket.end());
      socket.write("hello");
    },
  );
  let serverError: string | undefined;
  server.on("tlsClientError", (error: Error & { readonly code?: string }) => {
    serverError = error.code ?? error.message;
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const socket = tls.connect({
    host: "127.0.0.1",
    port,
    minVersion: "TLSv1.3",
    ...connect,
  });
  let clientError: string | undefined;
  let protocol: string | undefined;
  let serverChain: readonly Uint8Array[] = [];
  socket.on("error", (error: Error & { readonly code?: string }) => {
    clientError = error.code ?? error.message;
  });
  socket.once("secureConnect", () => {
    protocol = socket.getProtocol() ?? undefined;
    serverChain = readChain(socket);
  });
  // In TLS 1.3 a server refuses a client only after the client is done: what
  // it says first tells.
  socket.once("data", () => isQuiet ? socket.end() : socket.end("hello"));
  await new Promise<void>((resolve) => socket.once("close", () => resolve()));
  const closed = once(server, "close");
  server.close();
  await closed;
  return {
    clientError,
    serverError,
    protocol,
    serverChain,
    clientCertificate,
    received,
  };
}

/** The certificates that a server has sent, its own first. */
function readChain(socket: tls.TLSSocket): Uint8Array[] {
  const chain: Uint8Array[] = [];
  let next: tls.DetailedPeerCertificate | undefined = socket
    .getPeerCertificate(true);
  while (next?.raw && chain.length < 8) {
    const { raw, issuerCertificate, fingerprint256 }:
      tls.DetailedPeerCertificate = next;
    chain.push(new Uint8Array(raw));
    // The root names itself, on Deno as a new object each time.
    next = issuerCertificate?.fingerprint256 === fingerprint256
      ? undefined
      : issuerCertificate;
  }
  return chain;
}
