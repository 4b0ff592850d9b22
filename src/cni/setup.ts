/** Sets the CNI plugin of this host up. */
export interface CniSetup {
  /**
   * The folder that has the `bridge` plugin, or where plugins usually are.
   *
   * @param root folder that stands for the root of a host; default this host's
   */
  findPluginDir(root?: string): Promise<string>;
  /** Whether a folder has a plugin. */
  hasPlugin(dir: string, plugin: string): Promise<boolean>;
  /**
   * Puts this program into a folder under some names, each at once or not at
   * all.
   *
   * @throws {NetError} `unavailable` when it cannot be written
   */
  install(options: InstallOptions): Promise<void>;
  /** A path that holds wherever a program runs. */
  absolutePath(path: string): string;
  /** MTU of the interface that holds the default route, in bytes; undefined when there is none. */
  uplinkMtu(): Promise<number | undefined>;
}

/** What to install. */
export interface InstallOptions {
  readonly dir: string;
  readonly names: readonly string[];
  /** Make symbolic links in place of copies. */
  readonly link: boolean;
}
