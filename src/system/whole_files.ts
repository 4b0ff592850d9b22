/** Files that are there as a whole, or not at all. */
export interface WholeFiles {
  /**
   * Writes a file with mode 0600: beside its place first, and there when all
   * of it is on the disk. One that is there is replaced. When the pieces end
   * with an error nothing is left behind.
   *
   * @throws {NetError} `unavailable` when it cannot be written,
   * `failed_precondition` when something else than a file is there
   */
  write(
    path: string,
    pieces: AsyncIterable<Uint8Array<ArrayBuffer>>,
  ): Promise<void>;
  /** Reads a file. @throws {NetError} `unavailable` when it cannot be read */
  read(path: string): AsyncIterable<Uint8Array<ArrayBuffer>>;
}
