import { dirname, join } from "node:path";
import { NetError } from "../base/error.ts";
import { PROTOS } from "../gen/protos.ts";

/** Writes the protos of the API below a folder, in place of earlier ones. @throws {NetError} `unavailable` */
export async function writeProtos(dir: string): Promise<string[]> {
  const paths: string[] = [];
  for (const [name, text] of Object.entries(PROTOS)) {
    const path = join(dir, name);
    try {
      await Deno.mkdir(dirname(path), { recursive: true });
      await Deno.writeTextFile(path, text);
    } catch (cause) {
      throw new NetError(
        "unavailable",
        `Cannot write "${path}": ${(cause as Error).message}`,
        { cause },
      );
    }
    paths.push(path);
  }
  return paths;
}
