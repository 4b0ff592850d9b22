import type { RunningProcess } from "../support/running_process.ts";
import type { LabHost } from "./lab_host.ts";

/** `stellar-net ui` on a host of a lab. Disposing of it ends it. */
export class LabUi implements AsyncDisposable {
  /** The link that it has printed, with its secret. */
  readonly link: string;
  readonly process: RunningProcess;

  private constructor(process: RunningProcess, link: string) {
    this.process = process;
    this.link = link;
  }

  static async start(
    host: LabHost,
    flags: readonly string[] = [],
  ): Promise<LabUi> {
    const process = host.start(["stellar-net", "ui", ...flags]);
    return new LabUi(process, await process.find(/^http:\S+(?=\n)/));
  }

  /** Where the map is, such as `http://127.0.0.1:40000`. */
  get origin(): string {
    return new URL(this.link).origin;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.process[Symbol.asyncDispose]();
  }
}
