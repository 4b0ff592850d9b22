import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, type ConnectRouter } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import {
  ClusterService,
  ClusterServiceWatchResponseSchema,
  type HostSummarySchema,
} from "../../src/gen/stellar/net/v1/cluster_pb.ts";
import {
  type HistoryRecordSchema,
  IpamService,
} from "../../src/gen/stellar/net/v1/ipam_pb.ts";
import { NodeState } from "../../src/gen/stellar/net/v1/registry_pb.ts";
import { PAGE } from "../../src/gen/page.ts";
import { SECURITY_HEADERS } from "../../src/ui/documents.ts";

type Message = MessageInitShape<typeof ClusterServiceWatchResponseSchema>;

/** A host of the map as the watch tells it: it is well. */
export function scriptedHost(
  name: string,
): MessageInitShape<typeof HostSummarySchema> {
  return {
    node: { name, state: NodeState.READY, subnets: ["172.16.0.0/22"] },
    report: {
      version: "1.2.3",
      subnets: [{ cidr: "172.16.0.0/22", capacity: 100, held: 10n }],
    },
  };
}

/**
 * The page of the map with an agent that tells it what a test says. Every
 * watch gets the messages in `state` first, as a snapshot.
 */
export class ScriptedMap implements AsyncDisposable {
  readonly #server: Server;
  readonly #watches = new Set<{
    readonly send: (message: Message) => void;
    readonly end: () => void;
  }>();
  /** What a new watch gets; undefined: it waits. */
  state: Message | undefined;
  /** Refuses each call, as the command does whose page has no access. */
  isRefusing = false;
  /** The history of all hosts. */
  history: MessageInitShape<typeof HistoryRecordSchema>[] = [];
  /** The revisions from which watches went on. */
  readonly resumed: string[] = [];

  private constructor(server: Server) {
    this.#server = server;
  }

  static async start(): Promise<ScriptedMap> {
    const server = createServer();
    const map = new ScriptedMap(server);
    const call = connectNodeAdapter({ routes: (router) => map.#route(router) });
    server.on("request", (request, response) => {
      if (request.method === "POST") {
        call(request, response);
        return;
      }
      const [body, type] = request.url === "/page.js"
        ? [PAGE.script, "text/javascript"]
        : request.url === "/page.css"
        ? [PAGE.style, "text/css"]
        : [PAGE.html, "text/html"];
      response.writeHead(200, { ...SECURITY_HEADERS, "content-type": type });
      response.end(body);
    });
    const { promise, resolve } = Promise.withResolvers<void>();
    server.listen(0, "127.0.0.1", resolve);
    await promise;
    return map;
  }

  get origin(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Tells all watches something. */
  send(message: Message): void {
    for (const { send } of this.#watches) send(message);
  }

  /** Ends all watches. */
  cut(): void {
    for (const { end } of this.#watches) end();
  }

  #route(router: ConnectRouter): void {
    const { resumed } = this;
    const admit = () => {
      if (!this.isRefusing) return;
      throw new ConnectError("this map has ended", Code.Unauthenticated);
    };
    router.service(ClusterService, {
      watch: async function* (
        this: ScriptedMap,
        { revision }: { readonly revision: string },
        { signal }: { readonly signal: AbortSignal },
      ) {
        admit();
        if (revision !== "") resumed.push(revision);
        const queue: Message[] = this.state
          ? [{ snapshot: true, revision: "1", ...this.state }]
          : [];
        let isOver = false;
        let wake = () => {};
        const watch = {
          send: (message: Message) => {
            queue.push(message);
            wake();
          },
          end: () => {
            isOver = true;
            wake();
          },
        };
        this.#watches.add(watch);
        signal.addEventListener("abort", watch.end);
        try {
          while (!isOver) {
            for (const message of queue.splice(0)) {
              yield create(ClusterServiceWatchResponseSchema, {
                asOf: timestampFromMs(Date.now()),
                ...message,
              });
            }
            const { promise, resolve } = Promise.withResolvers<void>();
            wake = resolve;
            if (queue.length === 0 && !isOver) await promise;
          }
        } finally {
          this.#watches.delete(watch);
        }
      }.bind(this),
      listEvents: () => ({ events: [] }),
      find: () => ({ found: [] }),
    });
    router.service(IpamService, {
      listHistory: ({ node }) => ({
        records: this.history.filter((record) => record.node === node),
      }),
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.cut();
    this.#server.closeAllConnections();
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#server.close(() => resolve());
    await promise;
  }
}
