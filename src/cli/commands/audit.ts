import { parseText } from "../../base/names.ts";
import { quote } from "../../net/address.ts";
import { type AuditRecord, CLIENT_FLAGS } from "../framework/client.ts";
import { parseSwitch } from "../framework/flags.ts";
import { createSince, LIMIT, readSince } from "../framework/record_flags.ts";
import type { CommandSpec } from "../framework/call.ts";
import type { Flag } from "../framework/flag.ts";
import { formatTable } from "../framework/table.ts";
import { formatUtc } from "../framework/text.ts";
import { orNull, viewTime } from "../framework/views.ts";

const CALL_NAME = /^[A-Z][A-Za-z]{0,63}$/;

const SINCE = createSince("was asked");

const CALLER: Flag<string> = {
  name: "caller",
  value: "WHO",
  description: 'only of this caller, such as "operator alice" or socket',
  parse: parseCaller,
};

const CALL: Flag<string> = {
  name: "call",
  value: "CALL",
  description: "only this call, such as RemoveNode",
  parse: parseCallName,
};

const FAILED: Flag<boolean> = {
  name: "failed",
  description: "only what was refused or failed",
  parse: parseSwitch,
};

/** A call that would change something, as `--json` prints it. */
interface AuditView {
  readonly at: string | null;
  readonly caller: string;
  readonly from: string | null;
  readonly call: string;
  readonly subject: string | null;
  readonly outcome: string;
  readonly message: string | null;
}

export const AUDIT: CommandSpec = {
  name: "audit",
  summary: "Show who asked this agent for which change, and what came of it",
  action: "list the audit",
  flags: [SINCE, CALLER, CALL, FAILED, LIMIT, ...CLIENT_FLAGS],
  examples: [
    "stellar-net audit --since 24h",
    'stellar-net audit --caller "operator alice" --call RemoveNode',
    "stellar-net audit --failed --limit 200 --json",
  ],
  run: async (call) => {
    const limit = call.value(LIMIT);
    const request = {
      limit,
      caller: call.value(CALLER) ?? "",
      call: call.value(CALL) ?? "",
      failed: call.value(FAILED) ?? false,
      ...readSince(call, SINCE),
    };
    const message = await call.clients().agent.listAudit(request);
    const records = message.records.map(viewRecord);
    const header = ["TIME", "CALLER", "FROM", "CALL", "SUBJECT", "OUTCOME"];
    const rows = records.map((record) => [
      formatUtc(record.at),
      record.caller,
      record.from ?? "",
      record.call,
      record.subject ?? "",
      record.message === null
        ? record.outcome
        : `${record.outcome}: ${record.message}`,
    ]);
    call.answer({ records }, formatTable(header, rows));
    if (rows.length === 0) call.note("No record matches");
    if (rows.length === limit) {
      call.note(`There may be more than these ${limit}: --limit shows more`);
    }
  },
};

function parseCaller(text: string): string {
  if (text !== "") return parseText(text);
  throw new RangeError(`"" is nobody: write "socket", or a role and a name`);
}

function parseCallName(text: string): string {
  if (CALL_NAME.test(text)) return text;
  throw new RangeError(
    `${quote(text)} is not the name of a call: write one such as "RemoveNode"`,
  );
}

function viewRecord(message: AuditRecord): AuditView {
  return {
    at: viewTime(message.at),
    caller: message.caller,
    from: orNull(message.from),
    call: message.call,
    subject: orNull(message.subject),
    outcome: message.outcome,
    message: orNull(message.message),
  };
}
