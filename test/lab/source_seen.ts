import { join } from "node:path";
import { signalChild } from "../support/signal_child.ts";
import { execArgs } from "./netns.ts";
import type { Station } from "./station.ts";

/** How long a connection may take, in seconds. */
const TIMEOUT_S = 5;

/**
 * A TCP server on a host or container that tells which source address it sees
 * a connection come from: the far end's own, unless something rewrites it.
 */
export class SourceServer implements AsyncDisposable {
  readonly #address: string;
  readonly #port: string;
  readonly #child: Deno.ChildProcess;

  private constructor(address: string, port: string, child: Deno.ChildProcess) {
    this.#address = address;
    this.#port = port;
    this.#child = child;
  }

  /** Starts one on an address of a host or container. */
  static async start(at: Station, address: string): Promise<SourceServer> {
    const program = join(import.meta.dirname!, "source_server.ts");
    const child = new Deno.Command("ip", {
      args: execArgs(at.netns, [
        ...[Deno.execPath(), "run", "-A", "--cached-only", program, address],
      ]),
      stdin: "null",
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    const reader = child.stdout.getReader();
    const { value } = await reader.read();
    await reader.cancel();
    const port = new TextDecoder().decode(value).trim();
    const server = new SourceServer(address, port, child);
    if (port !== "") return server;
    await server[Symbol.asyncDispose]();
    throw new Error(`Cannot listen on ${address} on ${at.name}: see above`);
  }

  /**
   * The source address with which a host or container is seen.
   *
   * @throws {Error} when it cannot connect
   */
  async sourceOf(from: Station): Promise<string> {
    const file = `/dev/tcp/${this.#address}/${this.#port}`;
    return await from.must("timeout", [
      ...[String(TIMEOUT_S), "bash", "-c", `cat <"$0"`, file],
    ]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    signalChild(this.#child, "SIGKILL");
    await this.#child.status;
  }
}
