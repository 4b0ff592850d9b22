/** The service manager of this host, asked to start and stop services. */
export interface ServiceControl {
  /** Whether this host runs systemd. */
  isThere(): Promise<boolean>;
  /** Whether a unit runs, or is about to. */
  isActive(unit: string): Promise<boolean>;
  /**
   * Carries out a command, such as `["restart", "stellar-net.service"]`. A unit
   * that says when it serves is waited for.
   *
   * @throws {NetError} `unavailable` when it fails
   */
  command(words: readonly string[]): Promise<void>;
}
