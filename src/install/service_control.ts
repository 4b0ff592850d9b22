/** The service manager of this host, asked to start and stop services. */
export interface ServiceControl {
  /** Whether this host runs systemd. */
  isThere(): Promise<boolean>;
  /**
   * The state of a unit, such as `active`, `activating`, `inactive` or `failed`
   * (systemctl(1)). One that is not there is `inactive`.
   *
   * @throws {NetError} `unavailable` when it cannot be told
   */
  stateOf(unit: string): Promise<string>;
  /**
   * Carries out a command, such as `["restart", "stellar-net.service"]`. A unit
   * that says when it serves is waited for.
   *
   * @throws {NetError} `unavailable` when it fails
   */
  command(words: readonly string[]): Promise<void>;
}
