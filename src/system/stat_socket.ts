/** A file where a socket should be, as stat(2) tells; `stat` is undefined when there is none. */
export interface SocketStat {
  readonly path: string;
  readonly stat:
    | { readonly isSocket: boolean; readonly mode: number }
    | undefined;
}

/** Looks at a socket. */
export async function statSocket(path: string): Promise<SocketStat> {
  try {
    const { isSocket, mode } = await Deno.stat(path);
    return { path, stat: { isSocket: isSocket ?? false, mode: mode ?? 0 } };
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return { path, stat: undefined };
    throw error;
  }
}
