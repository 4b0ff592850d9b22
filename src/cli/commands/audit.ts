import { parseText } from "../../base/names.ts";
import { quote } from "../../net/address.ts";
import type { CommandSpec } from "../framework/call.ts";
import { type Flag, switchFlag } from "../framework/flag.ts";
import {
  createListing,
  createSince,
  date,
  LIMIT,
  listCommand,
  readSince,
} from "../framework/list.ts";
import { viewOf } from "../framework/view.ts";

const CALL_NAME = /^[A-Z][A-Za-z]{0,63}$/;

const SINCE = createSince("calls");

const CALLER: Flag<string> = {
  name: "caller",
  value: "CALLER",
  description: 'only calls of this caller, such as "operator alice" or socket',
  parse: parseCaller,
};

const CALL: Flag<string> = {
  name: "call",
  value: "CALL",
  description: "only this call, such as RemoveNode",
  parse: parseCallName,
};

const FAILED = switchFlag("failed", "only calls that were refused or failed");

export const AUDIT: CommandSpec = listCommand({
  name: "audit",
  summary:
    "Show the changes requested of this agent, their callers and results",
  action: "list the audit",
  flags: [SINCE, CALLER, CALL, FAILED, LIMIT],
  examples: [
    "stellar-net audit --since 24h",
    'stellar-net audit --caller "operator alice" --call RemoveNode',
    "stellar-net audit --failed --limit 200 --json",
  ],
  read: async (call) => {
    const limit = call.value(LIMIT);
    const request = {
      pageSize: limit,
      caller: call.value(CALLER) ?? "",
      call: call.value(CALL) ?? "",
      failed: call.value(FAILED) ?? false,
      ...readSince(call, SINCE),
    };
    const response = await call.clients().agent.listAudit(request);
    const records = response.records.map(viewOf);
    return createListing({
      body: { records },
      columns: {
        TIME: ({ at }) => date(at),
        CALLER: ({ caller }) => caller,
        FROM: ({ from }) => from ?? "",
        CALL: ({ call }) => call,
        SUBJECT: ({ subject }) => subject ?? "",
        OUTCOME: ({ outcome, message }) =>
          message === null ? outcome : `${outcome}: ${message}`,
      },
      rows: records,
      notes: [
        records.length === 0 && "No record matches",
        records.length === limit &&
        `There may be more than these ${limit}: --limit shows more`,
      ],
    });
  },
});

function parseCaller(text: string): string {
  if (text !== "") return parseText(text);
  throw new RangeError(
    `"" is not a caller: write "socket", or a role and a name`,
  );
}

function parseCallName(text: string): string {
  if (CALL_NAME.test(text)) return text;
  throw new RangeError(
    `${quote(text)} is not the name of a call: write one such as "RemoveNode"`,
  );
}
