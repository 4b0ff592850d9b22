import { dirname } from "node:path";
import type { NetnsLookup, NetnsState } from "./netns.ts";

/** Looks for network namespaces in the file system. */
export class DenoNetns implements NetnsLookup {
  async look(path: string): Promise<NetnsState> {
    const state = await stat(path);
    if (state !== "gone") return state;
    // Without its folder the path may lie in a mount that this process does
    // not see; below /proc the folder goes with the process.
    if (path.startsWith("/proc/")) return "gone";
    return await stat(dirname(path)) === "there" ? "gone" : "unknown";
  }
}

async function stat(path: string): Promise<NetnsState> {
  try {
    await Deno.stat(path);
    return "there";
  } catch (error) {
    return error instanceof Deno.errors.NotFound ? "gone" : "unknown";
  }
}
