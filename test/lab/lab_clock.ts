import { join } from "node:path";
import type { LabHost } from "./lab_host.ts";

const LIBRARY = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1";
const HOUR_MS = 3_600_000;

/**
 * The clock of a host, which can be set while programs run: for all that ask
 * for the time of day, and not for what measures time (libfaketime(1)).
 */
export class LabClock {
  readonly #path: string;
  #aheadMs = 0;

  private constructor(path: string) {
    this.#path = path;
  }

  /** Makes a clock that shows the time in a file; it is right at first. */
  static async create(path: string): Promise<LabClock> {
    const clock = new LabClock(path);
    await clock.#write();
    return clock;
  }

  /** Gives a host whose agent does not run a clock of its own; it is right at first. */
  static async giveTo(host: LabHost): Promise<LabClock> {
    const clock = await LabClock.create(join(host.dir, "clock"));
    host.agent.env = { ...host.agent.env, ...clock.env };
    return clock;
  }

  /** The environment of programs that go by it. */
  get env(): Readonly<Record<string, string>> {
    return {
      LD_PRELOAD: LIBRARY,
      FAKETIME_TIMESTAMP_FILE: this.#path,
      FAKETIME_NO_CACHE: "1",
      FAKETIME_DONT_FAKE_MONOTONIC: "1",
      NO_FAKE_STAT: "1",
    };
  }

  /** What it shows, in ms since 1970. */
  get nowMs(): number {
    return Date.now() + this.#aheadMs;
  }

  /** Moves it on, or back. */
  async moveHours(hours: number): Promise<void> {
    this.#aheadMs += hours * HOUR_MS;
    await this.#write();
  }

  /** Replaces the file: nobody reads half of it. */
  async #write(): Promise<void> {
    const part = `${this.#path}.part`;
    await Deno.writeTextFile(part, `+${this.#aheadMs / 1000}s\n`);
    await Deno.rename(part, this.#path);
  }
}
