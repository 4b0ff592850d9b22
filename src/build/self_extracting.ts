import { promisify } from "node:util";
import { constants, gzip } from "node:zlib";
import { formatChecksum, sha256 } from "./digest.ts";
import { formatLauncher } from "./launcher.ts";
import { formatTar, type TarEntry } from "./tar.ts";
import type { Target } from "./target.ts";

/** What goes into a self-extracting executable. */
export interface SelfExtractingOptions {
  readonly version: string;
  readonly target: Target;
  /** What stands between the runtime and the main module. */
  readonly command: readonly string[];
  readonly runtime: Uint8Array<ArrayBuffer>;
  /** Modules by name; `main.js` is the main one. */
  readonly modules: ReadonlyMap<string, Uint8Array<ArrayBuffer>>;
  /** The module that puts what was unpacked in its place. */
  readonly settle: Uint8Array<ArrayBuffer>;
  /** The text of launcher.sh. */
  readonly launcher: string;
}

const EXECUTABLE = 0o700;
const FILE = 0o600;

const compress = promisify(gzip);

/**
 * Makes an executable that unpacks itself: a script, and behind it an archive.
 * Equal parts make equal executables.
 */
export async function formatSelfExtracting(
  options: SelfExtractingOptions,
): Promise<Uint8Array<ArrayBuffer>> {
  const { runtime, modules, settle, version, target, command } = options;
  const files: (TarEntry & { readonly bytes: Uint8Array<ArrayBuffer> })[] = [
    { path: "bin/stellar-net", mode: EXECUTABLE, bytes: runtime },
    ...[...modules].sort(([a], [b]) => a < b ? -1 : 1)
      .map(([name, bytes]) => ({ path: `app/${name}`, mode: FILE, bytes })),
    { path: "settle.js", mode: FILE, bytes: settle },
  ];
  const sums = new TextEncoder().encode(
    (await Promise.all(
      files.map(async ({ path, bytes }) =>
        formatChecksum(await sha256(bytes), path)
      ),
    )).join(""),
  );
  const folders = ["app", "bin", "cache"]
    .map((path) => ({ path, mode: EXECUTABLE }));
  const list = { path: "SHA256SUMS", mode: FILE, bytes: sums };
  const archive = await compress(
    formatTar([...folders, ...files, list]),
    { level: constants.Z_BEST_COMPRESSION },
  );
  const script = new TextEncoder().encode(
    formatLauncher(options.launcher, {
      ...{ version, target, command },
      digest: await sha256(sums),
    }),
  );
  const executable = new Uint8Array(script.length + archive.length);
  executable.set(script);
  executable.set(archive, script.length);
  return executable;
}
