/** Options of {@linkcode asCompleted}. */
export interface AsCompletedOptions {
  /** Most items in work at once. */
  readonly atOnce: number;
  /** Ends the sequence with its reason. */
  readonly signal: AbortSignal;
}

/** Works on items, some at once, and yields each result as soon as it is there. */
export async function* asCompleted<T, U>(
  items: Iterable<T>,
  work: (item: T) => Promise<U>,
  { atOnce, signal }: AsCompletedOptions,
): AsyncGenerator<U> {
  const rest = items[Symbol.iterator]();
  // A result stays here until it is yielded: several may be there at once.
  const running = new Map<number, Promise<{ key: number; result: U }>>();
  let last = 0;
  const start = () => {
    const { value: item, done } = rest.next();
    if (done) return;
    const key = last++;
    running.set(key, work(item).then((result) => ({ key, result })));
  };
  for (let i = 0; i < atOnce; i++) start();
  while (running.size > 0 && !signal.aborted) {
    const { key, result } = await Promise.race(running.values());
    running.delete(key);
    start();
    yield result;
  }
  signal.throwIfAborted();
}
