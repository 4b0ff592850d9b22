import {
  createServer,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from "node:http";

/** What an owner of the fake holds. */
interface Held {
  readonly address: string;
  readonly allocatedAtMs: number;
  /** Id of the ADD. */
  readonly id: string;
}

/** What goes wrong with the next call, in place of or after what it does. */
export type Fault =
  | { readonly kind: "refuse"; readonly code: string; readonly message: string }
  /** The call is carried out, and never answered. */
  | { readonly kind: "hang" }
  /** The call is carried out, and the connection is closed. */
  | { readonly kind: "close" }
  /** The call is carried out, and these bytes are the answer. */
  | { readonly kind: "bytes"; readonly text: string };

const STATUS: Readonly<Record<string, number>> = {
  invalid_argument: 400,
  not_found: 404,
  already_exists: 409,
  resource_exhausted: 429,
  unavailable: 503,
};
const PATH = /^\/stellar\.net\.v1\.IpamService\/(\w+)$/;

/**
 * The agent's IpamService over a unix socket, on a model of one `/29`. It
 * complains about every key and header that the real one would not take.
 */
export class FakeIpamServer implements AsyncDisposable {
  readonly socketPath: string;
  /** The calls so far: method and message. */
  readonly calls: [method: string, message: Record<string, unknown>][] = [];
  /** The addresses that are held, by `network/container/interface`. */
  readonly held = new Map<string, Held>();
  /** The keys of `held` whose container is gone. All others are running. */
  readonly gone = new Set<string>();
  readonly #faults: Fault[] = [];
  readonly #server: Server;
  /** Whether CheckReady succeeds. */
  isReady = true;
  /** The time on the server's clock. */
  now: () => number = Date.now;

  private constructor(socketPath: string) {
    this.socketPath = socketPath;
    this.#server = createServer((request, response) => {
      this.#serve(request, response).catch((error) => {
        answer(response, 500, { code: "internal", message: String(error) });
      });
    });
  }

  /** Starts a server at a path. */
  static async start(socketPath: string): Promise<FakeIpamServer> {
    const fake = new FakeIpamServer(socketPath);
    await new Promise<void>((resolve) =>
      fake.#server.listen(socketPath, resolve)
    );
    return fake;
  }

  /** Lets the next calls go wrong, one a fault. */
  fail(...faults: readonly Fault[]): void {
    this.#faults.push(...faults);
  }

  /** The names of the methods called so far. */
  get methods(): string[] {
    return this.calls.map(([method]) => method);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  async #serve(
    request: IncomingMessage,
    response: ServerResponse,
  ): Promise<void> {
    const message = await readMessage(request);
    const method = PATH.exec(request.url ?? "")?.[1] ?? "";
    this.calls.push([method, message]);
    const fault = this.#faults.shift();
    if (fault?.kind === "refuse") {
      return answer(response, STATUS[fault.code] ?? 500, fault);
    }
    const [status, body] = this.#carryOut(method, message);
    switch (fault?.kind) {
      case undefined:
        return answer(response, status, body);
      case "hang":
        return;
      case "close":
        request.socket.destroy();
        return;
      case "bytes":
        request.socket.end(fault.text);
    }
  }

  #carryOut(
    method: string,
    message: Record<string, unknown>,
  ): [status: number, body: unknown] {
    const refuse = (code: string): [number, unknown] => [
      STATUS[code] ?? 500,
      { code, message: `Cannot ${method}: ${code}` },
    ];
    switch (method) {
      case "Allocate": {
        only(message, ["owner", "addresses", "attachment", "id"]);
        const { owner, addresses, attachment } = message;
        const id = String(message.id);
        only(attachment, ["netns"]);
        const key = keyOf(owner);
        const held = this.held.get(key);
        if (held) {
          if (!this.gone.delete(key)) return refuse("already_exists");
          const renewed = { ...held, id };
          this.held.set(key, renewed);
          return [200, { allocation: allocation(renewed) }];
        }
        const [wanted] = addresses as string[];
        const address = wanted ?? this.#free();
        if (address === undefined) return refuse("resource_exhausted");
        if (!/^192\.0\.2\.[2-6]$/.test(address)) {
          return refuse("invalid_argument");
        }
        if (this.#isHeld(address)) return refuse("already_exists");
        const given = { address, allocatedAtMs: this.now(), id };
        this.held.set(key, given);
        return [200, { allocation: allocation(given), created: true }];
      }
      case "Release": {
        const { attachment, id } = message;
        only(message, ["owner", "reason", id ? "id" : "attachment"]);
        if (attachment) only(attachment, ["netns"]);
        const key = keyOf(message.owner);
        const held = this.held.get(key);
        if (id && held?.id !== id) return [200, {}];
        this.held.delete(key);
        return [200, held ? { addresses: [held.address] } : {}];
      }
      case "GetAllocation": {
        only(message, ["owner"]);
        const held = this.held.get(keyOf(message.owner));
        return held
          ? [200, { allocation: allocation(held) }]
          : refuse("not_found");
      }
      case "ReleaseOthers": {
        only(message, ["network", "keepNone" in message ? "keepNone" : "keep"]);
        const { network, keep = [], keepNone = false } = message;
        if ((keep as unknown[]).length === 0 && keepNone !== true) {
          return refuse("invalid_argument");
        }
        const kept = (keep as { [name: string]: unknown }[])
          .map((owner) => keyOf({ network, ...owner }));
        for (const key of this.held.keys()) {
          if (key.startsWith(`${network}/`) && !kept.includes(key)) {
            this.held.delete(key);
          }
        }
        return [200, {}];
      }
      case "CheckReady":
        only(message, []);
        return this.isReady ? [200, {}] : refuse("resource_exhausted");
      default:
        return refuse("unimplemented");
    }
  }

  #free(): string | undefined {
    return [2, 3, 4, 5, 6].map((last) => `192.0.2.${last}`)
      .find((address) => !this.#isHeld(address));
  }

  #isHeld(address: string): boolean {
    return [...this.held.values()].some((held) => held.address === address);
  }
}

function allocation({ address, allocatedAtMs, id }: Held): unknown {
  return {
    id,
    node: "node1",
    addresses: [{ address, subnet: "192.0.2.0/29", gateway: "192.0.2.1" }],
    allocatedAt: new Date(allocatedAtMs).toISOString(),
  };
}

function keyOf(owner: unknown): string {
  only(owner, ["network", "containerId", "interfaceName"]);
  const { network, containerId, interfaceName } = owner as Record<
    string,
    string
  >;
  return `${network}/${containerId}/${interfaceName}`;
}

/** @throws {Error} when an object has other keys, or fewer */
function only(value: unknown, keys: readonly string[]): void {
  const found = Object.keys(value ?? {}).sort().join();
  const expected = [...keys].sort().join();
  if (found !== expected) {
    throw new Error(`the keys are ${found}, not ${expected}`);
  }
}

async function readMessage(
  request: IncomingMessage,
): Promise<Record<string, unknown>> {
  const { headers, method } = request;
  if (
    method !== "POST" || headers["content-type"] !== "application/json" ||
    headers["connect-protocol-version"] !== "1" ||
    !/^[1-9]\d*$/.test(String(headers["connect-timeout-ms"]))
  ) throw new Error("this is not a call of the Connect protocol");
  request.setEncoding("utf8");
  let text = "";
  for await (const piece of request) text += piece;
  return JSON.parse(text);
}

function answer(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { "content-type": "application/json" });
  response.end(JSON.stringify(body));
}
