import type { AgentConfig } from "../../config/config.ts";
import type {
  AcceptRequest,
  CompactRequest,
  CompactSummary,
  MigrationRequest,
  MigrationSummary,
  RebuildRequest,
  RebuildSummary,
  RestoreRequest,
  RestoreSummary,
} from "../../backup/port.ts";
import type { BuildInfo } from "../../build/build_info.ts";
import type { CniSetup } from "../../cni/setup.ts";
import type { DockerControl } from "../../docker/port.ts";
import type { CommandRunner } from "../../system/command.ts";
import type { WholeFiles } from "../../system/deno_whole_files.ts";
import type { AgentClients } from "./client.ts";
import type { InstallIo } from "../../install/port.ts";

/** The least severe messages that the log shows. */
export type LogLevel = "debug" | "info" | "warning" | "error";

/** The agent's log, on stderr. */
export interface LogOptions {
  /** `text` for people, or `json` for programs: one object per line. */
  readonly format: "text" | "json";
  readonly level: LogLevel;
}

/** The agent to call, and the identity to call with. */
export type AgentTarget =
  /** Over its socket, as its user. */
  | { readonly socketPath: string }
  /** In plain text, on this host, without an identity. */
  | { readonly url: string; readonly identity?: undefined }
  /** With the certificate in a folder; at the URLs stored there, unless one is given. */
  | { readonly identity: string; readonly url?: string };

/** Options of a call. */
export interface ConnectOptions {
  /** Timeout of each answer. */
  readonly timeoutMs: number;
  /** Receives notes for the operator. */
  readonly note: (line: string) => void;
}

export interface MapOptions extends ConnectOptions {
  /** Port on 127.0.0.1. Undefined: a free one. */
  readonly port: number | undefined;
}

/** A map that is served. */
export interface ServedMap {
  /** Opens the map, once. It has a secret. */
  readonly link: string;
  readonly port: number;
  /** Resolves when a signal has ended the map. */
  readonly ended: Promise<void>;
}

/** The effects of the command line, and its view of the system. */
export interface CliIo {
  /** Version of the program. */
  readonly version: string;
  /** The build of the program. */
  readonly build: () => Promise<BuildInfo>;
  /** Versions of the runtime's parts. */
  readonly runtime: Readonly<Record<"deno" | "v8" | "typescript", string>>;
  /** The environment. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Writes a piece of the answer. */
  readonly stdout: (text: string) => void;
  /** Writes notes and errors. */
  readonly stderr: (text: string) => void;
  /** Whether stderr is a terminal. */
  readonly isTerminal: boolean;
  /** Whether stdout is a terminal. */
  readonly isOutputTerminal: boolean;
  /** Waits for some milliseconds. @returns whether to go on */
  readonly wait: (ms: number) => Promise<boolean>;
  /** Width of the terminal, for help. Default 80. */
  readonly columns?: number | undefined;
  /** The time, in ms since 1970. */
  readonly now: () => number;
  /** The host's name. */
  readonly hostname: () => string;
  /** Makes clients of an agent; the first call opens the connection. */
  readonly connect: (
    target: AgentTarget,
    options: ConnectOptions,
  ) => AgentClients;
  /** Serves the map of the cluster. @throws {NetError} when the agent does not answer, or the port is in use */
  readonly serveMap: (
    target: AgentTarget,
    options: MapOptions,
  ) => Promise<ServedMap>;
  readonly identities: Identities;
  /** Sets up the CNI plugin. */
  readonly cni: CniSetup;
  /** Docker behind a socket. */
  readonly docker: (socketPath: string) => DockerControl;
  /** Opens the ports of install and uninstall. */
  readonly installer: () => Promise<InstallIo>;
  readonly files: WholeFiles;
  /** Writes the protos of the API below a folder, and returns their paths. @throws {NetError} `unavailable` */
  readonly writeProtos: (dir: string) => Promise<readonly string[]>;
  readonly commands: CommandRunner;
  /** The state folder of the agent that serves on a socket, or did; undefined when nothing there tells. */
  readonly findStateDir: (socketPath: string) => string | undefined;
  /** Signs a file with the identity in a folder, into FILE.sig. */
  readonly signFile: (file: string, dir: string) => Promise<void>;
  /** Verifies FILE.sig against the authorities that the identity in a folder trusts. Returns the signer: `node host1`. @throws {NetError} */
  readonly verifyFile: (file: string, dir: string) => Promise<string>;
  /** Restores a state from a backup. */
  readonly restore: (request: RestoreRequest) => Promise<RestoreSummary>;
  /** Makes this machine that of the state of a stopped agent. */
  readonly accept: (request: AcceptRequest) => Promise<void>;
  /** Rebuilds a lost registry, in the state of a stopped member or a new one. */
  readonly rebuild: (request: RebuildRequest) => Promise<RebuildSummary>;
  /** Gives the free space of the state file of a stopped agent back. */
  readonly compact: (request: CompactRequest) => Promise<CompactSummary>;
  /** Moves a registry to another store. */
  readonly migrate: (request: MigrationRequest) => Promise<MigrationSummary>;
  /** Runs an agent until it stops. */
  readonly runAgent: (config: AgentConfig, log: LogOptions) => Promise<void>;
}

/** The holder and lifetime of the certificate in a folder. */
export interface IdentitySummary {
  readonly role: "node" | "operator" | "readonly";
  readonly name: string;
  readonly clusterId: string;
  /** Hexadecimal. */
  readonly serial: string;
  readonly issuedAtMs: number;
  readonly notAfterMs: number;
  /** Agents to call, in this order. */
  readonly urls: readonly string[];
}

/** An identity to create. */
export interface IdentityOrder {
  /** A new or empty folder. */
  readonly dir: string;
  /** Agents that admit it, in the order to try. They are stored with the identity. */
  readonly urls: readonly string[];
  /** File with the token. */
  readonly tokenPath: string;
  readonly name: string;
  /** Timeout of each agent. */
  readonly timeoutMs: number;
}

/**
 * Identities in folders: a key that never leaves its folder, and the certificate
 * that the cluster's CA issued for it.
 *
 * Every method throws a NetError: `failed_precondition` for a folder that it
 * cannot use, naming the file, and the agent's error where an agent refuses.
 */
export interface Identities {
  /** Creates a key, and gets its first certificate with a token. Leaves nothing behind when that fails. */
  create(order: IdentityOrder): Promise<IdentitySummary>;
  /** Gets a new certificate for the same holder. */
  renew(
    dir: string,
    options: { readonly url?: string | undefined; readonly timeoutMs: number },
  ): Promise<IdentitySummary>;
  /** Reads the certificate in a folder. */
  show(dir: string): Promise<IdentitySummary>;
}
