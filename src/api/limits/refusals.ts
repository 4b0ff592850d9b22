import { getLogger } from "@logtape/logtape";

/** Refused clients are told to the operator this often at most, in ms. */
const REPORT_INTERVAL_MS = 10_000;

const log = getLogger(["stellar-net", "rpc"]);

/** Who was refused, and why. */
export interface RefusedClient {
  /** An address, or a name such as `node "host2"`. */
  readonly from: string;
  readonly why: string;
}

/** Tells the operator about clients that are refused, and does not let them fill the log. */
export class Refusals {
  readonly #uptimeMs: () => number;
  #reportedAtMs = -Infinity;
  #unreported = 0;

  constructor(uptimeMs: () => number = () => performance.now()) {
    this.#uptimeMs = uptimeMs;
  }

  /** Logs a refusal, if none was in the last ten seconds. */
  report({ from, why }: RefusedClient): void {
    const nowMs = this.#uptimeMs();
    if (nowMs - this.#reportedAtMs < REPORT_INTERVAL_MS) {
      this.#unreported++;
      log.debug("Refused a client at {from}: {why}", { from, why });
      return;
    }
    const others = this.#unreported;
    this.#reportedAtMs = nowMs;
    this.#unreported = 0;
    log.warn("Refused a client at {from}: {why} ({others} others before)", {
      ...{ from, why, others },
    });
  }
}
