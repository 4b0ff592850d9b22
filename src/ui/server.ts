import { Code, createClient, type Transport } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { errorToJson } from "@connectrpc/connect/protocol-connect";
import {
  createServer,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from "node:http";
import type { AddressInfo } from "node:net";
import { toConnectError } from "../api/messages/errors.ts";
import { answerCalls } from "../api/server/call.ts";
import { NetError } from "../base/error.ts";
import { ClusterService } from "../gen/stellar/net/v1/cluster_pb.ts";
import { listen } from "../system/listen.ts";
import {
  AGAIN_DOCUMENT,
  AGAIN_SCRIPT,
  OPEN_SCRIPT,
  openingDocument,
  refusalDocument,
  SECURITY_HEADERS,
} from "./documents.ts";
import { createForwarding, notPassedOn } from "./forward.ts";
import { refuseOrigin } from "./origin.ts";
import { TOKEN_NAME } from "./page/token.ts";
import { Session } from "./session.ts";

/** The map's document, script and styles, as a browser gets them. */
export interface PageFiles {
  readonly html: string;
  readonly script: string;
  readonly style: string;
}

export interface UiOptions {
  /** Calls the agent, with the caller's own rights. */
  readonly transport: Transport;
  readonly page: PageFiles;
  /** Port on 127.0.0.1. Undefined: a free one. */
  readonly port?: number | undefined;
}

const ADDRESS = "127.0.0.1";
/** A browser opens at most six connections; several may come through one tunnel. */
const MAX_CONNECTIONS = 128;
/** Requests of the map are filters and names. */
const MAX_REQUEST_BYTES = 64 * 1024;
/** Time for a request to arrive whole, in ms. */
const REQUEST_TIMEOUT_MS = 10_000;

const HTML = "text/html";

const RUN_AGAIN =
  'Run "stellar-net ui" again, and open the link that it prints';
const NO_SECRET = "This browser has not opened the link of the running command";

type Answer = (request: IncomingMessage, response: ServerResponse) => void;

/** A map that is served on 127.0.0.1 until it is closed. */
export class UiServer implements AsyncDisposable {
  readonly port: number;
  /** The link that opens the map, once. */
  readonly link: string;
  readonly #server: Server;
  readonly #stop: AbortController;

  private constructor(
    server: Server,
    options: { readonly key: string; readonly stop: AbortController },
  ) {
    this.#server = server;
    this.#stop = options.stop;
    this.port = (server.address() as AddressInfo).port;
    this.link = `http://${ADDRESS}:${this.port}/?key=${options.key}`;
  }

  /**
   * Asks the agent whether the caller may read the cluster, and listens.
   *
   * @throws {NetError} the agent's, or `failed_precondition` for a port in use
   */
  static async start(options: UiOptions): Promise<UiServer> {
    const { transport, port = 0 } = options;
    await createClient(ClusterService, transport).getOverview({ pageSize: 1 });
    const session = new Session();
    const stop = new AbortController();
    const server = createServer(
      {
        headersTimeout: REQUEST_TIMEOUT_MS,
        requestTimeout: REQUEST_TIMEOUT_MS,
        noDelay: true,
      },
      createAnswer(options, { session, stop: stop.signal }),
    );
    server.maxConnections = MAX_CONNECTIONS;
    await listenOn(server, port);
    return new UiServer(server, { key: session.key, stop });
  }

  /** Ends the server and all its connections: the link and the session are void. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(
      new NetError("unavailable", "Cannot go on: the command ends"),
    );
    const closed = new Promise((resolve) => this.#server.close(resolve));
    this.#server.closeAllConnections();
    await closed;
  }
}

function createAnswer(
  { transport, page }: UiOptions,
  { session, stop }: { readonly session: Session; readonly stop: AbortSignal },
): Answer {
  const forward = connectNodeAdapter({
    routes: createForwarding(transport),
    interceptors: [answerCalls({})],
    ...{ connect: true, grpc: false, grpcWeb: false },
    readMaxBytes: MAX_REQUEST_BYTES,
    // Loopback needs no compression, and a tunnel can have that of ssh (-C).
    acceptCompression: [],
    shutdownSignal: stop,
    fallback: (request, response) =>
      sendError(response, notPassedOn((request.url ?? "").slice(1))),
  });
  const files = new Map(
    [
      ["/page.js", ["text/javascript", page.script]],
      ["/page.css", ["text/css", page.style]],
      ["/open.js", ["text/javascript", OPEN_SCRIPT]],
      ["/again.js", ["text/javascript", AGAIN_SCRIPT]],
    ] as const,
  );
  return (request, response) => {
    // Without listeners an error of a connection would end the process.
    request.on("error", ignore);
    response.on("error", ignore);
    for (const [name, value] of Object.entries(SECURITY_HEADERS)) {
      response.setHeader(name, value);
    }
    const { method = "", headers } = request;
    const problem = refuseOrigin({ method, headers });
    const shown = {
      cookie: headers.cookie,
      token: textOf(headers[TOKEN_NAME]),
    };
    const [path = "", query = ""] = (request.url ?? "").split("?", 2);
    const file = files.get(path as "/page.js");
    if (problem !== undefined) {
      refuse(response, { status: 403, why: `Cannot answer: ${problem}` });
    } else if (method === "POST") {
      if (session.mayCall(shown)) return forward(request, response);
      request.resume();
      sendError(response, noSession());
    } else if (method !== "GET") {
      response.setHeader("allow", "GET, POST");
      refuse(response, { status: 405, why: `There is no ${method} here` });
    } else if (file) {
      send(response, { type: file[0], body: file[1] });
    } else if (path !== "/") {
      refuse(response, { status: 404, why: "There is no such page" });
    } else {
      answerDocument({ page, session, query, shown }, request, response);
    }
  };
}

function answerDocument(
  { page, session, query, shown }: {
    readonly page: PageFiles;
    readonly session: Session;
    readonly query: string;
    readonly shown: { readonly cookie: string | undefined };
  },
  request: IncomingMessage,
  response: ServerResponse,
): void {
  const params = new URLSearchParams(query);
  const key = params.get("key");
  if (session.hasCookie(shown)) {
    if (query === "") return send(response, { type: HTML, body: page.html });
    // The browser that has used the link opens it again, or has been told to ask again.
    response.writeHead(303, { location: "/" });
    response.end();
    return;
  }
  if (key === null) {
    const site = request.headers["sec-fetch-site"] ?? "none";
    const isLink = site === "cross-site" && !params.has("again");
    if (isLink) send(response, { type: HTML, body: AGAIN_DOCUMENT });
    else refuse(response, { status: 401, why: NO_SECRET });
    return;
  }
  // A browser that loads ahead would use the key up.
  const isAhead = request.headers["sec-purpose"] !== undefined;
  const grant = isAhead ? undefined : session.open(key);
  if (grant) {
    response.setHeader("set-cookie", grant.cookie);
    send(response, { type: HTML, body: openingDocument(grant.token) });
  } else {
    const why =
      "This link has been used, or belongs to a command that has ended";
    refuse(response, { status: 403, why });
  }
}

function send(
  response: ServerResponse,
  { status = 200, type, body }: {
    readonly status?: number;
    readonly type: string;
    readonly body: string;
  },
): void {
  response.writeHead(status, { "content-type": `${type}; charset=utf-8` });
  response.end(body);
}

function refuse(
  response: ServerResponse,
  { status, why }: { readonly status: number; readonly why: string },
): void {
  const body = refusalDocument(why, RUN_AGAIN);
  send(response, { status, type: HTML, body });
}

function noSession(): NetError {
  return new NetError("unauthenticated", `${NO_SECRET}. ${RUN_AGAIN}`);
}

/** Answers as the Connect protocol does for a unary call. */
function sendError(
  response: {
    writeHead(status: number, headers: Record<string, string>): unknown;
    end(body: string): unknown;
  },
  error: NetError,
): void {
  const converted = toConnectError(error);
  const status = converted.code === Code.Unauthenticated ? 401 : 403;
  response.writeHead(status, { "content-type": "application/json" });
  response.end(JSON.stringify(errorToJson(converted, undefined)));
}

async function listenOn(server: Server, port: number): Promise<void> {
  try {
    await listen(server, { port, host: ADDRESS });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== "EADDRINUSE" && code !== "EACCES") throw error;
    const why = code === "EACCES"
      ? "this user may not listen there"
      : "another program listens there";
    throw new NetError(
      "failed_precondition",
      `Cannot open the map on port ${port}: ${why}; choose another with --port, or leave it out for a free one`,
      { cause: error },
    );
  }
}

function textOf(value: string | string[] | undefined): string | undefined {
  return typeof value === "string" ? value : undefined;
}

function ignore(): void {}
