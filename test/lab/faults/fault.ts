import assert from "node:assert/strict";
import { run } from "../../support/run.ts";
import type { LabContainer } from "../lab_container.ts";
import type { LabHost } from "../lab_host.ts";

/** Two hosts with containers. The faults are caused at `host`. */
export interface FaultWorld {
  readonly host: LabHost;
  readonly peer: LabHost;
  readonly container: LabContainer;
  /** Another container of the same host. */
  readonly second: LabContainer;
  /** The peer's container. */
  readonly remote: LabContainer;
  /** The host's end of the first container's link. */
  readonly veth: string;
}

/**
 * A fault, and the words of `doctor` about it. A sentence is the name of a
 * check, a colon and its finding; `…` stands for any text.
 */
export interface Fault {
  /** A phrase for the table in docs/operations.md. */
  readonly name: string;
  /** Typed on the host, in order. */
  readonly cause: (world: FaultWorld) => string;
  /** Whether the cause is typed in the container. Default: on the host. */
  readonly isInContainer?: boolean;
  /** The sentence of `doctor` on the host, or `green`. */
  readonly here: string;
  /** The sentence of `doctor` on the peer, or `green`. */
  readonly there: string;
  /** The command that `doctor` gives on the host; missing where none fixes the fault. */
  readonly fix?: string;
  /** What is typed besides, or in place of a command. For the docs: a phrase. */
  readonly undo?: {
    readonly text: string;
    readonly line: (world: FaultWorld) => string;
  };
  /** Whether the peer's `doctor` gives the command, for the peer. */
  readonly isFixedThere?: boolean;
  /** Whether packets between containers get through all the same. */
  readonly isHarmless?: boolean;
  /** Whether the containers of the host have to be started again. */
  readonly isContainerLost?: boolean;
}

/** The words of a fault in docs/operations.md. */
export type FaultWords =
  & Pick<Fault, "name" | "here" | "there" | "fix" | "isFixedThere">
  & { readonly undo?: { readonly text: string } };

/** The row of a fault in the table of docs/operations.md, cell by cell. */
export function rowOf(fault: FaultWords): string[] {
  const { name, here, there, fix, isFixedThere, undo } = fault;
  const quoted = (text: string) => text === "green" ? text : `\`${text}\``;
  const also = undo ? undo.text : "";
  const cure = fix === undefined
    ? `none: ${also}`
    : `${quoted(fix)}${isFixedThere ? " there" : ""}${also && `; ${also}`}`;
  return [name, quoted(here), quoted(there), cure];
}

/** A check as `--json` prints it. */
export interface PrintedCheck {
  readonly name: string;
  readonly status: "ok" | "warning" | "failed";
  readonly found: string;
  readonly means: string | null;
  readonly mend: string | null;
  readonly command: string | null;
  readonly harm: string | null;
}

/** Programs that commands of `doctor` begin with. */
export const PROGRAMS: ReadonlySet<string> = new Set(
  ["ip", "nft", "iptables-nft", "ip6tables-nft", "iptables-legacy"]
    .concat("ip6tables-legacy", "sysctl", "nsenter", "chmod", "systemctl")
    .concat("stellar-net", "docker"),
);

/** A value that is missing, or a place that the reader has to fill in. */
const PLACE =
  /\b(?:undefined|null|NaN|ADDRESS|DEVICE|HOST|NAME|NAMESPACE|NODE|PEER|TOKEN)\b|[<>…]/;

/**
 * Checks that a command can be pasted into a shell: its syntax is right, each
 * part begins with a program, and no place is left to fill in.
 *
 * @throws {AssertionError} with the command, when it cannot
 */
export async function assertPasteable(line: string): Promise<void> {
  const { code, stderr } = await run("sh", ["-n", "-c", line]);
  assert.equal(code, 0, `${line}: ${stderr}`);
  for (const part of line.split(" && ")) {
    assert.ok(PROGRAMS.has(part.split(" ")[0]!), line);
    assert.doesNotMatch(part, PLACE, line);
  }
}

/**
 * Checks what is printed of a fault: its meaning, its fix as text, and the
 * command where there is one, which does no harm that is not told.
 */
export async function assertFix(check: PrintedCheck): Promise<void> {
  const { means, mend, command, harm, name, found } = check;
  const text = JSON.stringify(check);
  assert.ok(means && mend, text);
  if (command === null) {
    assert.equal(harm, null, text);
    assert.ok(!PROGRAMS.has(mend.split(" ")[0]!), `${name}: ${found}: ${mend}`);
    return;
  }
  assert.equal(mend, command, text);
  assert.ok(harm || !/\bdelete\b| -D |--force/.test(command), text);
  await assertPasteable(command);
}

/** The sentence of a check. */
export function sentenceOf(
  { name, found }: Pick<PrintedCheck, "name" | "found">,
): string {
  return `${name}: ${found}`;
}

/** Whether a text is a sentence of the table. */
export function isLike(text: string, sentence: string): boolean {
  const parts = sentence.split("…").map((part) =>
    part.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&")
  );
  return new RegExp(`^${parts.join(".*")}$`, "s").test(text);
}
