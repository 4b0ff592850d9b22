/** A message for a service manager. A missing field has not changed. */
export interface ServiceNews {
  /** `ready`: it serves. `stopping`: it finishes what is under way. */
  readonly state?: "ready" | "stopping";
  /** Its status, in a line for people. */
  readonly status?: string;
  /** All is well: the watchdog is to wait for the next such word. */
  readonly isAlive?: boolean;
}

/** Whoever started this service and looks after it; there may be nobody. */
export interface ServiceManager {
  /** Time without a sign of life after which it restarts the service, in ms; undefined: it does not. */
  readonly watchdogMs: number | undefined;
  /** Tells it something. Never fails: a service runs without its manager too. */
  notify(news: ServiceNews): Promise<void>;
}
