import type { MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import { NetError } from "../../base/error.ts";
import {
  parseApiUrl,
  parseId,
  parseNodeName,
  parseText,
} from "../../base/names.ts";
import { acceptReport } from "../../cluster/plan/accept_report.ts";
import type { EventLog } from "../../cluster/event_log.ts";
import type { Reports } from "../../cluster/reports.ts";
import type {
  JoinRequest as JoinMessage,
  RegistryService,
  WatchResponseSchema,
} from "../../gen/stellar/net/v1/registry_pb.ts";
import {
  type Address,
  formatAddress,
  parseAddress,
  quote,
} from "../../net/address.ts";
import {
  formatPrefix,
  nextHopBlock,
  parsePrefix,
  type Prefix,
} from "../../net/prefix.ts";
import type { ChangeGuard } from "../../registry/change_limit.ts";
import type { ClusterEvent } from "../../registry/feed.ts";
import type { RegistryHost } from "../../registry/host.ts";
import {
  DOUBT_INTERVAL_MS,
  HEARTBEAT_INTERVAL_MS,
} from "../../registry/liveness.ts";
import type { JoinRequest } from "../../registry/plan/join_plan.ts";
import { digestKeys, type ProbeKey } from "../../probe/seal.ts";
import { callerOf } from "../access/call_context.ts";
import {
  allocationMessage,
  networkMessage,
  routeMessage,
  subnetMessage,
} from "../messages/addresses.ts";
import { digestReport } from "../../cluster/reports.ts";
import { decodeReport } from "../messages/cluster.ts";
import { blaming, parseField, parseOptional } from "../messages/fields.ts";
import {
  encodedWatchMessage,
  watchMessage,
  type WatchPart,
  watchParts,
} from "../messages/nodes.ts";
import {
  networksPage,
  nodesPage,
  routesPage,
  subnetsPage,
} from "./registry_lists.ts";

/** Default interval of progress messages to a watcher while nothing changes, in ms. */
const PROGRESS_MS = 10_000;

/** Most addresses of one family that a node advertises: one for each uplink. */
const MAX_UPLINKS = 4;

/** Allocations in a page of a handover. */
const HANDOVER_PAGE = 1000;

/**
 * The native service of networks, nodes, subnets and extra routes, as the
 * registry's host answers it.
 *
 * @param host throws `unavailable` while the registry's store is unreachable
 */
export function createRegistry(
  host: () => RegistryHost,
  { self, reports, events, probeKeys, progressMs = PROGRESS_MS }: {
    readonly self: string;
    readonly reports: Reports;
    readonly events: Pick<EventLog, "take">;
    /** The keys of probes, the latest last. Default: none. */
    readonly probeKeys?: () => readonly ProbeKey[];
    /** Interval of progress messages, for watchers that ask for them, while nothing changes, in ms. */
    readonly progressMs?: number;
  },
): ServiceImpl<typeof RegistryService> {
  /** The listing of some subnets, in the order given. */
  const describe = async (subnets: readonly Prefix[]) => {
    const lines = new Map(
      (await host().registry.subnets()).map((l) => [formatPrefix(l.subnet), l]),
    );
    return subnets.map((s) => subnetMessage(lines.get(formatPrefix(s))!));
  };
  return {
    listNetworks: (request) => ({
      ...networksPage(host().cluster.networks, request),
      clusterId: host().cluster.clusterId,
    }),

    async claimSubnets(request, context) {
      const node = parseOptional("node", request.node, parseNodeName) ?? self;
      const isDryRun = request.validateOnly;
      const guard = guardOf(host(), context);
      const subnets = await host().registry.claim(node, { isDryRun, guard });
      return {
        subnets: isDryRun
          ? subnets.map((subnet) =>
            subnetMessage({
              ...{ subnet, state: "owned", node, reason: "" },
              sinceMs: undefined,
            })
          )
          : await describe(subnets),
      };
    },

    async releaseSubnets(request) {
      const node = parseField("node", request.node, parseNodeName);
      const isDryRun = request.validateOnly;
      const options = { isDryRun };
      return {
        subnets: await describe(
          await host().pools.release(node, undefined, options),
        ),
      };
    },

    async join(request, context) {
      const node = parseField("node", request.node, parseNodeName);
      const instanceId = parseField(
        "instance_id",
        request.instanceId,
        parseId,
      );
      // Before its addresses: the certificate of a copy is for others.
      await host().nodes.checkInstance({ node, instanceId });
      const { subnets, hasHandover } = await host().pools.join(
        { node, instanceId, ...parseJoin(request, context) },
        { guard: guardOf(host(), context) },
      );
      return {
        clusterId: host().cluster.clusterId,
        networks: host().cluster.networks.map(networkMessage),
        subnets: subnets.map(formatPrefix),
        handover: hasHandover,
        settling: host().restoreGrace.wantsReports,
        marker: host().nodes.markerOf(node),
      };
    },

    async reportOwners(request, context) {
      await host().acceptOwnerReport(
        {
          node: parseField("node", request.node, parseNodeName),
          instanceId: parseField("instance_id", request.instanceId, parseId),
        },
        request.owners.map(({ node, cidr }) => ({
          node: parseField("owners.node", node, parseNodeName),
          subnet: parseField("owners.cidr", cidr, parsePrefix),
        })),
        { guard: guardOf(host(), context) },
      );
      return {};
    },

    async getHandover(request) {
      const node = parseField("node", request.node, parseNodeName);
      const allocations = await host().pools.handover({
        node,
        instanceId: parseField("instance_id", request.instanceId, parseId),
      }, {
        behind: parseOptional("page_token", request.pageToken, parseAddress),
        limit: HANDOVER_PAGE + 1,
      });
      const page = allocations.slice(0, HANDOVER_PAGE);
      return {
        allocations: page.map((a) => allocationMessage(node, a)),
        nextPageToken: allocations.length > HANDOVER_PAGE
          ? formatAddress(page.at(-1)!.addresses[0]!.address)
          : "",
      };
    },

    async finishHandover(request) {
      await host().pools.finishHandover({
        node: parseField("node", request.node, parseNodeName),
        instanceId: parseField("instance_id", request.instanceId, parseId),
      });
      return {};
    },

    async heartbeat(request) {
      const node = parseField("node", request.node, parseNodeName);
      const { subnets, isLate } = await host().nodes.heartbeat(
        node,
        parseField("instance_id", request.instanceId, parseId),
        parseOptional("process_id", request.processId, parseId),
        request.marker,
      );
      const hasReport = isLate
        ? false
        : request.report.length > 0
        ? reports.receive(
          node,
          acceptReport(decodeReport(request.report), subnets),
          digestReport(request.report),
        )
        : reports.confirm(node, request.reportDigest);
      const keys = probeKeys?.() ?? [];
      const isKnown = digestKeys(keys) === request.probeKeysDigest;
      const taken = request.events.length === 0 ? 0 : await events.take(
        node,
        request.events.map((event) => ({
          ...event,
          number: Number(event.number),
          atMs: event.at ? timestampMs(event.at) : 0,
        })),
      );
      return {
        probeKeys: isKnown ? [] : [...keys],
        intervalMs: isLate ? DOUBT_INTERVAL_MS : HEARTBEAT_INTERVAL_MS,
        marker: host().nodes.markerOf(node),
        time: timestampFromMs(Date.now()),
        wantsReport: !hasReport,
        eventsNumber: BigInt(taken),
      };
    },

    async *watch(request, context) {
      const events = host().nodes.watch(context.signal);
      const cut = request.parts ? watchParts : whole;
      if (request.progress) {
        yield* withProgress(events, { progressMs, cut });
        return;
      }
      // Bytes are encoded once for all watchers, JSON for each.
      const isJson = /json/.test(
        context.requestHeader.get("content-type") ?? "",
      );
      for await (const event of events) {
        for (const part of cut(event)) {
          yield isJson ? watchMessage(part) : encodedWatchMessage(part);
        }
      }
    },

    async listNodes(request) {
      return nodesPage(await host().nodes.list(), request);
    },

    async removeNode(request) {
      const subnets = await host().pools.remove({
        node: parseField("node", request.node, parseNodeName),
        instanceId: parseOptional("instance_id", request.instanceId, parseId) ??
          "",
        force: request.force,
      }, { isDryRun: request.validateOnly });
      return { subnets: subnets.map(formatPrefix) };
    },

    async listSubnets(request) {
      return subnetsPage(await host().registry.subnets(), request);
    },

    async reserveSubnet(request) {
      const subnet = await blaming(
        "cidr",
        host().registry.reserve({
          subnet: parseField("cidr", request.cidr, parsePrefix),
          node: parseOptional("node", request.node, parseNodeName) ?? "",
          reason: parseOptional("reason", request.reason, parseText) ?? "",
        }, { isDryRun: request.validateOnly }),
      );
      return { subnet: subnetMessage(subnet) };
    },

    async unreserveSubnet(request) {
      await host().registry.unreserve(
        parseField("cidr", request.cidr, parsePrefix),
        { isDryRun: request.validateOnly },
      );
      return {};
    },

    async listRoutes(request) {
      return routesPage(await host().registry.routes(), request);
    },

    async addRoute(request) {
      const destination = parseField("cidr", request.cidr, parsePrefix);
      const target = parseField("target", request.target, parseAddress);
      return {
        route: routeMessage(
          await blaming(
            "cidr",
            host().registry.addRoute({ destination, target }, {
              isDryRun: request.validateOnly,
            }),
          ),
        ),
      };
    },

    async deleteRoute(request) {
      const deleted = await host().registry.deleteRoute({
        destination: parseField("cidr", request.cidr, parsePrefix),
        target: parseOptional("target", request.target, parseAddress),
      }, { isDryRun: request.validateOnly });
      return { deleted };
    },
  };
}

/** The guard of a call that changes the cluster; undefined for callers other than nodes, who have no limit. */
export function guardOf(
  { changeLimit }: Pick<RegistryHost, "changeLimit">,
  context: HandlerContext,
): ChangeGuard | undefined {
  const caller = callerOf(context);
  return caller.kind === "member" && caller.identity.role === "node"
    ? changeLimit.guard(caller.identity.name)
    : undefined;
}

/** An event for a watcher that knows no parts. */
function whole(event: ClusterEvent): readonly WatchPart[] {
  return [event];
}

/** The messages of a watch that also say up to when they know the cluster, with or without a change. */
async function* withProgress(
  events: AsyncIterable<ClusterEvent>,
  { progressMs, cut }: {
    readonly progressMs: number;
    readonly cut: (event: ClusterEvent) => readonly WatchPart[];
  },
): AsyncGenerator<MessageInitShape<typeof WatchResponseSchema>> {
  const iterator = events[Symbol.asyncIterator]();
  let next = iterator.next();
  let revision = 0n;
  try {
    for (;;) {
      let timer: ReturnType<typeof setTimeout> | undefined;
      const tick = new Promise<"tick">((resolve) => {
        timer = setTimeout(() => resolve("tick"), progressMs);
      });
      const got = await Promise.race([next, tick]);
      clearTimeout(timer);
      const asOf = timestampFromMs(Date.now());
      if (got === "tick") {
        yield { revision, asOf };
        continue;
      }
      if (got.done) return;
      revision = BigInt(got.value.revision);
      for (const part of cut(got.value)) {
        yield { ...watchMessage(part), ...!part.hasMore && { asOf } };
      }
      next = iterator.next();
    }
  } finally {
    // Its end waits for the event under way, which the signal ends.
    void iterator.return?.();
  }
}

/**
 * Parses the request of a node to join, apart from its name and instance id.
 *
 * @throws {NetError} `invalid_argument`, and as {@linkcode checkOwn}
 */
function parseJoin(
  request: JoinMessage,
  context: HandlerContext,
): Omit<JoinRequest, "node" | "instanceId"> {
  return {
    advertised: checkOwn(parseAdvertised(request.advertised), context),
    apiUrl: parseOptional(
      "api_url",
      request.apiUrl,
      (text) => parseReached(text, context),
    ) ?? "",
    localPrefixes: request.localPrefixes.map(({ cidr, device }) => ({
      prefix: parseField("local_prefixes.cidr", cidr, parsePrefix),
      device: parseOptional("local_prefixes.device", device, parseText) ??
        "",
    })),
    heldSubnets: request.heldSubnets.map((text) =>
      parseField("held_subnets", text, parsePrefix)
    ),
    clusterId: parseOptional("cluster_id", request.clusterId, parseId) ??
      "",
    marker: request.marker,
    processId: parseOptional("process_id", request.processId, parseId) ??
      "",
    revision: Number(request.revision),
  };
}

/** Parses the URL at which other hosts call a node's agent. A node that joined
 * over TLS may not make them speak plain text.
 */
function parseReached(text: string, context: HandlerContext): string {
  const url = parseApiUrl(text);
  const isMember = callerOf(context).kind === "member";
  if (!isMember || url.startsWith("https:")) return url;
  throw new RangeError(
    `${
      quote(text)
    } is plain text, and this node joined over TLS: write "https://"`,
  );
}

/**
 * Returns addresses if a node's certificate is for all of them: a node that
 * advertises others could keep those from getting certificates. A certificate of
 * an operator's own authority may name fewer.
 *
 * @throws {NetError} `unavailable` if not: a node renews its certificate as soon
 * as its addresses have changed, and joins again
 */
function checkOwn(
  addresses: readonly Address[],
  context: HandlerContext,
): readonly Address[] {
  const caller = callerOf(context);
  if (caller.kind !== "member") return addresses;
  const { role, generation, name, addresses: certified } = caller.identity;
  if (role !== "node" || generation === 0) return addresses;
  const own = new Set(certified.map(formatAddress));
  const other = addresses.map(formatAddress).find((text) => !own.has(text));
  if (other === undefined) return addresses;
  throw new NetError(
    "unavailable",
    `Cannot let node ${
      quote(name)
    } advertise ${other}: its certificate is not for that address; it renews the certificate by itself and tries again`,
  );
}

/** The addresses that a node advertises. */
function parseAdvertised(texts: readonly string[]): Address[] {
  const addresses = texts.map((text) =>
    parseField("advertised", text, parseNextHop)
  );
  for (const family of [4, 6]) {
    const count = addresses.filter((a) => a.family === family).length;
    if (count <= MAX_UPLINKS) continue;
    throw new NetError(
      "invalid_argument",
      `advertised: ${count} addresses of IPv${family}, more than one for each of ${MAX_UPLINKS} uplinks`,
    );
  }
  return [...new Map(addresses.map((a) => [formatAddress(a), a])).values()];
}

function parseNextHop(text: string): Address {
  const address = parseAddress(text);
  const block = nextHopBlock(address);
  if (!block) return address;
  throw new RangeError(
    `"${text}" cannot be advertised: it is in ${
      formatPrefix(block.prefix)
    } (${block.name})`,
  );
}
