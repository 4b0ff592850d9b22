/** A file of a node's identity. */
export type IdentityFile =
  /** The private key. */
  | "key.pem"
  /** The certificate, then its authority's. */
  | "chain.pem"
  /** The trust, and the id of the last used token. */
  | "trust.json"
  /** The trusted authorities, for other programs. Only for operators. */
  | "ca.pem"
  /** The URLs of agents, one a line. Only for operators. */
  | "urls";

/** The folder of an identity. Only its own user can read it. */
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
   * Writes a file as a whole: after a crash it has either the old or the new
   * text.
   *
   * @throws {NetError} `unavailable` when it cannot be written
   */
  write(file: IdentityFile, text: string): Promise<void>;
}
