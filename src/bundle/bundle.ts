import { redact } from "./redact.ts";
import { formatTar, type TarEntry } from "../base/tar.ts";

/** Longer parts are cut. */
const MAX_PART_CHARS = 1024 * 1024;
const MODE = 0o600;

/** A file of a bundle, and how to read it. */
export interface BundlePart {
  /** Path in the bundle. */
  readonly path: string;
  /** Reads the text. The manifest records an error. */
  readonly read: () => Promise<BundleText>;
}

/** The text of a part. */
export interface BundleText {
  readonly text: string;
  /** Why it is incomplete. */
  readonly problem?: string;
}

export interface BundleOptions {
  /** Name of the folder that contains all files. */
  readonly folder: string;
  /** First lines of the manifest. */
  readonly about: readonly string[];
  /** Time of all files, in ms since 1970. */
  readonly nowMs: number;
}

export interface Bundle {
  readonly tar: Uint8Array<ArrayBuffer>;
  readonly parts: number;
  /** Parts that are missing or incomplete. */
  readonly problems: readonly {
    readonly path: string;
    readonly problem: string;
  }[];
}

/**
 * Reads all parts in order and packs them with a manifest, which names the
 * parts that failed. Text that looks like a secret is replaced in every part.
 */
export async function makeBundle(
  parts: readonly BundlePart[],
  { folder, about, nowMs }: BundleOptions,
): Promise<Bundle> {
  const encoder = new TextEncoder();
  const files: TarEntry[] = [];
  const problems: Bundle["problems"][number][] = [];
  const lines: string[] = [];
  for (const { path, read } of parts) {
    const { text, problem } = await tryRead(read);
    // An empty text is an answer too, unless reading it failed.
    if (text !== "" || problem === undefined) {
      const bytes = encoder.encode(cut(redact(text)));
      files.push({ path: `${folder}/${path}`, mode: MODE, bytes });
    }
    if (problem === undefined) {
      lines.push(`ok      ${path}`);
    } else {
      const reason = redact(problem).replaceAll(/\s+/g, " ").trim();
      problems.push({ path, problem: reason });
      lines.push(`FAILED  ${path}: ${reason}`);
    }
  }
  const manifest = [...about, "", ...lines, ""].join("\n");
  files.unshift({
    path: `${folder}/MANIFEST`,
    mode: MODE,
    bytes: encoder.encode(redact(manifest)),
  });
  return { tar: formatTar(files, nowMs), parts: parts.length, problems };
}

async function tryRead(read: BundlePart["read"]): Promise<BundleText> {
  try {
    return await read();
  } catch (error) {
    return {
      text: "",
      problem: error instanceof Error ? error.message : String(error),
    };
  }
}

function cut(text: string): string {
  return text.length <= MAX_PART_CHARS
    ? text
    : `${
      text.slice(0, MAX_PART_CHARS)
    }\n[cut: it has ${text.length} characters]\n`;
}
