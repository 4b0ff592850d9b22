import type { AgentConfig } from "../../config/config.ts";
import type {
  MigrationRequest,
  MigrationSummary,
  RestoreRequest,
  RestoreSummary,
} from "../../backup/port.ts";
import type { BuildInfo } from "../../build/build_info.ts";
import type { CniSetup } from "../../cni/setup.ts";
import type { CommandRunner } from "../../system/command.ts";
import type { WholeFiles } from "../../system/deno_whole_files.ts";
import type { AgentClients } from "./client.ts";
import type { Identities } from "./identities.ts";
import type { InstallIo } from "../../install/port.ts";

/** How severe a message of the log has to be, to be written. */
export type LogLevel = "debug" | "info" | "warning" | "error";

/** How the agent logs, to stderr. */
export interface LogOptions {
  /** `text` is for people, `json` for programs: an object a line. */
  readonly format: "text" | "json";
  readonly level: LogLevel;
}

/** Which agent is called, and as whom. */
export type AgentTarget =
  /** As the user of its socket. */
  | { readonly socketPath: string }
  /** As anybody on this host, in plain text. */
  | { readonly url: string; readonly identity?: undefined }
  /** As whom the certificate in a folder names; at the URLs that are kept there, unless one is named. */
  | { readonly identity: string; readonly url?: string };

/** How an agent is called. */
export interface ConnectOptions {
  /** How long each answer may take. */
  readonly timeoutMs: number;
  /** Takes what a person should know besides. */
  readonly note: (line: string) => void;
}

/** Everything that the command line does to the world, and learns from it. */
export interface CliIo {
  /** Version of the program. */
  readonly version: string;
  /** Tells how the program was built. */
  readonly build: () => Promise<BuildInfo>;
  /** Versions of the runtime's parts. */
  readonly runtime: Readonly<Record<"deno" | "v8" | "typescript", string>>;
  /** The environment. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Writes a piece of the answer. */
  readonly stdout: (text: string) => void;
  /** Writes what is not the answer. */
  readonly stderr: (text: string) => void;
  /** Whether stderr is a terminal. */
  readonly isTerminal: boolean;
  /** Width of the terminal, for help. Default 80. */
  readonly columns?: number | undefined;
  /** The time, in ms since 1970. */
  readonly now: () => number;
  /** The host's name. */
  readonly hostname: () => string;
  /** Reaches for an agent; the connection is made with the first call. */
  readonly connect: (
    target: AgentTarget,
    options: ConnectOptions,
  ) => AgentClients;
  /** Keeps identities in folders. */
  readonly identities: Identities;
  /** Sets the CNI plugin up. */
  readonly cni: CniSetup;
  /** Gives what installing needs. */
  readonly installer: () => Promise<InstallIo>;
  /** Writes and reads files as a whole. */
  readonly files: WholeFiles;
  /** Runs programs of the host. */
  readonly commands: CommandRunner;
  /** Restores a state from a backup. */
  readonly restore: (request: RestoreRequest) => Promise<RestoreSummary>;
  /** Moves a registry to another store. */
  readonly migrate: (request: MigrationRequest) => Promise<MigrationSummary>;
  /** Runs an agent to its end. */
  readonly runAgent: (config: AgentConfig, log: LogOptions) => Promise<void>;
}
