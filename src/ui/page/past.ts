import { type ReadonlySignal, signal } from "@preact/signals";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import type { Event } from "../../gen/stellar/net/v1/cluster_pb.ts";
import { clusterApi, explainError } from "./api.ts";
import { readPages } from "./pages.ts";

/** Most pages of events to read: the agent keeps 10,000 events. */
const MAX_PAGES = 12;

/** The events of the cluster as far as the agent keeps them. */
export interface Past {
  /** The latest first. */
  readonly events: readonly Event[];
  /** Time of the oldest one, in ms since 1970; undefined: there is none. */
  readonly beginMs: number | undefined;
  /** Why they could not be read; undefined: they were. */
  readonly error: string | undefined;
}

const current = signal<Past | undefined>(undefined);
/** The past of the cluster; undefined until it was read. */
export const past: ReadonlySignal<Past | undefined> = current;

let reading: Promise<void> | undefined;

/** Reads the past, if it was not read in the last minute. */
export function readPast(): Promise<void> {
  reading ??= read();
  return reading;
}

async function read(): Promise<void> {
  try {
    const pages = await readPages(
      (pageToken) => clusterApi.listEvents({ pageToken }),
      MAX_PAGES,
    );
    const events = pages.flatMap((page) => page.events);
    const oldest = events.at(-1)?.at;
    const beginMs = oldest && timestampMs(oldest);
    current.value = { events, beginMs, error: undefined };
  } catch (cause) {
    const error = explainError(cause);
    const { events = [], beginMs } = current.value ?? {};
    current.value = { events, beginMs, error };
  }
  setTimeout(() => reading = undefined, 60_000);
}
