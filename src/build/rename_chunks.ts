import { sha256 } from "./digest.ts";

/** Modules of a bundle by name: `main.js`, and parts such as `chunk-A1B2C3D4.js`. */
export type Texts = ReadonlyMap<string, string>;

/** The name of a part: what it is a part of, and what the bundler has added. */
const PART = /\b([\w.]+)-[A-Z0-9]{8}\.js\b/g;
/** More than the longest way by which parts import each other. */
const ROUNDS = 16;
const NAME_LENGTH = 12;

/**
 * Renames the parts of a bundle by what is in them. The bundler's own names
 * differ with the folders of the sources and of the packages, so that two
 * builds of one commit would not be the same.
 */
export async function renameChunks(modules: Texts): Promise<Texts> {
  const parts = [...modules.keys()].filter((name) => name.match(PART));
  let names = new Map(parts.map((name) => [name, name.replace(PART, "$1")]));
  const rename = (text: string) =>
    text.replace(PART, (name) => names.get(name) ?? name);
  // A name says what a part imports, and that what it imports in its turn.
  for (let round = 0; round < ROUNDS; round++) {
    const next = new Map<string, string>();
    for (const part of parts) {
      const bytes = new TextEncoder().encode(rename(modules.get(part)!));
      const digest = (await sha256(bytes)).slice(0, NAME_LENGTH);
      next.set(part, `${part.replace(PART, "$1")}-${digest}.js`);
    }
    names = next;
  }
  return new Map(
    [...modules].map(([name, text]) => [names.get(name) ?? name, rename(text)]),
  );
}
