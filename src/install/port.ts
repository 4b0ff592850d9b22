import type { FileOperation, Found } from "./plan/item.ts";

/** The effects of install and uninstall on a host. */
export interface InstallIo {
  /** The file of this program; undefined when it runs from its sources. */
  readonly programPath: string | undefined;
  /** The files below a folder that stands for the host's root; `/` is this host. */
  readonly filesAt: (root: string) => HostFiles;
  readonly services: ServiceControl;
  /** Removes the routes, filter rules and bridge that a stopped agent leaves in the kernel. */
  readonly takeDown: (options: {
    readonly protocol: number;
    readonly bridge: string;
    readonly isDryRun: boolean;
  }) => Promise<{
    /** Changes made, a line each. */
    readonly done: readonly string[];
    /** Changes that failed, and why. */
    readonly left: readonly string[];
  }>;
}

/** The files of a host, or of an image of one. Paths are absolute from its root. */
export interface HostFiles {
  /**
   * Looks at paths. Symbolic links are not followed.
   *
   * @throws {NetError} `unavailable` when a path cannot be read
   */
  look(paths: readonly string[]): Promise<ReadonlyMap<string, Found>>;
  /**
   * Reads a text file; undefined when there is none.
   *
   * @throws {NetError} `unavailable` when it cannot be read
   */
  read(path: string): Promise<string | undefined>;
  /**
   * Carries out an operation. A file or link changes at once from the old one
   * to the new one. Missing parent folders are created. Removing a missing file
   * succeeds.
   *
   * @returns the folders that it created, outermost first
   * @throws {NetError} `unavailable` when it fails
   */
  apply(operation: FileOperation): Promise<readonly string[]>;
  /** SHA-256 of a content, in hex. */
  digestOf(text: string | Uint8Array): Promise<string>;
  /**
   * SHA-256 of a file of this host, in hex.
   *
   * @throws {NetError} `unavailable` when it cannot be read
   */
  digestOfFile(path: string): Promise<string>;
}

/** Starts and stops services through the host's service manager. */
export interface ServiceControl {
  /** Whether this host runs systemd. */
  isThere(): Promise<boolean>;
  /**
   * The state of a unit, such as `active`, `activating`, `inactive` or `failed`
   * (systemctl(1)). An unknown unit is `inactive`.
   *
   * @throws {NetError} `unavailable` when systemd does not answer
   */
  stateOf(unit: string): Promise<string>;
  /**
   * Runs a command such as `["restart", "stellar-net.service"]`, and waits until
   * a unit of type notify is ready.
   *
   * @throws {NetError} `unavailable` when it fails
   */
  command(words: readonly string[]): Promise<void>;
}
