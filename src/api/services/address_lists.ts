import { timestampFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import type { ServiceImpl } from "@connectrpc/connect";
import type { Agent } from "../../agent/agent.ts";
import { eventTimeMs } from "../../addresses/history.ts";
import { parseContainerId } from "../../base/names.ts";
import {
  AddressRunSchema,
  HistoryRecordSchema,
  type IpamService,
  ReservationSchema,
} from "../../gen/stellar/net/v1/ipam_pb.ts";
import {
  compareAddresses,
  formatAddress,
  parseAddress,
} from "../../net/address.ts";
import { parsePrefix } from "../../net/prefix.ts";
import {
  addressRunMessage,
  historyMessage,
  reservationMessage,
} from "../messages/addresses.ts";
import { parseOptional } from "../messages/fields.ts";
import { cutPage, cutTimePage, parseTimePage } from "../messages/pages.ts";

/** The lists of a node's addresses. @param parseNode gives the node that a request names */
export function createAddressLists(
  agent: Agent,
  parseNode: (node: string) => string,
): Pick<
  ServiceImpl<typeof IpamService>,
  "listReservations" | "listAddressRuns" | "listHistory"
> {
  return {
    async listReservations(request) {
      const node = parseNode(request.node);
      const { page, ...rest } = cutPage(
        await agent.addresses.reservations(node),
        request,
        {
          schema: ReservationSchema,
          message: (reservation) => reservationMessage(node, reservation),
          keyOf: ({ address }) => formatAddress(address),
          behind: (key) => {
            const last = parseAddress(key);
            return ({ address }) => compareAddresses(address, last) > 0;
          },
        },
      );
      return { reservations: page, ...rest };
    },

    async listAddressRuns(request) {
      const { runs, knownSinceMs } = await agent.addresses.runs({
        node: parseNode(request.node),
        prefix: parseOptional("prefix", request.prefix, parsePrefix),
        atMs: request.at && timestampMs(request.at),
      });
      const { page, ...rest } = cutPage(runs, request, {
        schema: AddressRunSchema,
        message: addressRunMessage,
        keyOf: ({ last }) => formatAddress(last),
        behind: (key) => {
          const last = parseAddress(key);
          return (run) => compareAddresses(run.last, last) > 0;
        },
      });
      return {
        runs: page,
        ...rest,
        ...knownSinceMs !== undefined &&
          { knownSince: timestampFromMs(knownSinceMs) },
      };
    },

    async listHistory(request) {
      const page = parseTimePage(request);
      const { untilMs } = page;
      const address = parseOptional("address", request.address, parseAddress);
      const containerId = parseOptional(
        "container_id",
        request.containerId,
        parseContainerId,
      );
      const records = await agent.addresses.history({
        node: parseNode(request.node),
        limit: page.limit,
        ...(address && { address: formatAddress(address) }),
        ...(containerId !== undefined && { containerId }),
        ...(request.since && { sinceMs: timestampMs(request.since) }),
        ...(untilMs !== undefined && { untilMs }),
      });
      const cut = cutTimePage(records, page, {
        schema: HistoryRecordSchema,
        message: historyMessage,
        timeOf: eventTimeMs,
      });
      return {
        records: [...cut.page],
        truncated: cut.nextPageToken !== "",
        nextPageToken: cut.nextPageToken,
      };
    },
  };
}
