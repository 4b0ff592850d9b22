import { parseContainerId } from "../../base/names.ts";
import { CLIENT_FLAGS } from "../framework/client.ts";
import { parseAddressText } from "../framework/flags.ts";
import { NODE } from "./ip.ts";
import { createSince, LIMIT, readSince } from "../framework/record_flags.ts";
import type { CommandSpec, Flag } from "../framework/spec.ts";
import { formatTable } from "../framework/table.ts";
import { formatUtc } from "../framework/text.ts";
import { viewHistory } from "../framework/views.ts";

const ADDRESS: Flag<string> = {
  name: "address",
  value: "ADDRESS",
  description: "only this address",
  parse: parseAddressText,
};

const CONTAINER: Flag<string> = {
  name: "container",
  value: "ID",
  description: "only this container",
  parse: parseContainerId,
};

const SINCE = createSince("was held");

export const HISTORY: CommandSpec = {
  name: "history",
  summary: "Show who held which address, from when to when",
  action: "list the history",
  flags: [ADDRESS, CONTAINER, SINCE, LIMIT, NODE, ...CLIENT_FLAGS],
  examples: [
    "stellar-net ip history --address 172.16.0.2",
    "stellar-net ip history --container web-1 --since 24h",
  ],
  run: async (call) => {
    const limit = call.value(LIMIT);
    const request = {
      node: call.value(NODE) ?? "",
      address: call.value(ADDRESS) ?? "",
      containerId: call.value(CONTAINER) ?? "",
      limit,
      ...readSince(call, SINCE),
    };
    const { records, truncated } = await call.clients().ipam.listHistory(
      request,
    );
    const views = records.map(viewHistory);
    const rows = views.map(({ owner, ...record }) => [
      record.address,
      owner.containerId,
      owner.interfaceName,
      record.node,
      formatUtc(record.allocatedAt),
      record.releasedAt === null ? "held" : formatUtc(record.releasedAt),
      record.reason ?? "",
    ]);
    const header = [
      "ADDRESS",
      "CONTAINER",
      "INTERFACE",
      "NODE",
      "FROM",
      "TO",
      "REASON",
    ];
    call.answer({ records: views, truncated }, formatTable(header, rows));
    if (rows.length === 0) call.note("No record matches");
    if (truncated) {
      call.note(`Only the newest ${limit} are shown: --limit shows more`);
    }
  },
};
