import type { ServiceImpl } from "@connectrpc/connect";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { Agent } from "../../agent/agent.ts";
import { NetError } from "../../base/error.ts";
import type { OwnedBy } from "../../addresses/allocator_options.ts";
import {
  type AllocateRequest,
  AllocationSchema,
  type BatchReleaseItem,
  type IpamService,
  type KeepAliveItem,
  type ReleaseResponseSchema,
} from "../../gen/stellar/net/v1/ipam_pb.ts";
import type { Allocation } from "../../addresses/plan/allocation.ts";
import {
  formatOwner,
  type Labels,
  ownerKey,
  parseContainerId,
  parseId,
  parseNetworkName,
  parseNodeName,
  parsePath,
  parseText,
} from "../../base/names.ts";
import { formatAddress, parseAddress } from "../../net/address.ts";
import {
  allocationMessage,
  reservationMessage,
} from "../messages/addresses.ts";
import {
  type AllocationWatchOptions,
  watchAllNodes,
  watchNode,
} from "./allocation_watch.ts";
import { createAddressLists } from "./address_lists.ts";
import type { OwnerCalls } from "./owner_calls.ts";
import {
  blaming,
  invalidField,
  parseDuration,
  parseField,
  parseLabelsField,
  parseOptional,
  parseOwner,
} from "../messages/fields.ts";
import { fill, parsePageSize } from "../messages/pages.ts";

/** The native service of addresses: of this node, and of nodes without an agent where the registry is. */
export function createIpam(
  agent: Agent,
  ownerCalls: OwnerCalls,
  { peers = NO_PEERS, now = Date.now }: {
    readonly peers?: AllocationWatchOptions["peers"];
    readonly now?: () => number;
  } = {},
): ServiceImpl<typeof IpamService> {
  const parseNode = (node: string) =>
    parseOptional("node", node, parseNodeName) ?? agent.node;
  const message = (node: string, allocation: Allocation) =>
    allocationMessage(
      node,
      allocation,
      agent.addresses.stateOf(node, allocation),
    );
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
        ...parseTerms(request),
        ...parseNetns(request),
      };
      if (request.attachment && request.ttl) {
        throw invalidField("ttl", "it is set together with attachment");
      }
      const isDryRun = request.validateOnly;
      const allocate = () =>
        blaming(
          "addresses",
          agent.addresses.allocate(node, asked, { signal, isDryRun }),
        );
      if (isDryRun) {
        const { allocation, created, updated } = await allocate();
        return { allocation: message(node, allocation), created, updated };
      }
      return await ownerCalls.run({ node, owner, values }, async () => {
        const { allocation, created, renewed, updated } = await allocate();
        return {
          response: { allocation: message(node, allocation), created, updated },
          allocation: allocation.id,
          undo: request.attachment && (created || renewed)
            ? () => agent.addresses.undo(node, owner, allocation.id)
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
        reason: parseOptional("reason", request.reason, parseText) ?? RELEASED,
        ...(id !== undefined && { id }),
        ...parseNetns(request),
      };
      if (request.validateOnly) {
        return releasedMessage(
          await agent.addresses.release(node, asked, { isDryRun: true }),
        );
      }
      return await ownerCalls.run(
        { node, owner, values },
        async () => ({
          response: releasedMessage(await agent.addresses.release(node, asked)),
        }),
      );
    },

    async batchAllocate(request, { signal }) {
      const node = parseNode(request.node);
      const asked = parseItems(request.items, (item, field) => ({
        owner: parseOwner(item.owner, `${field}.owner`),
        ...parseItemId(field, item.id),
        addresses: item.addresses.map((text) =>
          parseField(`${field}.addresses`, text, parseAddress)
        ),
        ...parseTerms(item, field),
      }));
      const isDryRun = request.validateOnly;
      const given = await blamingItem(
        agent.addresses.allocateBatch(node, asked, { signal, isDryRun }),
      );
      return {
        results: given.map(({ allocation, created, updated }) => ({
          allocation: message(node, allocation),
          created,
          updated,
        })),
      };
    },

    async batchRelease(request, { signal }) {
      const released = await agent.addresses.releaseBatch(
        parseNode(request.node),
        parseItems(request.items, parseOwned),
        {
          signal,
          isDryRun: request.validateOnly,
          reason: parseOptional("reason", request.reason, parseText) ??
            RELEASED,
        },
      );
      return { results: released.map(releasedMessage) };
    },

    async keepAlive(request) {
      const node = parseNode(request.node);
      const kept = await agent.addresses.keepAlive(
        node,
        parseItems(request.items, parseOwned),
        { isDryRun: request.validateOnly },
      );
      return {
        results: kept.map((allocation) => {
          if (!allocation) return {};
          const { expiresAtMs } = agent.addresses.stateOf(node, allocation);
          return {
            allocationId: allocation.id,
            ...expiresAtMs !== undefined &&
              { expiresAt: timestampFromMs(expiresAtMs) },
          };
        }),
      };
    },

    async releaseOthers(request) {
      checkKeep(request);
      const released = await agent.addresses.releaseOthers(
        parseNode(request.node),
        parseField("network", request.network, parseNetworkName),
        request.keep.map((owner) => parseOwner(owner, "keep")),
        { isDryRun: request.validateOnly },
      );
      return {
        owners: released.map(({ owner }) => owner),
        allocationIds: released.map(({ id }) => id),
      };
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
      const found = address &&
        await agent.addresses.getByAddress(node, address);
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
        const allocation = await agent.addresses.get(node, owner);
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
      const limit = parsePageSize(request.pageSize);
      const behind = parseOptional(
        "page_token",
        request.pageToken,
        parseAddress,
      );
      const allocations = await agent.addresses.list(node, {
        limit: limit + 1,
        leaked: request.leaked,
        labels: parseLabelsField("labels", request.labels) ?? {},
        containerId: parseOptional(
          "container_id",
          request.containerId,
          parseContainerId,
        ),
        ...(behind && { behind }),
      });
      const page = fill(allocations.slice(0, limit), {
        schema: AllocationSchema,
        message: (allocation) => message(node, allocation),
      });
      const last = allocations[page.length - 1];
      const isWhole = !request.leaked && request.containerId === "" &&
        Object.keys(request.labels).length === 0;
      return {
        allocations: page,
        nextPageToken: last && allocations.length > page.length
          ? formatAddress(last.addresses[0]!.address)
          : "",
        ...isWhole && { totalSize: await agent.addresses.count(node) },
      };
    },

    async *watchAllocations(request, { signal }) {
      const from = request.fromRevisions;
      if (request.allNodes) {
        if (request.node !== "") {
          throw invalidField("node", "it is set together with all_nodes");
        }
        yield* watchAllNodes({ agent, peers, now }, from, signal);
        return;
      }
      const node = parseNode(request.node);
      yield* watchNode({ agent, now }, node, {
        from: from[node] ?? "",
        signal,
      });
    },

    async reserve(request) {
      const node = parseNode(request.node);
      const reservation = await blaming(
        "address",
        agent.addresses.reserve(node, {
          address: parseField("address", request.address, parseAddress),
          ...(request.owner && { owner: parseOwner(request.owner) }),
          reason: parseOptional("reason", request.reason, parseText) ?? "",
        }, { isDryRun: request.validateOnly }),
      );
      return { reservation: reservationMessage(node, reservation) };
    },

    async unreserve(request) {
      const node = parseNode(request.node);
      const address = parseField("address", request.address, parseAddress);
      const reservation = await agent.addresses.unreserve(node, address, {
        isDryRun: request.validateOnly,
      });
      return reservation
        ? { reservation: reservationMessage(node, reservation) }
        : {};
    },

    ...createAddressLists(agent, parseNode),
  };
}

