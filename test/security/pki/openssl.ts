import { join } from "node:path";
import { run, type RunResult } from "../../support/run.ts";
import { withTempDir } from "../../support/temp_dir.ts";

/**
 * Runs openssl, or a line of shell with it, in a folder with the given files.
 */
export async function shell(
  command: string,
  files: Readonly<Record<string, string | Uint8Array>> = {},
): Promise<RunResult> {
  return await withTempDir(async (dir) => {
    for (const [name, content] of Object.entries(files)) {
      const path = join(dir, name);
      if (typeof content === "string") await Deno.writeTextFile(path, content);
      else await Deno.writeFile(path, content);
    }
    return await run("/bin/sh", ["-c", command], { cwd: dir });
  });
}

/** As {@linkcode shell}: what it printed. @throws {Error} when it fails */
export async function openssl(
  command: string,
  files: Readonly<Record<string, string | Uint8Array>> = {},
): Promise<string> {
  const { code, stdout, stderr } = await shell(command, files);
  if (code !== 0) throw new Error(`Cannot run ${command}: ${stderr}`);
  return stdout;
}

/** Makes a certificate that openssl signs for itself, with extensions such as `subjectAltName=DNS:a`. */
export async function selfSigned(...extensions: string[]): Promise<string> {
  return await openssl(
    "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes" +
      ` -keyout key.pem -days 2 -subj "/CN=foreign" ${
        extensions.map((line) => `-addext "${line}"`).join(" ")
      } 2>/dev/null`,
  );
}
