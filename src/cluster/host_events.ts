import { readEntry } from "../state/read_entry.ts";
import type { Entry, Key, Store } from "../store/store.ts";
import { formatUtcMs } from "../base/duration.ts";
import type { EntryBeside } from "./journal.ts";
import {
  diffReports,
  type HostHappening,
  problemKey,
  type SeenReport,
} from "./plan/events.ts";
import type { Report } from "./plan/report.ts";

/** Key of the host's state when its last event was recorded. */
const KEY: Key = ["host", "seen"];
/** Codes of problems that pass while a host starts: it looks for the registry, and has no certificate yet. */
const STARTING: ReadonlySet<string> = new Set(["registry-unreachable", "host"]);
/** Time for the first contact with the registry after a start, in ms. */
const CONTACT_MS = 30_000;
/** The part of a certificate's time with less of which left it should have been renewed. */
const EXPIRING_SHARE = 1 / 5;

/** An observation of a host by itself. */
export interface HostObservation {
  readonly report: Report;
  /** Corrections of routes that somebody else had changed, since the agent's start. */
  readonly repairs: number;
  /** When its certificate is valid, in ms since 1970; undefined without one. */
  readonly certificate: {
    readonly notBeforeMs: number;
    readonly notAfterMs: number;
  } | undefined;
}

export interface HostEventsOptions {
  readonly node: string;
  /** The host's own store. */
  readonly store: Store;
  readonly observe: () => Promise<HostObservation>;
  /**
   * Records events at the present time, together with an entry of the host's own
   * store: in one commit if it keeps the events there, too.
   */
  readonly record: (
    events: readonly HostHappening[],
    seen: EntryBeside,
  ) => void | Promise<unknown>;
  /** The time in ms since 1970. */
  readonly now: () => number;
  /** A monotonic clock, in ms. */
  readonly uptimeMs: () => number;
}

/** The part of an observation that events depend on. */
interface Seen {
  readonly report: SeenReport;
  readonly notAfterMs: number | undefined;
  readonly isExpiring: boolean;
}

/**
 * Turns what a host observes of itself into events, with the host's own time. It
 * keeps the last observation over a restart, so that no event comes twice.
 */
export class HostEvents {
  readonly #options: HostEventsOptions;
  #seen: Seen | undefined;
  #repairs: number | undefined;
  readonly #openedAtMs: number;
  #looking: Promise<unknown> = Promise.resolve();

  private constructor(options: HostEventsOptions, seen: Seen | undefined) {
    this.#options = options;
    this.#seen = seen;
    this.#openedAtMs = options.uptimeMs();
  }

  /** Reads what was seen last. */
  static async open(options: HostEventsOptions): Promise<HostEvents> {
    const entry = await options.store.get(KEY);
    return new HostEvents(options, entry ? readSeen(entry) : undefined);
  }

  /**
   * Observes the host, and records what has happened since the last time. One
   * look comes after the other: an older observation would undo a later one.
   */
  look(): Promise<Report> {
    const look = this.#looking.then(() => this.#look());
    this.#looking = look.catch(() => {});
    return look;
  }

  async #look(): Promise<Report> {
    const { node, observe, record, now } = this.#options;
    const { report, repairs, certificate } = await observe();
    const before = this.#seen;
    const isExpiring = certificate !== undefined &&
      certificate.notAfterMs - now() <
        (certificate.notAfterMs - certificate.notBeforeMs) * EXPIRING_SHARE;
    const seen = {
      report: this.#settled(report),
      notAfterMs: certificate?.notAfterMs,
      isExpiring,
    };
    const events = [
      ...diffReports(node, before?.report, seen.report),
      ...this.#diffRepairs(repairs),
      ...this.#diffCertificate(before, seen),
    ];
    this.#seen = seen;
    this.#repairs = repairs;
    if (events.length === 0 && before) return report;
    await record(events, { key: KEY, value: writeSeen(seen) });
    return report;
  }

  /** The report without problems that are new and may pass with the start. */
  #settled(report: Report): SeenReport {
    const startedMs = this.#options.uptimeMs() - this.#openedAtMs;
    if (startedMs >= CONTACT_MS) return report;
    const known = new Set(this.#seen?.report.problems.map(problemKey));
    return {
      ...report,
      problems: report.problems.filter((problem) =>
        !STARTING.has(problem.code) || known.has(problemKey(problem))
      ),
    };
  }

  #diffRepairs(repairs: number): HostHappening[] {
    const { node } = this.#options;
    const more = repairs - (this.#repairs ?? repairs);
    if (more <= 0) return [];
    const routes = more === 1 ? "1 route" : `${more} routes`;
    return [{
      ...{ kind: "route repaired", node, subject: "drift" },
      text:
        `${node} has put ${routes} right that somebody else had changed or removed`,
    }];
  }

  #diffCertificate(before: Seen | undefined, after: Seen): HostHappening[] {
    const { node } = this.#options;
    const { notAfterMs, isExpiring } = after;
    if (!before || notAfterMs === undefined) return [];
    const subject = "certificate";
    const until = formatUtcMs(notAfterMs);
    if (before.notAfterMs !== undefined && notAfterMs > before.notAfterMs) {
      const text = `The certificate of ${node} was renewed until ${until}`;
      return [{ kind: "certificate renewed", node, subject, text }];
    }
    if (!isExpiring || before.isExpiring) return [];
    const text = `The certificate of ${node} expires at ${until}: ` +
      "it should have been renewed before";
    return [{ kind: "certificate expiring", node, subject, text }];
  }
}

function writeSeen({ report, notAfterMs, isExpiring }: Seen) {
  const { version, bootId, startedAtMs, subnets, problems } = report;
  return {
    ...{ version, bootId, startedAtMs, isExpiring },
    ...notAfterMs !== undefined && { notAfterMs },
    subnets: subnets.map(({ cidr, held, capacity }) => ({
      ...{ cidr, held },
      // A /64 has more than a record's count holds.
      capacity: Math.min(capacity, Number.MAX_SAFE_INTEGER),
    })),
    problems: problems.map(({ code, text, subject }) => ({
      ...{ code, text },
      ...subject !== undefined && { subject },
    })),
  };
}

function readSeen(entry: Entry): Seen {
  return readEntry(entry, "state of this host", (record) => ({
    report: {
      version: record.text("version"),
      bootId: record.text("bootId"),
      startedAtMs: record.count("startedAtMs"),
      subnets: record.objects("subnets").map((subnet) => ({
        cidr: subnet.text("cidr"),
        held: subnet.count("held"),
        capacity: subnet.count("capacity"),
      })),
      problems: record.objects("problems").map((problem) => ({
        code: problem.text("code"),
        text: problem.text("text"),
        ...subjectOf(problem.optionalText("subject")),
      })),
    },
    notAfterMs: record.optionalCount("notAfterMs"),
    isExpiring: record.flag("isExpiring"),
  }));
}

function subjectOf(subject: string | undefined) {
  return subject === undefined ? {} : { subject };
}
