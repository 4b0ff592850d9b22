import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { NetError } from "../../base/error.ts";
import { parseNodeName } from "../../base/names.ts";
import { RecentMap } from "../../base/recent_map.ts";
import type { Call, CommandSpec } from "../framework/call.ts";
import type { ClusterEvent } from "../framework/client.ts";
import { type Flag, refuseTogether, switchFlag } from "../framework/flag.ts";
import {
  createListing,
  createSince,
  date,
  formatLine,
  LIMIT,
  listCommand,
  type Output,
  readOutput,
  readSince,
} from "../framework/list.ts";
import { type View, viewOf } from "../framework/view.ts";
import { WATCH } from "../framework/watch.ts";

type EventView = View<ClusterEvent>;

const SINCE = createSince("events");

const NODE: Flag<string> = {
  name: "node",
  value: "NAME",
  description: "only events of this node",
  completion: "node",
  parse: parseNodeName,
};

const FOLLOW: Flag<boolean> = {
  ...switchFlag("follow", "go on with new events, a line each"),
  isTypedOnly: true,
};

/** Wait before an agent that ended the stream is asked again, in ms. */
const RETRY_MS = 2_000;
/** Events of this time before a gap are read again: those of a host that was cut off are late. */
const OVERLAP_MS = 3_600_000;
/** Most events in one answer; twice as many printed ones are remembered, so that none is printed twice. */
const MAX_EVENTS = 1_000;

const COLUMNS = {
  TIME: ({ at }: EventView) => date(at),
  NODE: ({ node }: EventView) => node ?? "",
  EVENT: ({ kind }: EventView) => kind,
  TEXT: ({ text, by }: EventView) => by === null ? text : `${text} (by ${by})`,
};

/** The columns of one line after another, which nobody lays out together. */
const FOLLOWED = {
  ...COLUMNS,
  NODE: ({ node }: EventView) => (node ?? "-").padEnd(8),
  EVENT: ({ kind }: EventView) => kind.padEnd(15),
};

const LIST = listCommand({
  name: "events",
  summary: "Show what happened to the cluster, the latest first",
  action: "list events",
  flags: [SINCE, NODE, FOLLOW, LIMIT],
  examples: [
    "stellar-net events --since 24h",
    "stellar-net events --node host2 --json",
    "stellar-net events --follow",
  ],
  read: async (call) => {
    const limit = call.value(LIMIT);
    const events = await readEvents(call, { limit, ...readSince(call, SINCE) });
    return createListing({
      body: { events },
      columns: COLUMNS,
      rows: events,
      notes: [
        events.length === 0 && "No event matches",
        events.length === limit &&
        `There may be more than these ${limit}: --limit shows more`,
      ],
    });
  },
});

export const EVENTS: CommandSpec = {
  ...LIST,
  run: async (call) => {
    refuseTogether(call, {
      flag: FOLLOW,
      others: [WATCH],
      why: "it prints new events by itself",
    });
    if (call.value(FOLLOW)) await follow(call);
    else return await LIST.run(call);
  },
};

async function readEvents(
  call: Call,
  { limit, ...range }: {
    readonly limit: number;
    readonly since?: ReturnType<typeof timestampFromMs>;
  },
): Promise<EventView[]> {
  const { events } = await call.clients().cluster.listEvents({
    node: call.value(NODE) ?? "",
    pageSize: limit,
    ...range,
  });
  return events.map(viewOf);
}

/** Prints the events that are there, the oldest first, and each new one once. */
async function follow(call: Call): Promise<void> {
  const output = readOutput(call);
  const node = call.value(NODE);
  const printed = new Printed(call, output);
  let revision = "";
  let isFirst = true;
  let problem: string | undefined;
  do {
    try {
      const messages = call.clients().cluster.watch(
        { revision, eventsOnly: true },
        { timeoutMs: 0 },
      );
      for await (const message of messages) {
        problem = undefined;
        if (message.eventsMissed) {
          // The watch is open, so that nothing gets lost after the list.
          const events = await readEvents(
            call,
            isFirst
              ? { limit: call.value(LIMIT), ...readSince(call, SINCE) }
              : {
                limit: MAX_EVENTS,
                since: timestampFromMs(printed.latestMs - OVERLAP_MS),
              },
          );
          printed.add(events.reverse());
          isFirst = false;
        }
        printed.add(
          message.events.map(viewOf).filter((event) =>
            node === undefined || event.node === node
          ),
        );
        if (!message.more) revision = message.revision;
      }
    } catch (error) {
      if (!(error instanceof NetError) || isFirst) throw error;
      if (error.message !== problem) {
        call.note(`Cannot ${call.action}, trying again: ${error.message}`);
      }
      problem = error.message;
    }
  } while (await call.io.wait(RETRY_MS));
}

/** The events that a command has printed. */
class Printed {
  readonly #call: Call;
  readonly #output: Output;
  readonly #known = new RecentMap<string, true>(2 * MAX_EVENTS);
  /** Time of the latest event, in ms since 1970. */
  latestMs: number;

  constructor(call: Call, output: Output) {
    this.#call = call;
    this.#output = output;
    this.latestMs = call.io.now();
  }

  add(events: readonly EventView[]): void {
    for (const event of events) {
      const key = JSON.stringify(event);
      if (this.#known.has(key)) continue;
      this.#known.set(key, true);
      this.latestMs = Math.max(this.latestMs, Date.parse(event.at ?? ""));
      const listing = createListing({
        body: { ...event },
        columns: this.#output === "csv" ? COLUMNS : FOLLOWED,
        rows: [event],
      });
      this.#call.io.stdout(
        formatLine(listing, this.#call.io.now(), this.#output),
      );
    }
  }
}
