import { join } from "node:path";

/** The paths of all files under a folder, in order. */
export async function walkFiles(dir: string): Promise<string[]> {
  const files: string[] = [];
  for await (const entry of Deno.readDir(dir)) {
    const path = join(dir, entry.name);
    if (entry.isDirectory) files.push(...await walkFiles(path));
    else files.push(path);
  }
  return files.sort();
}
