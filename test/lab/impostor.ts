import { join } from "node:path";
import { signalChild } from "../support/signal_child.ts";
import { waitFor } from "../support/wait_for.ts";
import { execArgs } from "./netns.ts";
import type { Station } from "./station.ts";

/** What an impostor shows: paths of files in PEM. */
export interface ImpostorCertificate {
  readonly certPath: string;
  readonly keyPath: string;
}

/** Its answer to a connection. */
export type ImpostorMode =
  | { readonly mode: "text"; readonly text: string }
  | { readonly mode: "silent" }
  | ({ readonly mode: "tls" } & ImpostorCertificate)
  /** Passes on what it is sent, to an address. */
  | { readonly mode: "relay"; readonly to: string }
  /** The same with what TLS was to protect. */
  | ({ readonly mode: "terminate"; readonly to: string } & ImpostorCertificate);

/** What an impostor has seen. */
export interface Seen {
  /** As it came over the wire. */
  readonly raw: Uint8Array;
  /** What TLS was to protect. */
  readonly clear: Uint8Array;
  /** What it has passed on from the server behind it. */
  readonly back: Uint8Array;
  /** Why handshakes have failed. */
  readonly refused: readonly string[];
}

const SCRIPT = join(import.meta.dirname!, "impostor.py");

/** A server on a host of a lab that plays another one and records what it is sent. */
export class Impostor implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #read: Promise<void>;
  readonly #lines: { readonly what: string; readonly data: Uint8Array }[] = [];

  private constructor(child: Deno.ChildProcess) {
    this.#child = child;
    this.#read = this.#collect();
  }

  /** Starts one, and waits until it listens. */
  static async start(
    at: Station,
    options: ImpostorMode & { readonly address: string; readonly port: number },
  ): Promise<Impostor> {
    const line = ["/usr/bin/python3", SCRIPT, JSON.stringify(options)];
    const child = new Deno.Command("ip", {
      args: execArgs(at.netns, line),
      stdin: "null",
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    const impostor = new Impostor(child);
    try {
      await waitFor("the impostor to listen", () => impostor.#has("listening"));
      return impostor;
    } catch (error) {
      await impostor[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** What it has seen so far. */
  get seen(): Seen {
    return {
      raw: this.#all("raw"),
      clear: this.#all("clear"),
      back: this.#all("back"),
      refused: this.#lines.filter(({ what }) => what === "refused")
        .map(({ data }) => new TextDecoder().decode(data)),
    };
  }

  /** Waits until somebody has been connected, and is no more. */
  async met(): Promise<void> {
    await waitFor("somebody to meet the impostor", () => this.#has("ended"));
  }

  /** Ends it. @returns what it has seen */
  async stop(): Promise<Seen> {
    await this[Symbol.asyncDispose]();
    return this.seen;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    signalChild(this.#child, "SIGKILL");
    await this.#child.status;
    await this.#read;
  }

  async #collect(): Promise<void> {
    let rest = "";
    for await (
      const text of this.#child.stdout.pipeThrough(new TextDecoderStream())
    ) {
      const lines = (rest + text).split("\n");
      rest = lines.pop()!;
      for (const line of lines) {
        const { what, data } = JSON.parse(line);
        this.#lines.push({ what, data: Uint8Array.fromBase64(data) });
      }
    }
  }

  #has(wanted: string): boolean {
    return this.#lines.some(({ what }) => what === wanted);
  }

  #all(wanted: string): Uint8Array {
    const found = this.#lines.filter(({ what }) => what === wanted);
    return new Uint8Array(found.flatMap(({ data }) => [...data]));
  }
}
