import { getLogger } from "@logtape/logtape";
import { NetError } from "../base/error.ts";
import type { Reports } from "./reports.ts";
import type { ReportSource } from "./report_source.ts";

/** Time until a report is read again that came too soon after the one before, in ms. */
const REPEAT_MS = 1_100;

const log = getLogger(["stellar-net", "cluster"]);

export interface OwnReportOptions {
  readonly node: string;
  readonly source: Pick<ReportSource, "read">;
  readonly reports: Pick<Reports, "receive">;
}

/** The report of the host that has the registry, which sends no heartbeats. */
export class OwnReport {
  readonly #options: OwnReportOptions;
  #repeating: ReturnType<typeof setTimeout> | undefined;

  constructor(options: OwnReportOptions) {
    this.#options = options;
  }

  /** Gives the registry the present report, now or as soon as it takes one. @throws {NetError} as the source does */
  async send(): Promise<void> {
    const { node, source, reports } = this.#options;
    const isTaken = reports.receive(node, await source.read());
    if (isTaken || this.#repeating !== undefined) return;
    this.#repeating = setTimeout(() => {
      this.#repeating = undefined;
      this.sendSoon();
    }, REPEAT_MS);
  }

  /** Sends the report, and logs a failure. */
  sendSoon(): void {
    this.send().catch((error) => {
      if (!(error instanceof NetError)) throw error;
      log.debug("Cannot read this host's report: {error}", { error });
    });
  }

  stop(): void {
    clearTimeout(this.#repeating);
  }
}
