import { join } from "node:path";
import { signalChild } from "../support/signal_child.ts";
import { waitFor } from "../support/wait_for.ts";
import { labNetns } from "./lab_folder.ts";
import type { Lab } from "./lab.ts";
import type { LabHost } from "./lab_host.ts";
import { execArgs } from "./netns.ts";

const SCRIPT = join(import.meta.dirname!, "wire_tap.py");
/** What is sent there is thrown away (RFC 863). */
const DISCARD_PORT = "9";

/** Listens in on the switch of a lab: to all frames, several times each. */
export class WireTap implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #read: Promise<void>;
  readonly #chunks: Uint8Array<ArrayBuffer>[] = [];

  private constructor(child: Deno.ChildProcess) {
    this.#child = child;
    this.#read = this.#collect();
  }

  /** Begins to listen. */
  static async start(lab: Lab): Promise<WireTap> {
    const child = new Deno.Command("ip", {
      args: execArgs(labNetns(lab.id, "switch"), ["/usr/bin/python3", SCRIPT]),
      stdin: "null",
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    const tap = new WireTap(child);
    await waitFor("the tap to listen", () => tap.#chunks.length > 0);
    return tap;
  }

  /**
   * Ends it, once it has heard what a host tells another in plain text: all
   * that was sent before is in the frames then.
   *
   * @returns all frames
   */
  async stop(
    [from, to]: readonly [from: LabHost, to: LabHost],
    text: string,
  ): Promise<Uint8Array> {
    const port = `/dev/udp/${to.address}/${DISCARD_PORT}`;
    await waitFor("the tap to hear plain text", async () => {
      await from.must("bash", ["-c", 'printf %s "$0" >"$1"', text, port]);
      return new TextDecoder().decode(await this.#all()).includes(text);
    });
    await this[Symbol.asyncDispose]();
    return await this.#all();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    signalChild(this.#child, "SIGKILL");
    await this.#child.status;
    await this.#read;
  }

  async #collect(): Promise<void> {
    for await (const chunk of this.#child.stdout) this.#chunks.push(chunk);
  }

  async #all(): Promise<Uint8Array> {
    return await new Blob(this.#chunks).bytes();
  }
}
