import { type BackupPart, BackupReader } from "../../backup/format/read.ts";
import type { BackupHeader } from "../../backup/format/format.ts";
import type { RestoreSummary } from "../../backup/port.ts";
import type { Call, CommandSpec } from "../framework/call.ts";
import {
  destructiveFlag,
  type Flag,
  type FlagWithDefault,
  type Operand,
  switchFlag,
} from "../framework/flag.ts";
import { parseDuration, parsePath } from "../framework/parsers.ts";
import {
  JSON_OUTPUT,
  SOCKET,
  TARGET_FLAGS,
  TIMEOUT,
} from "../framework/target.ts";
import { formatColumns, formatUtc } from "../framework/text.ts";
import { OFFLINE_STATE, readStateDir } from "./agent.ts";

const FILE: Operand<string> = {
  name: "FILE",
  description: "file to write, readable only by its owner; - is stdout",
  completion: "file",
  parse: parsePath,
};

/** A large history takes minutes. */
const PATIENT: typeof TIMEOUT = { ...TIMEOUT, default: "10m" };

const SIGN: Flag<string> = {
  name: "sign",
  value: "DIR",
  description:
    "sign the backup with the identity in this folder, an operator's or STATE/identity, into FILE.sig",
  parse: parsePath,
};

export const BACKUP: CommandSpec = {
  name: "backup",
  summary: "Write the state of the running agent to a file",
  action: "back up the state",
  operands: [FILE],
  flags: [...TARGET_FLAGS, SIGN, JSON_OUTPUT, PATIENT],
  examples: [
    "stellar-net backup /var/backups/stellar-net.jsonl",
    "stellar-net backup - > stellar-net.jsonl",
    "stellar-net backup /var/backups/stellar-net.jsonl --sign /var/lib/stellar-net/identity",
  ],
  run: async (call) => {
    const file = call.operand(FILE);
    const signer = call.value(SIGN);
    if (file === "-" && signer !== undefined) {
      throw call.usage("--sign needs a file: name one in place of -");
    }
    const received = new Received(call);
    if (file === "-") {
      const decoder = new TextDecoder();
      for await (const piece of received.pieces()) {
        call.io.stdout(decoder.decode(piece, { stream: true }));
      }
      call.note(describeBackup(received, "Backed up"));
      return;
    }
    await call.io.files.write(file, received.pieces());
    if (signer !== undefined) await call.io.signFile(file, signer);
    const { stellarNetBackup: _, ...header } = received.header!;
    call.answer({ file, entries: received.entries, ...header }, [
      describeBackup(received, `Wrote ${file}:`),
    ]);
  },
};

/** A backup from the agent, checked as restore checks it. */
class Received {
  header: BackupHeader | undefined;
  entries = 0;
  readonly #call: Call;

  constructor(call: Call) {
    this.#call = call;
  }

  async *pieces(): AsyncGenerator<Uint8Array<ArrayBuffer>> {
    const reader = new BackupReader();
    const stream = this.#call.clients(PATIENT).agent.backup({});
    for await (const { data } of stream) {
      for (const part of reader.push(data)) this.#see(part);
      yield data as Uint8Array<ArrayBuffer>;
    }
    this.entries = reader.end();
  }

  #see(part: BackupPart): void {
    if (part.kind === "header") this.header = part.header;
  }
}

function describeBackup({ header, entries }: Received, done: string): string {
  return `${done} ${entries} entries of node ${header!.node} as of ${
    formatUtc(header!.takenAt)
  }`;
}

const BACKUP_FILE: Operand<string> = {
  name: "FILE",
  description: "backup to restore",
  completion: "file",
  parse: parsePath,
};

const DRY_RUN = switchFlag(
  "dry-run",
  "check everything and report, but restore nothing",
);

export const SETTLE: FlagWithDefault<number> = {
  name: "settle",
  value: "DURATION",
  description:
    "grace period in which the registry gives subnets only to nodes that have them",
  default: "60s",
  parse: parseDuration,
};

const FORCE = destructiveFlag(
  "force",
  "restore the registry even if an agent answers where it was",
);

const VERIFY: Flag<string> = {
  name: "verify",
  value: "DIR",
  description:
    "restore only if FILE.sig is a signature by an operator or node, with an authority that the identity in this folder trusts",
  parse: parsePath,
};

const UNSIGNED =
  "The checksum of a backup has no key: whoever can change the file chooses the cluster's authority. " +
  "Restore only a file from a safe place, or sign backups with --sign and check them with --verify";

export const RESTORE: CommandSpec = {
  name: "restore",
  summary: "Restore the state of a stopped agent, on its host or a replacement",
  action: "restore the state",
  operands: [BACKUP_FILE],
  flags: [
    ...[OFFLINE_STATE, SOCKET, SETTLE, VERIFY, FORCE, DRY_RUN, JSON_OUTPUT],
  ],
  examples: [
    "stellar-net restore /var/backups/stellar-net.jsonl --dry-run",
    "stellar-net restore /var/backups/stellar-net.jsonl --settle 10m",
  ],
  run: async (call) => {
    const file = call.operand(BACKUP_FILE);
    const stateDir = await readStateDir(call);
    const dryRun = call.value(DRY_RUN) ?? false;
    const settleMs = call.value(SETTLE);
    const verifier = call.value(VERIFY);
    const signer = verifier === undefined
      ? undefined
      : await call.io.verifyFile(file, verifier);
    const force = call.value(FORCE) ?? false;
    const options = { stateDir, settleMs, force, dryRun };
    const summary = await call.io.restore({ file, ...options });
    const { header: { stellarNetBackup: _, ...header }, ...counts } = summary;
    call.answer({ file, stateDir, dryRun, ...header, ...counts }, [
      dryRun
        ? `${file} can be restored to ${stateDir}:`
        : `Restored ${file} to ${stateDir}:`,
      ...formatColumns(describeRestore(summary)),
    ]);
    if (signer !== undefined) call.note(`Signed by ${signer}`);
    if (dryRun) return;
    if (signer === undefined) call.note(UNSIGNED);
    call.note(
      `Start the agent with --node ${header.node}. It is the same node to the cluster: ` +
        "the host of the backup must not run any more",
    );
    call.note(
      "The backup has no containers that started after it: stop those that still run on this host before you start the agent",
    );
  },
};

function describeRestore(summary: RestoreSummary): [string, string][] {
  const { header, hasRegistry, nodes, held, history } = summary;
  return [
    ["  Node", header.node],
    ["  Instance", header.instance],
    ["  Cluster", header.cluster || "-"],
    ["  Taken", `${formatUtc(header.takenAt)} by version ${header.program}`],
    ["  Schema", String(header.schema)],
    ["  Registry", hasRegistry ? `${nodes} nodes` : "not in it"],
    ["  Addresses", `${held} held`],
    ["  History", `${history} records`],
  ];
}
