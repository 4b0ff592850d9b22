import { NetError } from "../../base/error.ts";

/** An installed file or link, as it was installed. */
export type Entry =
  | {
    readonly path: string;
    /** SHA-256 of the content, in hex. */
    readonly sha256: string;
  }
  | { readonly path: string; readonly target: string };

/** Choices of an installation, kept by the next one unless it gives others. */
export interface Choices {
  /** The folder of `bin/`. */
  readonly prefix: string;
  /** Folder of the CNI plugins, or null for none. */
  readonly pluginDir: string | null;
}

/** The record of an installation. */
export interface Manifest {
  /** Version of the program. */
  readonly version: string;
  readonly choices: Choices;
  readonly entries: readonly Entry[];
  /** Folders that it created. */
  readonly folders: readonly string[];
}

const FORMAT = 1;

/** Formats a manifest for its file. */
export function formatManifest(manifest: Manifest): string {
  return `${JSON.stringify({ format: FORMAT, ...manifest }, undefined, 2)}\n`;
}

/**
 * Parses the file of a manifest.
 *
 * @throws {NetError} `failed_precondition` when it is damaged, or has a later format
 */
export function parseManifest(text: string, path: string): Manifest {
  let value: Manifest & { readonly format?: unknown };
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw unreadable(path, "is not JSON", { cause });
  }
  if (value?.format !== FORMAT) {
    throw unreadable(
      path,
      `has the format ${
        JSON.stringify(value?.format)
      }, and this program knows ${FORMAT}`,
    );
  }
  const { version, choices, entries, folders } = value;
  if (
    typeof version !== "string" || typeof choices?.prefix !== "string" ||
    !Array.isArray(entries) || !entries.every(isEntry) ||
    !Array.isArray(folders) || !folders.every(isText)
  ) throw unreadable(path, "is damaged");
  return { version, choices, entries, folders };
}

function isEntry(entry: Record<string, unknown> | null): boolean {
  return isText(entry?.["path"]) &&
    (isText(entry?.["sha256"]) || isText(entry?.["target"]));
}

function isText(value: unknown): value is string {
  return typeof value === "string";
}

function unreadable(
  path: string,
  what: string,
  options?: ErrorOptions,
): NetError {
  return new NetError(
    "failed_precondition",
    `Cannot read the record of the installation: "${path}" ${what}; use the program that wrote it, or move the file away`,
    options,
  );
}
