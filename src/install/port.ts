import type { HostFiles } from "./host_files.ts";
import type { ServiceControl } from "./service_control.ts";

/** What installing and uninstalling do to a host. */
export interface InstallIo {
  /** The file of this program; undefined when it runs from its sources. */
  readonly programPath: string | undefined;
  /** The files below a folder, which paths begin at; `/` is this host. */
  readonly filesAt: (root: string) => HostFiles;
  readonly services: ServiceControl;
  /** Removes what a stopped agent has left in the kernel. */
  readonly takeDown: (options: {
    readonly protocol: number;
    readonly bridge: string;
    readonly isDryRun: boolean;
  }) => Promise<{
    /** What was done, a line each. */
    readonly done: readonly string[];
    /** What could not be done, and why. */
    readonly left: readonly string[];
  }>;
}
