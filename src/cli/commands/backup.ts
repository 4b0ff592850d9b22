import { type BackupPart, BackupReader } from "../../backup/format/read.ts";
import type { BackupHeader } from "../../backup/format/format.ts";
import type { Call, CommandSpec } from "../framework/call.ts";
import { JSON_OUTPUT, TARGET_FLAGS, TIMEOUT } from "../framework/client.ts";
import { parsePath } from "../framework/flags.ts";
import type { Operand } from "../framework/flag.ts";
import { formatUtc } from "../framework/text.ts";

const FILE: Operand<string> = {
  name: "FILE",
  description: "file to write, readable by its owner alone; - is stdout",
  completion: "file",
  parse: parsePath,
};

/** A large history takes its time. */
const PATIENT: typeof TIMEOUT = { ...TIMEOUT, default: "10m" };

export const BACKUP: CommandSpec = {
  name: "backup",
  summary: "Write the state of the running agent to a file",
  action: "back up the state",
  operands: [FILE],
  flags: [...TARGET_FLAGS, JSON_OUTPUT, PATIENT],
  examples: [
    "stellar-net backup /var/backups/stellar-net.jsonl",
    "stellar-net backup - > stellar-net.jsonl",
  ],
  run: async (call) => {
    const file = call.operand(FILE);
    const received = new Received(call);
    if (file === "-") {
      const decoder = new TextDecoder();
      for await (const piece of received.pieces()) {
        call.io.stdout(decoder.decode(piece, { stream: true }));
      }
      call.note(describe(received, "Backed up"));
      return;
    }
    await call.io.files.write(file, received.pieces());
    const { stellarNetBackup: _, ...header } = received.header!;
    call.answer({ file, entries: received.entries, ...header }, [
      describe(received, `Wrote ${file}:`),
    ]);
  },
};

/** A backup as it comes from the agent, checked as it will be when it is restored. */
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

function describe({ header, entries }: Received, done: string): string {
  return `${done} ${entries} entries of node ${header!.node} as of ${
    formatUtc(header!.takenAt)
  }`;
}
