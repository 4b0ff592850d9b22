import { isObject, JsonReader } from "../../base/json_reader.ts";
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
  const refuse = (why: string, options?: ErrorOptions) =>
    new NetError(
      "failed_precondition",
      `Cannot read the record of the installation: "${path}" ${why}; use the program that wrote it, or move the file away`,
      options,
    );
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw refuse("is not JSON", { cause });
  }
  const format = isObject(value) ? value["format"] : undefined;
  if (!isObject(value) || format !== FORMAT) {
    throw refuse(
      `has the format ${
        JSON.stringify(format)
      }, and this program knows ${FORMAT}`,
    );
  }
  const reader = new JsonReader(value, {
    invalid: (field, why) => refuse(`is damaged: "${field}": ${why}`),
  });
  const choices = reader.object("choices");
  return {
    version: reader.text("version"),
    choices: {
      prefix: choices.text("prefix"),
      pluginDir: choices.optionalText("pluginDir") ?? null,
    },
    entries: reader.objects("entries").map(readEntry),
    folders: reader.texts("folders"),
  };
}

function readEntry(reader: JsonReader): Entry {
  const path = reader.text("path");
  const target = reader.optionalText("target");
  return target === undefined
    ? { path, sha256: reader.text("sha256") }
    : { path, target };
}
