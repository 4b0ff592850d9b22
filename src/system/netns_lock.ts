/**
 * Takes a lock in the network namespace of this process, and holds it until the
 * process ends, however that happens: names of abstract sockets belong to a
 * network namespace (unix(7)).
 *
 * @returns whether no other process holds it
 */
export function lockInNetns(name: string): boolean {
  try {
    Deno.listen({ transport: "unix", path: `\0stellar-net-${name}` }).unref();
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.AddrInUse) return false;
    throw error;
  }
}

/** Whether a process of this network namespace holds a lock. Does not take it. */
export function isLockedInNetns(name: string): boolean {
  try {
    Deno.listen({ transport: "unix", path: `\0stellar-net-${name}` }).close();
    return false;
  } catch {
    return true;
  }
}
