import { ConnectError } from "@connectrpc/connect";
import { sleep } from "../../base/retry.ts";

/** Something that is read again and again. */
export interface Polled<T> {
  /** Undefined: it has not come yet. */
  readonly value: T | undefined;
  /** Why the last attempt failed; undefined: it did not. The value is of before then. */
  readonly error: string | undefined;
}

export const NOT_POLLED: Polled<never> = { value: undefined, error: undefined };

/**
 * Reads something now and at an interval while the page is visible.
 *
 * @param read gets a signal that ends with the poll
 * @returns ends the poll
 */
export function startPoll<T>(
  read: (signal: AbortSignal) => Promise<T>,
  { intervalMs, onRead }: {
    readonly intervalMs: number;
    /** Gets the value, or why there is none. */
    readonly onRead: (read: Polled<T>) => void;
  },
): () => void {
  const stop = new AbortController();
  const { signal } = stop;
  const run = async () => {
    while (!signal.aborted) {
      await whileHidden(signal);
      try {
        const value = await read(signal);
        if (!signal.aborted) onRead({ value, error: undefined });
      } catch (error) {
        const { rawMessage } = ConnectError.from(error);
        if (!signal.aborted) onRead({ value: undefined, error: rawMessage });
      }
      await sleep(intervalMs, signal);
    }
  };
  void run();
  return () => stop.abort();
}

/** Reads all pages of a list, or the first of them. @param most pages */
export async function readPages<P extends { readonly nextPageToken: string }>(
  readPage: (pageToken: string) => Promise<P>,
  most = 100,
): Promise<P[]> {
  const pages: P[] = [];
  let pageToken = "";
  do {
    const page = await readPage(pageToken);
    pages.push(page);
    pageToken = page.nextPageToken;
  } while (pageToken !== "" && pages.length < most);
  return pages;
}

async function whileHidden(signal: AbortSignal): Promise<void> {
  while (document.hidden && !signal.aborted) {
    const shown = new AbortController();
    const wake = () => shown.abort();
    document.addEventListener("visibilitychange", wake, { once: true });
    await sleep(60_000, AbortSignal.any([signal, shown.signal]));
    document.removeEventListener("visibilitychange", wake);
  }
}
