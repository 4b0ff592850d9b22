/** A call that was answered, with the times in between which it took effect. */
export interface Operation<State> {
  readonly start: number;
  readonly end: number;
  /** The state after it, or undefined when its answer is not possible in a state. */
  readonly step: (state: State) => State | undefined;
}

/**
 * Whether there is an order of the operations in which each answer is right,
 * and in which none comes before one that had ended when it started (Wing and
 * Gong, "Testing and Verifying Concurrent Objects", 1993; what was tried before
 * is remembered, as Lowe suggests).
 *
 * States are compared by `===`.
 */
export function isLinearizable<State extends string | number>(
  operations: readonly Operation<State>[],
  initial: State,
): boolean {
  const sorted = operations.toSorted((a, b) => a.start - b.start);
  const tried = new Set<string>();
  // What is done: all before `from`, and those in `done`.
  const open: { from: number; done: readonly number[]; state: State }[] = [
    { from: 0, done: [], state: initial },
  ];
  for (let node = open.pop(); node; node = open.pop()) {
    const { from, done, state } = node;
    if (from === sorted.length) return true;
    const key = JSON.stringify([from, done, state]);
    if (tried.has(key)) continue;
    tried.add(key);
    for (const next of candidates(sorted, from, done)) {
      const after = sorted[next]!.step(state);
      if (after !== undefined) {
        open.push({ ...advance(from, [...done, next]), state: after });
      }
    }
  }
  return false;
}

/** Those that may come next: they started before any that is left had ended. */
function candidates<State>(
  sorted: readonly Operation<State>[],
  from: number,
  done: readonly number[],
): number[] {
  const found: number[] = [];
  let firstEnd = Infinity;
  for (let i = from; i < sorted.length; i++) {
    if (done.includes(i)) continue;
    const { start, end } = sorted[i]!;
    if (start > firstEnd) break;
    firstEnd = Math.min(firstEnd, end);
    found.push(i);
  }
  return found.filter((i) => sorted[i]!.start <= firstEnd);
}

function advance(
  from: number,
  done: number[],
): { from: number; done: number[] } {
  const left = new Set(done);
  let at = from;
  while (left.delete(at)) at++;
  return { from: at, done: [...left].sort((a, b) => a - b) };
}
