import { dirname } from "node:path";
import { isThere } from "./kernel_file.ts";
import type { NetnsLookup, NetnsState } from "./netns.ts";

/** Looks for network namespaces in the file system. */
export class DenoNetns implements NetnsLookup {
  async look(path: string): Promise<NetnsState> {
    const there = await isThere(path);
    if (there !== false) return there ? "there" : "unknown";
    // Without its folder the path may lie in a mount that this process does
    // not see; below /proc the folder goes with the process.
    if (path.startsWith("/proc/")) return "gone";
    return await isThere(dirname(path)) ? "gone" : "unknown";
  }
}
