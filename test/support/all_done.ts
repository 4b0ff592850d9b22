/**
 * Waits until all are done, also when some fail: nothing goes on behind the
 * caller's back, as it may with `Promise.all`.
 *
 * @throws what the first of those that failed threw
 */
export async function allDone<T>(
  promises: readonly Promise<T>[],
): Promise<T[]> {
  await Promise.allSettled(promises);
  return await Promise.all(promises);
}
