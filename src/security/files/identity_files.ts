/** A file of a node's identity. */
export type IdentityFile =
  /** The private key. */
  | "key.pem"
  /** The certificate, then its authority's. */
  | "chain.pem"
  /** What others are checked with, and which token was used last. */
  | "trust.json"
  /** The authorities that are trusted, for programs of others. An operator's alone. */
  | "ca.pem"
  /** Where agents are called, a URL a line. An operator's alone. */
  | "urls";

/** Where a node keeps who it is. Nobody but its own user reads it. */
export interface IdentityFiles {
  /** Path of the folder, for messages. */
  readonly dir: string;
  /**
   * Reads a file; undefined when there is none.
   *
   * @throws {NetError} `failed_precondition` when others than its owner may
   * read or write it, `unavailable` when it cannot be read
   */
  read(file: IdentityFile): Promise<string | undefined>;
  /**
   * Writes a file as a whole: after a crash it is there as it was before, or
   * as it is to be.
   *
   * @throws {NetError} `unavailable` when it cannot be written
   */
  write(file: IdentityFile, text: string): Promise<void>;
}
