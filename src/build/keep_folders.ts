/** Files and folders that a process goes on to use. */
export interface KeptFolders {
  /** Paths that it reads, with all that is below. */
  readonly read: readonly string[];
  /** Paths that it writes, with all that is below. They are read too. */
  readonly write: readonly string[];
}

/**
 * Gives up this process's right to read and write files, but for some. It
 * cannot be had back. A process that may do everything, as one that runs from
 * its sources, keeps it.
 */
export async function keepFolders(folders: KeptFolders): Promise<void> {
  const { write } = folders;
  const kept = { read: [...folders.read, ...write], write };
  for (const name of ["read", "write"] as const) {
    // What is asked for by name is held by name, and outlives the rest.
    for (const path of kept[name]) {
      await Deno.permissions.request({ name, path });
    }
    await Deno.permissions.revoke({ name, path: "/" });
  }
}

/** Gives up this process's right to run programs, and to learn of the host. */
export async function keepToItself(): Promise<void> {
  await Deno.permissions.revoke({ name: "run" });
  await Deno.permissions.revoke({ name: "sys" });
}
