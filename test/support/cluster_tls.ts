import { once } from "node:events";
import {
  type ClientHttp2Session,
  connect,
  type IncomingHttpHeaders,
} from "node:http2";
import { connect as connectTls, type TLSSocket } from "node:tls";
import { type DescMethod, type Message, toBinary } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";
import { recognizePeer } from "../../src/security/trust.ts";
import type { Trust } from "../../src/security/trust.ts";
import { publicPart } from "../../src/security/pki/generations.ts";
import type { CertificateTerms } from "../../src/security/pki/certificate.ts";
import { deferEnd } from "../../src/api/server/http2_sessions.ts";
import {
  createRpcServer,
  type RpcServer,
  type RpcServerOptions,
} from "../../src/api/server/server.ts";
import type {
  Recognition,
  ShownCertificate,
  TlsCredentials,
  TlsMaterial,
} from "../../src/api/tls/credentials.ts";
import {
  createIdentity,
  createTestAuthority,
  type TestAuthority,
  type TestIdentity,
} from "../security/pki/identities.ts";
import { withTempDir } from "./temp_dir.ts";

/** Credentials of a cluster's own authority, which a test changes as it likes. */
export class TestCredentials implements TlsCredentials {
  readonly place = "a test";
  readonly acceptsAnonymous: boolean = true;
  #material: TlsMaterial | undefined;
  #trust: Trust;
  readonly #listeners = new Set<() => void>();

  constructor(trust: Trust, material?: TlsMaterial) {
    this.#trust = trust;
    this.#material = material;
  }

  get material(): TlsMaterial | undefined {
    return this.#material;
  }

  get trust(): Trust {
    return this.#trust;
  }

  recognize(shown: ShownCertificate): Recognition {
    return recognizePeer(shown, { trust: this.#trust, nowMs: Date.now() });
  }

  fault(): string {
    return "";
  }

  warnings(): string[] {
    return [];
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Changes what is shown or trusted. */
  change(
    { trust = this.#trust, material = this.#material }: {
      readonly trust?: Trust;
      readonly material?: TlsMaterial;
    },
  ): void {
    this.#trust = trust;
    this.#material = material;
    for (const listener of this.#listeners) listener();
  }
}

/** A server of a cluster with an authority of its own, over TLS on loopback. */
export interface RunningClusterServer {
  readonly server: RpcServer;
  readonly authority: TestAuthority;
  readonly credentials: TestCredentials;
  readonly port: number;
  /** Folder of the test. */
  readonly dir: string;
  /** Makes a certificate and its key. */
  issue(terms?: Partial<CertificateTerms>): TestIdentity;
}

/** What node:tls takes of an identity. */
export function materialOf(
  { chain, key }: TestIdentity,
  { record }: TestAuthority,
): TlsMaterial {
  return { cert: chain, key, ca: record.certificate };
}

/** Calls a function with a server of node `host1` of a cluster, and closes it with no grace. */
export function withClusterServer<T>(
  options: RpcServerOptions,
  use: (running: RunningClusterServer) => Promise<T>,
): Promise<T> {
  return withTempDir(async (dir) => {
    const nowMs = Date.now();
    const authority = await createTestAuthority({ nowMs });
    const issue = (terms: Partial<CertificateTerms> = {}) =>
      createIdentity(authority, { nowMs, ...terms });
    const credentials = new TestCredentials(
      { authorities: [publicPart(authority.record)], revocations: [] },
      materialOf(await issue({ name: "host1" }), authority),
    );
    const server = createRpcServer({ ...options, tls: credentials });
    try {
      const { port } = await server.listenTcp(
        { hostname: "127.0.0.1", port: 0 },
        { isSecure: true },
      );
      return await use({ server, authority, credentials, port, dir, issue });
    } finally {
      await server.close({ graceMs: 0 });
    }
  });
}

/** Connects over TLS, with a certificate or without, and does the handshake. */
export async function dialTls(
  { port, authority }: RunningClusterServer,
  identity?: TestIdentity,
  alpn = "http/1.1",
): Promise<TLSSocket> {
  const socket = connectTls({
    ...identity && { cert: identity.chain, key: identity.key },
    ca: authority.record.certificate,
    host: "127.0.0.1",
    port,
    ALPNProtocols: [alpn],
  });
  socket.on("error", () => {});
  await once(socket, "secureConnect");
  return socket;
}

/** Opens an HTTP/2 connection over TLS, with a certificate or without. */
export async function openTls(
  { port, authority }: Pick<RunningClusterServer, "port" | "authority">,
  identity?: TestIdentity,
): Promise<ClientHttp2Session> {
  return await opened(connect(`https://127.0.0.1:${port}`, {
    ...identity && { cert: identity.chain, key: identity.key },
    ca: authority.record.certificate,
  }));
}

/** Waits until an HTTP/2 connection is there. */
export async function opened(
  session: ClientHttp2Session,
): Promise<ClientHttp2Session> {
  deferEnd(session);
  session.on("error", () => {});
  await once(session, "remoteSettings");
  return session;
}

/** What came of a call. */
export interface GrpcOutcome {
  /** 0 when all is well: Connect has no name for it. A stream that goes on is well. */
  readonly code: Code | 0;
  readonly message: string;
  readonly headers: IncomingHttpHeaders;
}

/** Makes a gRPC call, and resolves when it is known whether it was let in. */
export function callGrpc(
  session: ClientHttp2Session,
  method: DescMethod,
  request: Message,
  contentType = "application/grpc+proto",
): Promise<GrpcOutcome> {
  const body = toBinary(method.input, request);
  const envelope = new Uint8Array(5 + body.length);
  new DataView(envelope.buffer).setUint32(1, body.length);
  envelope.set(body, 5);
  const stream = session.request({
    ":method": "POST",
    ":path": `/${method.parent.typeName}/${method.name}`,
    "content-type": contentType,
    te: "trailers",
  });
  return new Promise((resolve) => {
    let headers: IncomingHttpHeaders = {};
    const read = (fields: IncomingHttpHeaders) => {
      headers = { ...headers, ...fields };
      const status = headers["grpc-status"];
      if (status === undefined) return;
      const message = decodeURIComponent(
        String(headers["grpc-message"] ?? ""),
      );
      resolve({ code: Number(status), message, headers });
    };
    stream.on("response", read);
    stream.on("trailers", read);
    stream.on("data", () => {
      if (method.methodKind === "unary") return;
      resolve({ code: 0, message: "", headers });
      stream.close();
    });
    stream.on("error", () => {});
    stream.on(
      "close",
      () => resolve({ code: Code.Unavailable, message: "closed", headers }),
    );
    stream.end(envelope);
  });
}
