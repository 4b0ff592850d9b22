import { HOST_EVENT_KINDS, type HostEventKind } from "./events.ts";
import { cleanText } from "./accept_report.ts";

/** Longest text of an event, and of its subject. */
const MAX_TEXT = 240;
const MAX_SUBJECT = 64;
/** Time by which a host's clock may be ahead, in ms. */
const MAX_AHEAD_MS = 60_000;
/** Events that one heartbeat may carry. */
const MAX_EVENTS = 32;

/** An event as a host sends it. */
export interface SentEvent {
  /** In ms since 1970, by the host's clock. */
  readonly atMs: number;
  readonly number: number;
  readonly kind: string;
  readonly subject: string;
  readonly text: string;
}

/**
 * Accepts events of a host as far as a registry believes them: known kinds,
 * short texts on one line, and no time in the future or before the events that
 * are kept.
 */
export function acceptEvents<E extends SentEvent>(
  events: readonly E[],
  { nowMs, keepMs }: { readonly nowMs: number; readonly keepMs: number },
): (E & { readonly kind: HostEventKind })[] {
  return events.slice(0, MAX_EVENTS).flatMap((event) => {
    const kind = HOST_EVENT_KINDS.find((known) => known === event.kind);
    const isRecent = event.atMs > nowMs - keepMs;
    const isNumber = Number.isSafeInteger(event.number) && event.number > 0;
    if (kind === undefined || !isRecent || !isNumber || event.text === "") {
      return [];
    }
    return [{
      ...event,
      kind,
      atMs: Math.floor(Math.min(event.atMs, nowMs + MAX_AHEAD_MS)),
      subject: cleanText(event.subject, MAX_SUBJECT),
      text: cleanText(event.text, MAX_TEXT),
    }];
  });
}
