import { once } from "node:events";
import { createServer, type Socket } from "node:net";

/** What a scripted agent does on a connection of a native plugin. */
export interface AgentScript {
  /** Bytes of the call to wait for. Default: the whole call. */
  readonly after?: number;
  /** Bytes to send then, in pieces. */
  readonly send: readonly Uint8Array[];
  /** How the connection ends. Default `wait`: the plugin ends it. */
  readonly end?: "close" | "reset" | "wait";
}

/** An agent that does what its script says, whatever the plugin sends. */
export class ScriptedAgent implements AsyncDisposable {
  /** Bytes of the last plugin's call, as far as it sent them. */
  call = new Uint8Array();
  /** Bytes that it sent behind the call, however the kernel split them. */
  reply = new Uint8Array();
  script: AgentScript = { send: [] };
  readonly #server = createServer((socket) => this.#serve(socket));
  #ended: Promise<unknown> = Promise.resolve();

  /** Starts one at a path. */
  static async start(path: string): Promise<ScriptedAgent> {
    const agent = new ScriptedAgent();
    agent.#server.listen(path);
    await once(agent.#server, "listening");
    return agent;
  }

  /** Resolves when the last connection has ended. */
  async ended(): Promise<void> {
    await this.#ended;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close();
    await once(this.#server, "close");
  }

  #serve(socket: Socket): void {
    const { after, send, end = "wait" } = this.script;
    this.call = new Uint8Array();
    this.reply = new Uint8Array();
    this.#ended = new Promise((resolve) => socket.once("close", resolve));
    let isAnswered = false;
    socket.on("error", () => {});
    const answer = () => {
      isAnswered = true;
      for (const bytes of send) socket.write(bytes);
      if (end === "close") socket.end();
      if (end === "reset") socket.destroy();
    };
    socket.on("data", (chunk: Uint8Array) => {
      const all = concat(concat(this.call, this.reply), chunk);
      this.call = all.slice(0, callLength(all));
      this.reply = all.slice(this.call.length);
      const wanted = after ?? callLength(this.call);
      if (!isAnswered && this.call.length >= wanted) answer();
    });
    if (after === 0) answer();
  }
}

/** The length of a call, by its head. */
function callLength(bytes: Uint8Array): number {
  if (bytes.length < 12) return 12;
  const view = new DataView(bytes.buffer);
  return 12 + view.getUint32(4) + view.getUint32(8);
}

function concat(a: Uint8Array, b: Uint8Array): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(a.length + b.length);
  bytes.set(a);
  bytes.set(b, a.length);
  return bytes;
}

/** A message of the agent: its kind, and numbers of four bytes. */
export function nativeMessage(
  kind: number,
  numbers: readonly number[] = [],
  text = "",
): Uint8Array {
  const encoded = new TextEncoder().encode(text);
  const bytes = new Uint8Array(1 + 4 * numbers.length + encoded.length);
  bytes[0] = kind;
  const view = new DataView(bytes.buffer);
  numbers.forEach((number, i) => view.setUint32(1 + 4 * i, number));
  bytes.set(encoded, 1 + 4 * numbers.length);
  return bytes;
}
