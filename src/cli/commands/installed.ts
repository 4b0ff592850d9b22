import type { AgentConfig } from "../../config/config.ts";
import type { HostFiles } from "../../install/host_files.ts";
import {
  parseEnvironment,
  type Variables,
} from "../../install/plan/agent_env.ts";
import {
  describeOperation,
  type FileOperation,
  type Kept,
} from "../../install/plan/item.ts";
import { folderOf, MANIFEST_PATH } from "../../install/plan/layout.ts";
import {
  type Entry,
  formatManifest,
  type Manifest,
  parseManifest,
} from "../../install/plan/manifest.ts";
import { AGENT, readConfig } from "./agent.ts";
import { Call } from "../framework/call.ts";
import { environmentName } from "../framework/spec.ts";

/** What was installed before; undefined for nothing. */
export async function readManifest(
  files: HostFiles,
): Promise<Manifest | undefined> {
  const text = await files.read(MANIFEST_PATH);
  return text === undefined ? undefined : parseManifest(text, MANIFEST_PATH);
}

/**
 * What was given of the agent's flags, by their twins' names.
 *
 * @throws {UsageError} when a value is wrong by itself
 */
export function givenVariables(call: Call): Variables {
  return new Map(
    AGENT.flags!.flatMap((flag) => {
      call.values(flag);
      const texts = call.given(flag);
      return texts ? [[environmentName(flag), texts.join(",")] as const] : [];
    }),
  );
}

/** How an agent with an environment file of this text runs: checked as `agent` does it. */
export function configOf(call: Call, text: string): AgentConfig {
  const env = Object.fromEntries(parseEnvironment(text));
  const input = {
    spec: AGENT,
    path: "stellar-net agent",
    operands: [],
    given: new Map<string, readonly string[]>(),
  };
  return readConfig(new Call(input, { ...call.io, env }));
}

/** What was done, or would be, and what was not. */
export interface Steps {
  readonly operations: readonly FileOperation[];
  readonly kept: readonly Kept[];
  /** Commands of systemctl. */
  readonly commands: readonly (readonly string[])[];
  /** Changes of the kernel's network. */
  readonly network: readonly string[];
}

/** Answers with the steps; `done` is said when there was nothing to do. */
export function answerSteps(
  call: Call,
  steps: Steps,
  { isDryRun, nothing }: {
    readonly isDryRun: boolean;
    readonly nothing: string;
  },
): void {
  const { operations, kept, commands, network } = steps;
  const lines = [
    ...network.map((line) => `Network: ${line}`),
    ...operations.map(describeOperation),
    ...commands.map((words) => `Run systemctl ${words.join(" ")}`),
  ];
  call.answer({
    dryRun: isDryRun,
    operations: operations.map(({ kind, path }) => ({ kind, path })),
    kept,
    commands: commands.map((words) => ["systemctl", ...words]),
    network,
  }, lines.length === 0 ? [nothing] : lines);
  for (const { path, why } of kept) {
    call.note(`Kept "${path}": ${why}; --force takes it all the same`);
  }
  if (isDryRun) call.note("Nothing was changed: --dry-run");
}

/** Carries operations out, and returns the folders that were made. */
export async function carryOut(
  files: HostFiles,
  operations: readonly FileOperation[],
): Promise<string[]> {
  const made: string[] = [];
  for (const operation of operations) {
    made.push(...await files.apply(operation));
  }
  return made;
}

/** Writes what is installed now, where that is another. */
export async function saveManifest(
  files: HostFiles,
  manifest: Manifest,
): Promise<void> {
  const source = formatManifest(manifest);
  if (await files.read(MANIFEST_PATH) === source) return;
  await files.apply({ kind: "text", path: MANIFEST_PATH, mode: 0o644, source });
}

/** The folders of entries that are in the way of nobody: those that were made, innermost first. */
export function emptied(
  { folders }: Manifest,
  entries: readonly Entry[],
): FileOperation[] {
  const used = new Set(entries.map(({ path }) => folderOf(path)));
  return folders.toReversed().filter((path) => !used.has(path))
    .map((path) => ({ kind: "remove_empty", path }));
}
