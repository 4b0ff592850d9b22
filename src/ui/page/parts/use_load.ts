import { useEffect, useRef, useState } from "preact/hooks";
import { clusterLink, comebacks } from "../cluster.ts";
import { explainError } from "../api.ts";

/** What a call has answered so far. */
export interface Loaded<T> {
  /** Undefined: nothing yet. */
  readonly value: T | undefined;
  /** Why the last attempt failed. */
  readonly why: string | undefined;
}

const NOTHING = { value: undefined, why: undefined };

/**
 * Loads something, again at an interval, and again when the agent is back.
 *
 * @param key what is loaded: another key forgets the answer of before
 * @param version loads again and keeps the answer of before meanwhile
 */
export function useLoad<T>(
  key: string,
  load: (signal: AbortSignal) => Promise<T>,
  { version = "", intervalMs }: {
    readonly version?: string;
    readonly intervalMs?: number;
  } = {},
): Loaded<T> {
  const [state, setState] = useState<Loaded<T> & { readonly key: string }>({
    ...NOTHING,
    key,
  });
  const latest = useRef(load);
  latest.current = load;
  const session = comebacks.value;
  useEffect(() => {
    const ending = new AbortController();
    const run = async () => {
      try {
        const value = await latest.current(ending.signal);
        if (!ending.signal.aborted) setState({ value, why: undefined, key });
      } catch (error) {
        if (ending.signal.aborted) return;
        const why = explainError(error);
        setState((before) => ({
          value: before.key === key ? before.value : undefined,
          why,
          key,
        }));
      }
    };
    let timer: ReturnType<typeof setTimeout> | undefined;
    // One call at a time; none while nobody looks or nobody would answer.
    const runAgain = async () => {
      const isLive = clusterLink.peek().kind === "live";
      if (!document.hidden && isLive) await run();
      if (!ending.signal.aborted) timer = setTimeout(runAgain, intervalMs);
    };
    void run().then(() => {
      if (intervalMs !== undefined && !ending.signal.aborted) {
        timer = setTimeout(runAgain, intervalMs);
      }
    });
    return () => {
      ending.abort();
      clearTimeout(timer);
    };
  }, [key, version, intervalMs, session]);
  return state.key === key ? state : NOTHING;
}
