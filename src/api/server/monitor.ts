import type { IncomingHttpHeaders } from "node:http";
import { getLogger } from "@logtape/logtape";
import type { Condition } from "../../agent/status.ts";
import type { Caller } from "../access/call_context.ts";
import { refusePage } from "./call.ts";

const log = getLogger(["stellar-net", "rpc"]);

/** The sources of the pages for monitoring. */
export interface MonitorOptions {
  /** The metrics as a text, and its media type. */
  readonly metrics: () => Promise<{
    readonly text: string;
    readonly contentType: string;
  }>;
  /** Whether the agent works. */
  readonly live: () => Promise<readonly Condition[]>;
  /** Whether it could hand out addresses. */
  readonly ready: () => Promise<readonly Condition[]>;
}

interface Page {
  readonly status: number;
  readonly contentType: string;
  readonly body: string;
}

/** The part of an HTTP/1.1 or HTTP/2 request that the monitor reads. */
interface Request {
  readonly url?: string | undefined;
  readonly method?: string | undefined;
  readonly headers: IncomingHttpHeaders;
  on(event: "error", listener: () => void): unknown;
  resume(): unknown;
}

interface Response {
  on(event: "error", listener: () => void): unknown;
  writeHead(status: number, headers: Record<string, string>): unknown;
  end(body: string): unknown;
  destroy(): unknown;
}

/** Answers `/metrics` (Prometheus), and `/healthz` and `/readyz` with 200 or 503
 * and the reasons as JSON.
 */
export class Monitor {
  readonly #pages: ReadonlyMap<string, () => Promise<Page>>;
  #isServing = true;

  constructor({ metrics, live, ready }: MonitorOptions) {
    this.#pages = new Map([
      ["/metrics", async () => {
        const { text, contentType } = await metrics();
        return { status: 200, contentType, body: text };
      }],
      ["/healthz", async () => formatConditions(await live())],
      [
        "/readyz",
        async () => formatConditions([this.#serving(), ...await ready()]),
      ],
    ]);
  }

  /** Whether it answers a path. */
  has(path: string): boolean {
    return this.#pages.has(path);
  }

  /** Makes `/readyz` fail: the server is stopping. */
  stop(): void {
    this.#isServing = false;
  }

  /** Answers a request, with 404 for an unknown path.
   *
   * @param options `isPublic`: whether it answers callers without a certificate
   */
  handle(
    request: Request,
    response: Response,
    { caller, isPublic }: {
      readonly caller: Caller;
      readonly isPublic: boolean;
    },
  ): void {
    // Without listeners an error of a connection would end the process.
    request.on("error", ignore);
    response.on("error", ignore);
    request.resume();
    const answer = refuseCaller(request, caller, isPublic) ??
      this.#answer(request);
    Promise.resolve(answer).then((page) => {
      const head: Record<string, string> = {
        "content-type": page.contentType,
        "content-length": String(new TextEncoder().encode(page.body).length),
        "cache-control": "no-store",
        ...page.status === 405 && { allow: "GET, HEAD" },
      };
      response.writeHead(page.status, head);
      response.end(request.method === "HEAD" ? "" : page.body);
    }).catch((error) => {
      log.debug("Cannot answer {path}: {error}", { path: request.url, error });
      response.destroy();
    });
  }

  async #answer(request: Request): Promise<Page> {
    const path = (request.url ?? "").split("?", 1)[0]!;
    const page = this.#pages.get(path);
    if (!page) {
      const paths = [...this.#pages.keys()].join(", ");
      return plain(404, `There are ${paths}`);
    }
    if (request.method !== "GET" && request.method !== "HEAD") {
      return plain(405, `${path} can only be read`);
    }
    try {
      return await page();
    } catch (error) {
      log.error("Cannot tell {path}: {error}", { path, error });
      return plain(500, "internal error; the agent's log has the cause");
    }
  }

  #serving(): Condition {
    return {
      name: "serving",
      holds: this.#isServing,
      reason: this.#isServing ? "it answers calls" : "it is stopping",
    };
  }
}

function formatConditions(conditions: readonly Condition[]): Page {
  const isWell = conditions.every(({ holds }) => holds);
  const checks = conditions.map(({ name, holds, reason }) => ({
    name,
    status: holds ? "ok" : "failed",
    reason,
  }));
  const answer = { status: isWell ? "ok" : "failed", checks };
  return {
    status: isWell ? 200 : 503,
    contentType: "application/json",
    body: `${JSON.stringify(answer, undefined, 2)}\n`,
  };
}

/** The refusal of a web page, or of a caller that has to show a certificate first. */
function refuseCaller(
  { headers }: Request,
  caller: Caller,
  isPublic: boolean,
): Page | undefined {
  const refusal = refusePage(headers, caller);
  if (refusal) return plain(refusal.status, refusal.message);
  if (isPublic) return undefined;
  switch (caller.kind) {
    case "anonymous":
      return plain(
        401,
        "This takes a certificate of the cluster; --metrics serves it without",
      );
    case "refused":
      return plain(403, caller.why);
    default:
      return undefined;
  }
}

function plain(status: number, text: string): Page {
  const contentType = "text/plain; charset=utf-8";
  return { status, contentType, body: `${text}\n` };
}

function ignore(): void {}
