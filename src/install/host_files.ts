import type { FileOperation, Found } from "./plan/item.ts";

/** The files of a host, or of an image of one. Paths are absolute, as they are there. */
export interface HostFiles {
  /**
   * Looks what is at paths, links themselves and not what they lead to.
   *
   * @throws {NetError} `unavailable` when that cannot be told
   */
  look(paths: readonly string[]): Promise<ReadonlyMap<string, Found>>;
  /**
   * Reads a text; undefined when there is none.
   *
   * @throws {NetError} `unavailable` when it cannot be read
   */
  read(path: string): Promise<string | undefined>;
  /**
   * Carries an operation out: a file or link is the old one or the new one at
   * every moment. Folders that are missing above it are made. Removing what is
   * gone is no error.
   *
   * @returns the folders that were made, outermost first
   * @throws {NetError} `unavailable` when it cannot be done
   */
  apply(operation: FileOperation): Promise<readonly string[]>;
  /** SHA-256 of a text, in hex. */
  digestOf(text: string): Promise<string>;
  /**
   * SHA-256 of a file of this host, in hex.
   *
   * @throws {NetError} `unavailable` when it cannot be read
   */
  digestOfFile(path: string): Promise<string>;
}
