import type { MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { NetError } from "../../base/error.ts";
import { type ViewChange, ViewFeed } from "../../cluster/view_feed.ts";
import {
  type ClusterServiceWatchRequest,
  type ClusterServiceWatchResponseSchema,
  EventSchema,
  HostSummarySchema,
} from "../../gen/stellar/net/v1/cluster_pb.ts";
import { eventMessage } from "../messages/cluster.ts";
import { OpenCalls } from "../limits/open_calls.ts";
import { fill, MAX_PAGE_BYTES } from "../messages/pages.ts";
import {
  askForReport,
  type ClusterOptions,
  hostSummary,
  summarizeHosts,
  summaryMessage,
} from "./cluster_overview.ts";

type Message = MessageInitShape<typeof ClusterServiceWatchResponseSchema>;

/** Most watches that one caller has open at once. */
const MAX_WATCHES = 32;

/** The watches of the cluster at an agent that hosts the registry. */
export class ClusterWatches {
  readonly #options: ClusterOptions;
  readonly #feed: ViewFeed;
  readonly #open = new OpenCalls({
    most: MAX_WATCHES,
    action: "watch the cluster",
  });

  constructor(options: ClusterOptions) {
    const { host, events, reports } = options;
    this.#options = options;
    this.#feed = new ViewFeed({
      id: crypto.randomUUID(),
      ...{ events, reports },
      watch: (signal) => host().nodes.watch(signal),
      ask: (node) => askForReport(options, node),
      summarize: (hosts) => summarizeHosts(options, hosts),
    });
  }

  /**
   * Follows the cluster for one caller.
   *
   * @throws {NetError} `exhausted` when the caller has too many watches open
   */
  async *watch(
    { revision, eventsOnly }: Pick<
      ClusterServiceWatchRequest,
      "revision" | "eventsOnly"
    >,
    { caller, signal }: {
      readonly caller: string;
      readonly signal: AbortSignal;
    },
  ): AsyncGenerator<Message> {
    // Without the registry there is nothing to follow.
    this.#options.host();
    yield* this.#open.count(
      caller,
      () => this.#follow({ revision, eventsOnly }, signal),
    );
    signal.throwIfAborted();
    throw new NetError(
      "unavailable",
      "Cannot go on with the watch: the agent stops",
    );
  }

  async *#follow(
    { revision, eventsOnly }: Pick<
      ClusterServiceWatchRequest,
      "revision" | "eventsOnly"
    >,
    signal: AbortSignal,
  ): AsyncGenerator<Message> {
    for await (const change of this.#feed.watch({ from: revision, signal })) {
      yield* this.#messages(eventsOnly ? withoutHosts(change) : change);
    }
  }

  /** Ends all watches. */
  stop(): void {
    this.#feed.stop();
  }

  /** The messages of a change: as many as it takes to stay below 4 MiB each. */
  *#messages(change: ViewChange): Generator<Message> {
    const { revision, isSnapshot, removedHosts, summary } = change;
    let { hosts, events } = change;
    for (let isFirst = true;; isFirst = false) {
      const part = fill(hosts, {
        schema: HostSummarySchema,
        message: hostSummary,
      }, MAX_PAGE_BYTES / 4);
      const recorded = fill(events, {
        schema: EventSchema,
        message: eventMessage,
      }, MAX_PAGE_BYTES / 4);
      hosts = hosts.slice(part.length);
      events = events.slice(recorded.length);
      const more = hosts.length + events.length > 0;
      yield {
        snapshot: isSnapshot,
        more,
        hosts: part,
        events: recorded,
        ...isFirst && summary && { summary: summaryMessage(summary) },
        ...isFirst && { removedHosts: [...removedHosts] },
        ...!more && {
          revision,
          eventsMissed: change.hasMissedEvents,
          asOf: timestampFromMs(this.#options.now()),
        },
      };
      if (!more) return;
    }
  }
}

function withoutHosts(change: ViewChange): ViewChange {
  return { ...change, hosts: [], removedHosts: [], summary: undefined };
}
