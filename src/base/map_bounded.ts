/**
 * Works on items, some at once.
 *
 * @returns the results in the order of the items
 * @throws the first error of the work; no other item is begun after it
 */
export async function mapBounded<T, U>(
  items: Iterable<T>,
  work: (item: T) => Promise<U>,
  { atOnce }: { readonly atOnce: number },
): Promise<U[]> {
  const list = [...items];
  const results: U[] = [];
  let next = 0;
  const worker = async () => {
    while (next < list.length) {
      const at = next++;
      try {
        results[at] = await work(list[at]!);
      } catch (error) {
        next = list.length;
        throw error;
      }
    }
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
  return results;
}
