import { Code, ConnectError } from "@connectrpc/connect";
import { type ReadonlySignal, signal } from "@preact/signals";
import { BackOff, sleep } from "../../base/retry.ts";
import { clusterApi, explainError } from "./api.ts";
import { setAgentTime } from "./clock.ts";
import {
  addEvents,
  applyMessage,
  type ClusterView,
  dropParts,
  NO_WATCH,
  type WatchState,
} from "./plan/cluster_view.ts";

/** The stream to the agent. */
export type Link =
  /** The page has not seen the cluster yet. */
  | { readonly kind: "connecting" }
  | { readonly kind: "live" }
  /** What the page shows is the past; it tries again by itself. */
  | { readonly kind: "lost"; readonly sinceMs: number; readonly why: string }
  /** The command that served the page has ended, or refuses it: final. */
  | { readonly kind: "ended"; readonly why: string };

/** Time without a message after which a stream counts as dead: it sends one every 10 s. */
const SILENCE_MS = 25_000;
const FIRST_RETRY_MS = 250;
const MAX_RETRY_MS = 2_000;
/** Events to read at the start. */
const FIRST_EVENTS = 200;

const view = signal<ClusterView | undefined>(undefined);
const link = signal<Link>({ kind: "connecting" });
const back = signal(0);

/** The cluster; undefined until the first snapshot has come. */
export const cluster: ReadonlySignal<ClusterView | undefined> = view;
/** The state of the stream that keeps it up to date. */
export const clusterLink: ReadonlySignal<Link> = link;
/** How many times the stream was lost and is back: what was loaded beside it may be old. */
export const comebacks: ReadonlySignal<number> = back;

let state: WatchState = NO_WATCH;
/** Ends the present wait or the present stream, so that the next one starts at once. */
let current = new AbortController();

/** Connects again at once. */
export function reconnect(): void {
  current.abort();
}

/** Follows the cluster for as long as the page is open. */
export async function followCluster(): Promise<void> {
  const backOff = new BackOff({
    firstMs: FIRST_RETRY_MS,
    maxMs: MAX_RETRY_MS,
    random: Math.random,
  });
  for (;;) {
    current = new AbortController();
    try {
      await readStream(current, () => backOff.reset());
      setLost("the agent has ended the stream");
    } catch (error) {
      const { code } = ConnectError.from(error);
      if (code === Code.Unauthenticated || code === Code.PermissionDenied) {
        link.value = { kind: "ended", why: explainError(error) };
        return;
      }
      setLost(
        current.signal.aborted ? "the agent is silent" : explainError(error),
      );
    }
    state = dropParts(state);
    current = new AbortController();
    await sleep(backOff.next(), current.signal);
  }
}

async function readStream(
  controller: AbortController,
  onMessage: () => void,
): Promise<void> {
  const { signal } = controller;
  let timer = setTimeout(() => controller.abort(), SILENCE_MS);
  try {
    const request = { revision: state.revision };
    for await (const message of clusterApi.watch(request, { signal })) {
      clearTimeout(timer);
      timer = setTimeout(() => controller.abort(), SILENCE_MS);
      const wasEmpty = state.view === undefined;
      state = applyMessage(state, message);
      if (message.more || !state.view) continue;
      onMessage();
      setAgentTime(state.view.asOfMs);
      show(state.view);
      setLive();
      if (wasEmpty || message.eventsMissed) void readEvents(signal);
    }
  } finally {
    clearTimeout(timer);
  }
}

/** Reads the last events, which a watch begins without. */
async function readEvents(signal: AbortSignal): Promise<void> {
  try {
    const { events } = await clusterApi
      .listEvents({ pageSize: FIRST_EVENTS }, { signal });
    if (!state.view) return;
    state = { ...state, view: addEvents(state.view, events) };
    show(state.view!);
  } catch {
    // The stream tells what is wrong with the agent.
  }
}

function show(next: ClusterView): void {
  view.value = next;
}

function setLive(): void {
  if (link.value.kind === "live") return;
  if (link.value.kind === "lost") back.value++;
  link.value = { kind: "live" };
}

function setLost(why: string): void {
  const { value } = link;
  const sinceMs = value.kind === "lost" ? value.sinceMs : Date.now();
  link.value = { kind: "lost", sinceMs, why };
}