/** Where no other agent answers. */
const NO_PEERS = { ofNode: () => Promise.resolve(undefined) };

const RELEASED = "released over the API";
/** Most items of a batch. */
const MAX_ITEMS = 1_000;
/** Shortest and longest time to live. */
const TTL = { leastMs: 1_000, mostMs: 30 * 86_400_000 };

/** Parses the labels and the time to live of a request. @param field path of the message that has them */
function parseTerms(
  { labels, ttl }: Pick<AllocateRequest, "labels" | "ttl">,
  field?: string,
): { readonly labels?: Labels; readonly ttlMs?: number } {
  const path = field === undefined ? "" : `${field}.`;
  const parsed = parseLabelsField(`${path}labels`, labels);
  const ttlMs = parseDuration(`${path}ttl`, ttl, TTL);
  return {
    ...(parsed && { labels: parsed }),
    ...(ttlMs !== undefined && { ttlMs }),
  };
}

/** Parses the items of a batch, each of another owner. */
function parseItems<T, P extends OwnedBy>(
  items: readonly T[],
  parse: (item: T, field: string) => P,
): P[] {
  if (items.length === 0) throw invalidField("items", "it is empty");
  if (items.length > MAX_ITEMS) {
    throw invalidField(
      "items",
      `there are ${items.length} of them, and ${MAX_ITEMS} are the most`,
    );
  }
  const seen = new Map<string, number>();
  return items.map((item, i) => {
    const parsed = parse(item, `items[${i}]`);
    const key = ownerKey(parsed.owner);
    const first = seen.get(key);
    if (first !== undefined) {
      throw invalidField(
        `items[${i}].owner`,
        `${formatOwner(parsed.owner)} is in items[${first}] too`,
      );
    }
    seen.set(key, i);
    return parsed;
  });
}

function parseOwned(
  { owner, id }: BatchReleaseItem | KeepAliveItem,
  field: string,
): OwnedBy {
  return {
    owner: parseOwner(owner, `${field}.owner`),
    ...parseItemId(field, id),
  };
}

function parseItemId(field: string, text: string): { readonly id?: string } {
  const id = parseOptional(`${field}.id`, text, parseId);
  return id === undefined ? {} : { id };
}

/** Names the item of a batch that was refused. */
async function blamingItem<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    const { item } = error instanceof NetError
      ? error.details.metadata ?? {}
      : {};
    if (!(error instanceof NetError) || item === undefined) throw error;
    const metadata = {
      ...error.details.metadata,
      ...error.code === "invalid_argument" &&
        { field: `items[${item}].addresses` },
    };
    throw new NetError(error.code, `items[${item}]: ${error.message}`, {
      cause: error,
      ...error.details,
      metadata,
    });
  }
}

function releasedMessage(
  released: Allocation | undefined,
): MessageInitShape<typeof ReleaseResponseSchema> {
  return {
    addresses: (released?.addresses ?? []).map(({ address }) =>
      formatAddress(address)
    ),
    allocationId: released?.id ?? "",
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
