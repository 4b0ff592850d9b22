import { join } from "node:path";
import { ROOT } from "../generate.ts";
import { waitFor } from "./wait_for.ts";

/** What a service has told its manager. */
export interface Notification {
  /** Variables, such as `READY=1`. */
  readonly lines: readonly string[];
  /** The process that sent it, as the kernel says. */
  readonly pid: number;
  /** Whether the service's socket took a connection when it came. */
  readonly serves: boolean;
}

/** Stands in for systemd: takes what services send to `NOTIFY_SOCKET`. Disposing of it ends it. */
export class NotifyReceiver implements AsyncDisposable {
  /** What has come so far, in order. */
  readonly received: Notification[] = [];
  readonly #child: Deno.ChildProcess;
  readonly #ended: Promise<void>;
  #isUp = false;

  private constructor(name: string, service: string) {
    this.#child = new Deno.Command("python3", {
      args: [join(ROOT, "test/support/notify_receiver.py"), name, service],
      stdin: "null",
      stdout: "piped",
    }).spawn();
    this.#ended = this.#read();
  }

  /**
   * Starts it, and waits until it listens.
   *
   * @param name a path, or a name in the abstract namespace with an `@` first
   * @param service path of the service's own socket
   */
  static async start(name: string, service: string): Promise<NotifyReceiver> {
    const receiver = new NotifyReceiver(name, service);
    await receiver.#until(() => receiver.#isUp);
    return receiver;
  }

  /** Waits until a condition holds of what has come. */
  async has(
    condition: (received: readonly Notification[]) => boolean,
  ): Promise<void> {
    await this.#until(() => condition(this.received));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#ended;
    await this.#child.status;
  }

  async #until(condition: () => boolean): Promise<void> {
    await waitFor("the notification", condition);
  }

  async #read(): Promise<void> {
    let rest = "";
    const texts = this.#child.stdout.pipeThrough(new TextDecoderStream());
    for await (const text of texts) {
      const lines = (rest + text).split("\n");
      rest = lines.pop()!;
      for (const line of lines) {
        if (this.#isUp) this.received.push(JSON.parse(line));
        this.#isUp = true;
      }
    }
  }
}
