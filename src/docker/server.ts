import { getLogger } from "@logtape/logtape";
import {
  createServer,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from "node:http";
import { NetError } from "../base/error.ts";
import { listen } from "../system/listen.ts";
import type { DriverAnswer, IpamDriver } from "./driver.ts";
import { MEDIA_TYPE } from "./plan/call.ts";

const log = getLogger(["stellar-net", "agent", "docker"]);

/** The largest request of Docker has some hundred bytes. */
const MAX_BODY_BYTES = 64 * 1024;
/** Docker waits for less than this. */
const REQUEST_TIMEOUT_MS = 60_000;
/** An answer counts as read after this time without an error of its connection. */
const MAX_UNREAD_MS = 1_000;
/** Docker keeps a few connections. */
const MAX_CONNECTIONS = 256;

/** The file of a socket that a server listens on. */
export interface SocketFile {
  /** Whether somebody has removed it. */
  isGone(): Promise<boolean>;
  remove(): void;
}

/** Makes the file of a socket, for its owner alone. `listen` binds the path that it gets. */
export type BindSocket = (
  path: string,
  listen: (path: string) => Promise<unknown>,
) => Promise<SocketFile>;

/** Options of {@linkcode PluginServer}. */
export interface PluginServerOptions {
  /** Path of the socket; the file's name without `.sock` is the driver's. */
  readonly path: string;
  readonly bind: BindSocket;
  readonly driver: Pick<IpamDriver, "answer">;
}

/** Serves an IPAM driver to Docker on a unix socket. */
export class PluginServer {
  readonly #options: PluginServerOptions;
  readonly #server: Server;
  #file: SocketFile | undefined;

  constructor(options: PluginServerOptions) {
    this.#options = options;
    this.#server = this.#create();
  }

  /** Begins to serve. @throws {NetError} as the socket's `bind` does */
  async start(): Promise<void> {
    await this.#listen(this.#server);
  }

  /** Makes the socket's file again if somebody has removed it. */
  async restore(): Promise<void> {
    if (!await this.#file?.isGone()) return;
    await this.#listen(this.#create());
    log.warn("Made the socket {path} again: its file was gone", {
      path: this.#options.path,
    });
  }

  /** Ends the calls in flight, and removes the socket's file. */
  stop(): void {
    this.#file?.remove();
    this.#file = undefined;
    for (const server of this.#servers) {
      server.close();
      server.closeAllConnections();
    }
  }

  readonly #servers = new Set<Server>();

  async #listen(server: Server): Promise<void> {
    const { path, bind } = this.#options;
    this.#file = await bind(path, (path) => listen(server, { path }));
    this.#servers.add(server);
  }

  #create(): Server {
    const server = createServer((request, response) => {
      void this.#serve(request, response);
    });
    server.requestTimeout = REQUEST_TIMEOUT_MS;
    server.on("connection", (socket) => {
      // Docker closes both sides at once: then it waits for nothing.
      socket.allowHalfOpen = false;
      // Without a listener an error of a connection would end the process.
      socket.on("error", () => {});
    });
    server.maxConnections = MAX_CONNECTIONS;
    return server;
  }

  /** Serves one request. Never throws. */
  async #serve(
    request: IncomingMessage,
    response: ServerResponse,
  ): Promise<void> {
    const { socket } = request;
    const answer = await this.#answer(request);
    response.once("close", () => {
      if (!answer.undo) return;
      if (!response.writableFinished) void this.#undo(answer);
      else this.#awaitRead(socket, answer);
    });
    // Docker reads an error from the answer only where the status is 200.
    response.writeHead(200, { "content-type": MEDIA_TYPE });
    response.end(`${JSON.stringify(answer.body)}\n`);
  }

  /** A unix socket tells when its peer closes it without reading what was sent. */
  #awaitRead(socket: IncomingMessage["socket"], answer: DriverAnswer): void {
    const end = () => {
      clearTimeout(timer);
      socket.off("error", onError);
      socket.off("close", end);
    };
    const onError = () => {
      end();
      void this.#undo(answer);
    };
    const timer = setTimeout(end, MAX_UNREAD_MS);
    socket.once("error", onError);
    socket.once("close", end);
  }

  async #answer(request: IncomingMessage): Promise<DriverAnswer> {
    const path = request.url ?? "";
    try {
      if (request.method !== "POST") {
        throw new NetError(
          "invalid_argument",
          `Cannot answer ${request.method} ${JSON.stringify(path)}: send POST`,
        );
      }
      return await this.#options.driver.answer(path, await readBody(request));
    } catch (error) {
      log.warn("Refused {path} of Docker: {error}", {
        path,
        error: error instanceof NetError ? error.message : error,
      });
      const message = error instanceof NetError
        ? error.message
        : "Cannot carry out Docker's request: the agent failed; see its log";
      return { body: { Error: message } };
    }
  }

  async #undo({ undo }: DriverAnswer): Promise<void> {
    try {
      await undo?.();
    } catch (error) {
      log.error("Cannot take back what Docker did not wait for: {error}", {
        error,
      });
    }
  }
}

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of request as AsyncIterable<Uint8Array>) {
    length += chunk.length;
    if (length > MAX_BODY_BYTES) {
      throw new NetError(
        "invalid_argument",
        `Cannot read Docker's request: it has more than ${MAX_BODY_BYTES} bytes`,
      );
    }
    chunks.push(chunk);
  }
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  return new TextDecoder().decode(bytes);
}
