import type { InstallIo } from "../../src/install/port.ts";
import { FakeHostFiles } from "./fake_host_files.ts";

export interface FakeInstallerOptions {
  /** Content of this program; null when it runs from its sources. Default `v1`. */
  readonly program?: string | null;
  /** Default: none. */
  readonly hasSystemd?: boolean;
  /** State of the service. Default `inactive`. */
  readonly state?: string;
  /** The host's files. Default: none. */
  readonly files?: FakeHostFiles;
}

/** Where this program lies. */
export const FAKE_PROGRAM = "/root/stellar-net";

/** What a test finds of an installer. */
export interface FakeInstaller extends InstallIo {
  readonly files: FakeHostFiles;
  /** Roots that were asked for. */
  readonly roots: string[];
  /** Commands of systemctl, and what was taken down. */
  readonly commands: string[];
}

/** A host in memory that this program is installed on. */
export function createFakeInstaller(
  options: FakeInstallerOptions = {},
): FakeInstaller {
  const { program = "v1", hasSystemd = false } = options;
  const { files = new FakeHostFiles() } = options;
  if (program !== null) files.write(FAKE_PROGRAM, program, 0o755);
  const roots: string[] = [];
  const commands: string[] = [];
  let state = options.state ?? "inactive";
  return {
    programPath: program === null ? undefined : FAKE_PROGRAM,
    files,
    roots,
    commands,
    filesAt(root) {
      roots.push(root);
      return files;
    },
    services: {
      isThere: () => Promise.resolve(hasSystemd),
      stateOf: () => Promise.resolve(state),
      command(words) {
        commands.push(words.join(" "));
        if (words[0] === "restart") state = "active";
        if (words[0] === "stop") state = "inactive";
        return Promise.resolve();
      },
    },
    takeDown({ protocol, bridge, isDryRun }) {
      commands.push(`take down ${protocol} ${bridge}${isDryRun ? " dry" : ""}`);
      return Promise.resolve({ done: ["remove a route"], left: ["a bridge"] });
    },
  };
}
