import type { ServiceImpl } from "@connectrpc/connect";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import type { Agent } from "../../agent/agent.ts";
import { NetError } from "../../base/error.ts";
import type {
  AllocateRequest,
  IpamService,
} from "../../gen/stellar/net/v1/ipam_pb.ts";
import type { Allocation } from "../../addresses/plan/allocation.ts";
import {
  formatOwner,
  parseContainerId,
  parseId,
  parseNetworkName,
  parseNodeName,
  parsePath,
  parseText,
} from "../../base/names.ts";
import {
  compareAddresses,
  formatAddress,
  parseAddress,
} from "../../net/address.ts";
import {
  allocationMessage,
  historyMessage,
  reservationMessage,
} from "../messages/addresses.ts";
import type { OwnerCalls } from "./owner_calls.ts";
import { eventTimeMs } from "../../addresses/history.ts";
import {
  blaming,
  cutTimePage,
  invalidField,
  parseField,
  parseLimit,
  parseOptional,
  parseOwner,
  parseTimePage,
} from "../messages/fields.ts";

/** The native service of addresses: of this node, and of nodes without an agent where the registry is. */
export function createIpam(
  agent: Agent,
  ownerCalls: OwnerCalls,
): Omit<
  ServiceImpl<typeof IpamService>,
  "batchAllocate" | "batchRelease" | "keepAlive" | "watchAllocations"
> {
  const parseNode = (node: string) =>
    parseOptional("node", node, parseNodeName) ?? agent.node;
  const message = (node: string, allocation: Allocation) =>
    allocationMessage(node, allocation, agent.leakOf(node, allocation));
  return {
    async allocate(request, { values, signal }) {
      const node = parseNode(request.node);
      const owner = parseOwner(request.owner);
      const id = parseOptional("id", request.id, parseId);
      const asked = {
        owner,
        ...(id !== undefined && { id }),
        addresses: request.addresses.map((text) =>
          parseField("addresses", text, parseAddress)
        ),
        ...parseNetns(request),
      };
      return await ownerCalls.run({ node, owner, values }, async () => {
        const { allocation, created, renewed } = await blaming(
          "addresses",
          agent.allocate(node, asked, signal),
        );
        return {
          response: { allocation: message(node, allocation), created },
          allocation: allocation.id,
          undo: request.attachment && (created || renewed)
            ? () => agent.undo(node, owner, allocation.id)
            : undefined,
        };
      });
    },

    async release(request, { values }) {
      const node = parseNode(request.node);
      const owner = parseOwner(request.owner);
      const id = parseOptional("id", request.id, parseId);
      const asked = {
        owner,
        reason: parseOptional("reason", request.reason, parseText) ??
          "released over the API",
        ...(id !== undefined && { id }),
        ...parseNetns(request),
      };
      return await ownerCalls.run({ node, owner, values }, async () => {
        const released = await agent.release(node, asked);
        const addresses = released?.addresses ?? [];
        return {
          response: {
            addresses: addresses.map(({ address }) => formatAddress(address)),
          },
        };
      });
    },

    async releaseOthers(request) {
      checkKeep(request);
      const released = await agent.releaseOthers(
        parseNode(request.node),
        parseField("network", request.network, parseNetworkName),
        request.keep.map((owner) => parseOwner(owner, "keep")),
      );
      return { owners: released.map(({ owner }) => owner) };
    },

    async checkReady(request) {
      await agent.checkReady(parseNode(request.node));
      return {};
    },

    async getAllocation(request, { values }) {
      const node = parseNode(request.node);
      const address = parseOptional("address", request.address, parseAddress);
      if (address && request.owner) {
        throw invalidField("address", "it is set together with owner");
      }
      const found = address && await agent.getByAddress(node, address);
      if (address && !found) {
        throw new NetError(
          "not_found",
          `Cannot get the allocation of ${
            formatAddress(address)
          }: nobody holds it on node "${node}"`,
        );
      }
      const owner = found?.owner ?? parseOwner(request.owner);
      return await ownerCalls.run({ node, owner, values }, async () => {
        const allocation = await agent.get(node, owner);
        if (!allocation) {
          throw new NetError(
            "not_found",
            `Cannot get the allocation of ${
              formatOwner(owner)
            }: it holds nothing on node "${node}"`,
          );
        }
        return {
          response: { allocation: message(node, allocation) },
          allocation: allocation.id,
        };
      });
    },

    async listAllocations(request) {
      const node = parseNode(request.node);
      const limit = parseLimit("page_size", request.pageSize);
      const behind = parseOptional(
        "page_token",
        request.pageToken,
        parseAddress,
      );
      const allocations = await agent.list(node, {
        limit: limit + 1,
        leaked: request.leaked,
        containerId: parseOptional(
          "container_id",
          request.containerId,
          parseContainerId,
        ),
        ...(behind && { behind }),
      });
      const page = allocations.slice(0, limit);
      return {
        allocations: page.map((a) => message(node, a)),
        nextPageToken: allocations.length > limit
          ? formatAddress(page.at(-1)!.addresses[0]!.address)
          : "",
      };
    },

    async reserve(request) {
      const node = parseNode(request.node);
      const reservation = await blaming(
        "address",
        agent.reserve(node, {
          address: parseField("address", request.address, parseAddress),
          ...(request.owner && { owner: parseOwner(request.owner) }),
          reason: parseOptional("reason", request.reason, parseText) ?? "",
        }),
      );
      return { reservation: reservationMessage(node, reservation) };
    },

    async unreserve(request) {
      const node = parseNode(request.node);
      const address = parseField("address", request.address, parseAddress);
      const reservation = await agent.unreserve(node, address);
      return reservation
        ? { reservation: reservationMessage(node, reservation) }
        : {};
    },

    async listReservations(request) {
      const node = parseNode(request.node);
      const limit = parseLimit("page_size", request.pageSize);
      const behind = parseOptional(
        "page_token",
        request.pageToken,
        parseAddress,
      );
      const all = await agent.reservations(node);
      const rest = all.filter(({ address }) =>
        !behind || compareAddresses(address, behind) > 0
      );
      const page = rest.slice(0, limit);
      return {
        reservations: page.map((r) => reservationMessage(node, r)),
        nextPageToken: rest.length > limit
          ? formatAddress(page.at(-1)!.address)
          : "",
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
      const records = await agent.history({
        node: parseNode(request.node),
        limit: page.limit,
        ...(address && { address: formatAddress(address) }),
        ...(containerId !== undefined && { containerId }),
        ...(request.since && { sinceMs: timestampMs(request.since) }),
        ...(untilMs !== undefined && { untilMs }),
      });
      const cut = cutTimePage(records, page, eventTimeMs);
      return {
        records: cut.page.map(historyMessage),
        truncated: cut.nextPageToken !== "",
        nextPageToken: cut.nextPageToken,
      };
    },
  };
}

/** An empty list may be a mistake, such as a misspelt field: it never means that all are released. */
function checkKeep(
  { keep, keepNone }: {
    readonly keep: readonly unknown[];
    readonly keepNone: boolean;
  },
): void {
  if (keep.length === 0 && !keepNone) {
    throw invalidField("keep", "it is empty; set keep_none to release all");
  }
  if (keep.length > 0 && keepNone) {
    throw invalidField("keep_none", "it is set together with keep");
  }
}

/** The namespace that a CNI runtime named; empty when it named none. */
function parseNetns(
  { attachment }: Pick<AllocateRequest, "attachment">,
): { readonly netns?: string } {
  return attachment
    ? {
      netns: parseOptional("attachment.netns", attachment.netns, parsePath) ??
        "",
    }
    : {};
}
