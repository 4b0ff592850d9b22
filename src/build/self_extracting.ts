import { createHash } from "node:crypto";
import { promisify } from "node:util";
import { constants, gzip } from "node:zlib";
import { formatTar, type TarEntry } from "../base/tar.ts";
import type { Modules } from "./bundle_program.ts";
import type { Target } from "./target.ts";

/** The parts of a self-extracting executable. */
export interface SelfExtractingOptions {
  readonly version: string;
  readonly target: Target;
  /** Arguments of the runtime in front of the main module. */
  readonly command: readonly string[];
  readonly runtime: Uint8Array<ArrayBuffer>;
  readonly modules: Modules;
  /** The bundled settle.ts. */
  readonly settle: Uint8Array<ArrayBuffer>;
  /** Text of launcher.sh. */
  readonly launcher: string;
}

const EXECUTABLE = 0o700;
const FILE = 0o600;
/** Hex digits of the digest in the name of the unpacked folder. */
const NAME_LENGTH = 32;

const compress = promisify(gzip);

/**
 * Formats an executable that unpacks itself: a shell script, followed by an
 * archive. Equal parts make equal executables.
 */
export async function formatSelfExtracting(
  options: SelfExtractingOptions,
): Promise<Uint8Array<ArrayBuffer>> {
  const { runtime, modules, settle } = options;
  const files = [
    { path: "bin/stellar-net", mode: EXECUTABLE, bytes: runtime },
    ...[...modules].sort(([a], [b]) => a < b ? -1 : 1)
      .map(([name, bytes]) => ({ path: `app/${name}`, mode: FILE, bytes })),
    { path: "settle.js", mode: FILE, bytes: settle },
  ];
  const sums = new TextEncoder().encode(
    files.map(({ path, bytes }) => formatChecksum(sha256(bytes), path)).join(
      "",
    ),
  );
  const entries: TarEntry[] = [
    ...["app", "bin", "cache"].map((path) => ({ path, mode: EXECUTABLE })),
    ...files,
    { path: "SHA256SUMS", mode: FILE, bytes: sums },
  ];
  const archive = await compress(formatTar(entries, 0), {
    level: constants.Z_BEST_COMPRESSION,
  });
  const script = new TextEncoder().encode(
    formatLauncher(options.launcher, { ...options, digest: sha256(sums) }),
  );
  const executable = new Uint8Array(script.length + archive.length);
  executable.set(script);
  executable.set(archive, script.length);
  return executable;
}

/** SHA-256 in hex. */
export function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** Formats a line that `sha256sum -c` checks. */
export function formatChecksum(digest: string, file: string): string {
  return `${digest}  ${file}\n`;
}

/** Values for the placeholders in launcher.sh. */
export interface LauncherOptions
  extends Pick<SelfExtractingOptions, "version" | "target" | "command"> {
  /** SHA-256 of the archive's SHA256SUMS, in hex. */
  readonly digest: string;
}

/**
 * Fills in the placeholders of a launcher. The archive begins at the byte
 * `@OFFSET@`, counted from 1, right behind the script.
 *
 * @throws {RangeError} when the template has an unknown placeholder
 */
export function formatLauncher(
  template: string,
  { version, target, digest, command }: LauncherOptions,
): string {
  const values = {
    VERSION: version,
    TARGET: target.triple,
    NAME: digest.slice(0, NAME_LENGTH),
    DIGEST: digest,
    MACHINE: target.machine,
    COMMAND: command.map(quote).join(" "),
  };
  let script = template;
  for (const [name, value] of Object.entries(values)) {
    script = script.replaceAll(`@${name}@`, () => value);
  }
  const length =
    new TextEncoder().encode(script.replace("@OFFSET@", "")).length;
  // The offset's own digits move the archive.
  let offset = length + 1;
  while (offset !== length + 1 + String(offset).length) {
    offset = length + 1 + String(offset).length;
  }
  script = script.replace("@OFFSET@", String(offset));
  const left = /@[A-Z]+@/.exec(script);
  if (left) {
    throw new RangeError(
      `Cannot format the launcher: "${left[0]}" is not a placeholder`,
    );
  }
  return script;
}

/** Quotes a word for a shell. */
function quote(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`;
}
