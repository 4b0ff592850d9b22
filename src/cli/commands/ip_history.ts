import { parseContainerId } from "../../base/names.ts";
import { containsAddress, parsePrefix } from "../../net/prefix.ts";
import { parseAddress } from "../../net/address.ts";
import type { CommandSpec } from "../framework/call.ts";
import type { AgentClients } from "../framework/client.ts";
import type { Flag } from "../framework/flag.ts";
import {
  createListing,
  createSince,
  date,
  LIMIT,
  listCommand,
  readPages,
  readSince,
} from "../framework/list.ts";
import { parseAddressText } from "../framework/parsers.ts";
import { viewOf } from "../framework/view.ts";
import { NODE } from "./ip_flags.ts";

const ONE_ADDRESS: Flag<string> = {
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

const SINCE = createSince("addresses held");

export const HISTORY: CommandSpec = listCommand({
  name: "history",
  summary: "Show which container held which address, and when",
  action: "list the history",
  flags: [ONE_ADDRESS, CONTAINER, SINCE, LIMIT, NODE],
  examples: [
    "stellar-net ip history --address 172.16.0.2",
    "stellar-net ip history --container web-1 --since 24h",
  ],
  read: async (call) => {
    const limit = call.value(LIMIT);
    const address = call.value(ONE_ADDRESS);
    const filter = {
      node: call.value(NODE),
      address: address ?? "",
      containerId: call.value(CONTAINER) ?? "",
      pageSize: limit,
      ...readSince(call, SINCE),
    };
    const clients = call.clients();
    const response = await clients.ipam.listHistory({
      ...filter,
      node: filter.node ??
        (address === undefined ? "" : await findNode(clients, address)),
    });
    const { records, truncated } = viewOf(response);
    return createListing({
      body: { records, truncated },
      columns: {
        ADDRESS: ({ address }) => address,
        CONTAINER: ({ owner }) => owner?.containerId ?? "",
        INTERFACE: ({ owner }) => owner?.interfaceName ?? "",
        NODE: ({ node }) => node,
        FROM: ({ allocatedAt }) => date(allocatedAt),
        TO: ({ releasedAt }) => releasedAt === null ? "held" : date(releasedAt),
        REASON: ({ reason }) => reason ?? "",
      },
      rows: records,
      notes: [
        records.length === 0 && "No record matches",
        truncated && `Only the newest ${limit} are shown: --limit shows more`,
      ],
    });
  },
});

/** The node whose subnet has an address; empty where there is none. */
async function findNode(
  { registry }: AgentClients,
  address: string,
): Promise<string> {
  const nodes = await readPages(async (pageToken) => {
    const page = await registry.listNodes({ pageToken });
    return [page.nodes, page.nextPageToken];
  });
  const wanted = parseAddress(address);
  const owner = nodes.find(({ subnets }) =>
    subnets.some((subnet) => containsAddress(parsePrefix(subnet), wanted))
  );
  return owner?.name ?? "";
}
