import type { NativePluginPaths } from "./native_file.ts";

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
   * Puts the plugin into a folder under some names, each atomically: the native
   * plugin, or this program where this build has none.
   *
   * @throws {NetError} `unavailable` when the folder is not writable
   */
  install(options: InstallOptions): Promise<void>;
  /**
   * The native plugin with these paths; undefined when this build has none.
   *
   * @throws {NetError} `invalid_argument` when a path is too long
   */
  nativePlugin(
    paths: NativePluginPaths,
  ): Promise<Uint8Array<ArrayBuffer> | undefined>;
  /** The absolute form of a path. */
  absolutePath(path: string): string;
  /** MTU of the interface with the default route, in bytes; undefined when there is none. */
  uplinkMtu(): Promise<number | undefined>;
}

/** Options of an installation. */
export interface InstallOptions {
  readonly dir: string;
  readonly names: readonly string[];
  /** Use this program where it is, instead of a copy. */
  readonly link: boolean;
  /** The agent's socket. */
  readonly socketPath: string;
}
