/** Files that the agent needs for itself: the store, programs, the queue. */
const RESERVE = 128;
/** Fewer connections than these make no sense to serve. */
const LEAST = 16;

/**
 * How many connections each of some listeners may have, so that all of them
 * together leave files to open: a listener that cannot accept a connection for
 * want of one stops to accept any.
 *
 * @param limits the text of `/proc/self/limits` (proc(5))
 * @param most at most so many
 */
export function connectionsPerListener(
  limits: string,
  options: { readonly listeners: number; readonly most: number },
): number {
  const match = /^Max open files\s+(\d+)/m.exec(limits);
  // "unlimited", or a system that does not say.
  if (!match) return options.most;
  const each = Math.floor((Number(match[1]) - RESERVE) / options.listeners);
  return Math.min(options.most, Math.max(LEAST, each));
}
