import { redact } from "./redact.ts";
import { makeTar, type TarFile } from "./tar.ts";

/** The most that is kept of one part, in characters. */
const MAX_PART_CHARS = 1024 * 1024;

/** A part of a bundle, and how it is had. */
export interface BundlePart {
  /** Path in the bundle. */
  readonly path: string;
  /** Reads it. What it throws is written down in its place. */
  readonly read: () => Promise<BundleText>;
}

/** What was read. */
export interface BundleText {
  readonly text: string;
  /** Why it is not all that it should be. */
  readonly problem?: string;
}

/** What a bundle is made with. */
export interface BundleOptions {
  /** Name of the folder that all of it is in. */
  readonly folder: string;
  /** The first lines of the manifest: of what it is. */
  readonly about: readonly string[];
  /** The time in ms since 1970. */
  readonly nowMs: number;
}

/** A bundle. */
export interface Bundle {
  readonly tar: Uint8Array<ArrayBuffer>;
  readonly parts: number;
  /** What is missing or not whole: paths, with the reason. */
  readonly problems: readonly {
    readonly path: string;
    readonly problem: string;
  }[];
}

/**
 * Reads all parts, one after the other, and packs them with a manifest. A part
 * that cannot be read is named there, and the others are there all the same.
 * What looks like a secret is taken out of every part.
 */
export async function makeBundle(
  parts: readonly BundlePart[],
  { folder, about, nowMs }: BundleOptions,
): Promise<Bundle> {
  const encoder = new TextEncoder();
  const files: TarFile[] = [];
  const problems: Bundle["problems"][number][] = [];
  const lines: string[] = [];
  for (const { path, read } of parts) {
    const { text, problem } = await tryRead(read);
    // What is empty says something too, unless it could not be read.
    if (text !== "" || problem === undefined) {
      const bytes = encoder.encode(cut(redact(text)));
      files.push({ path: `${folder}/${path}`, bytes });
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
    bytes: encoder.encode(redact(manifest)),
  });
  return { tar: makeTar(files, nowMs), parts: parts.length, problems };
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
