/** Installs the CNI plugin of this host. */
export interface CniSetup {
  /**
   * The folder that has the `bridge` plugin, or where plugins usually are.
   *
   * @param root folder that stands for the root of a host; default this host's
   */
  findPluginDir(root?: string): Promise<string>;
  /** Whether a folder contains a plugin. */
  hasPlugin(dir: string, plugin: string): Promise<boolean>;
  /**
   * Puts this program into a folder under some names, each atomically.
   *
   * @throws {NetError} `unavailable` when the folder is not writable
   */
  install(options: InstallOptions): Promise<void>;
  /** The absolute form of a path. */
  absolutePath(path: string): string;
  /** MTU of the interface with the default route, in bytes; undefined when there is none. */
  uplinkMtu(): Promise<number | undefined>;
}

/** Options of an installation. */
export interface InstallOptions {
  readonly dir: string;
  readonly names: readonly string[];
  /** Make symbolic links instead of copies. */
  readonly link: boolean;
}
