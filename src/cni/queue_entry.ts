/** A release that waits on disk because the agent was down. */
export interface QueueEntry {
  /** Name of the container network, id of the container, name of its interface. */
  readonly owner: {
    readonly network: string;
    readonly containerId: string;
    readonly interfaceName: string;
  };
  /** When it was asked for, in ms since 1970: what is allocated later is not meant. */
  readonly requestedAtMs: number;
}

/** Formats an entry as the text of its file. */
export function formatQueueEntry(entry: QueueEntry): string {
  return `${JSON.stringify({ version: 1, ...entry })}\n`;
}

/**
 * Parses the text of an entry's file.
 *
 * @throws {SyntaxError} when it is none, or of a version that is not known
 */
export function parseQueueEntry(text: string): QueueEntry {
  const value: unknown = JSON.parse(text);
  const { version, owner, requestedAtMs } = (value ?? {}) as {
    version?: unknown;
    owner?: Record<string, unknown>;
    requestedAtMs?: unknown;
  };
  if (version !== 1) throw new SyntaxError("not a queued release of version 1");
  return {
    owner: {
      network: parseName("network", owner?.network),
      containerId: parseName("containerId", owner?.containerId),
      interfaceName: parseName("interfaceName", owner?.interfaceName),
    },
    requestedAtMs: parseTime(requestedAtMs),
  };
}

function parseName(member: string, value: unknown): string {
  if (typeof value === "string" && value !== "") return value;
  throw new SyntaxError(`"owner.${member}" is no name`);
}

function parseTime(value: unknown): number {
  if (Number.isSafeInteger(value)) return value as number;
  throw new SyntaxError('"requestedAtMs" is no time');
}
