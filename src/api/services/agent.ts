import type { ReportSource } from "../../cluster/report_source.ts";
import { pathsMessage, problemMessage } from "../messages/cluster.ts";
import {
  StringValueSchema,
  timestampFromMs,
  timestampMs,
} from "@bufbuild/protobuf/wkt";
import type { ServiceImpl } from "@connectrpc/connect";
import type { Agent } from "../../agent/agent.ts";
import type { AuditRecord } from "../../audit/audit.ts";
import type { AuditQuery } from "../../audit/audit_store.ts";
import type { AgentSecurity } from "../../config/config.ts";
import type { Doctor } from "../../doctor/doctor.ts";
import type { Stations } from "../../station/stations.ts";
import { SCHEMA_VERSION } from "../../state/schema.ts";
import { type BackupEntry, writeBackup } from "../../backup/format/format.ts";
import { NetError } from "../../base/error.ts";
import { formatCheck } from "../../host/checks/check.ts";
import type { HostController } from "../../host/controller.ts";
import {
  type AgentService,
  AuditRecordSchema,
  HostRouteSchema,
  Security,
} from "../../gen/stellar/net/v1/agent_pb.ts";
import { parseNodeName, parseText } from "../../base/names.ts";
import { formatAddress } from "../../net/address.ts";
import { formatPrefix } from "../../net/prefix.ts";
import { networkMessage, usageMessage } from "../messages/addresses.ts";
import {
  checkMessage,
  hostRouteCommands,
  hostRouteKey,
  hostRouteMessage,
  hostRoutesMessage,
  linkMessage,
  routeCountsMessage,
} from "../messages/host.ts";
import { callerOf, describeCaller } from "../access/call_context.ts";
import { parseField, parseOptional } from "../messages/fields.ts";
import {
  cutPage,
  cutTimePage,
  MAX_PAGE_BYTES,
  parseTimePage,
} from "../messages/pages.ts";
import type { Peers } from "../client/peers.ts";
import type { ClusterParts } from "./cluster_overview.ts";
import { OpenCalls } from "../limits/open_calls.ts";
import { examineAll } from "./examine_all.ts";
import { contactWait } from "./first_contact.ts";
import { choosePeers, holdStation, testPaths } from "./path_tests.ts";

/** The facts of the process around an agent. */
export interface ProcessInfo {
  readonly version: string;
  /** Where it listens: paths of sockets, and addresses with ports. */
  readonly listeners: () => readonly string[];
  /** Warnings for the operator. */
  readonly warnings: () => readonly string[];
  /** How it and others authenticate each other, and when its own certificate expires. */
  readonly security: () => {
    readonly kind: AgentSecurity["kind"];
    /** In ms since 1970; undefined without a certificate. */
    readonly endsAtMs: number | undefined;
  };
  /** Everything in the agent's own store, at one moment. */
  readonly readState: () => AsyncIterable<BackupEntry>;
  /** The last lines of the log, the oldest first. */
  readonly recentLog: () => readonly string[];
  /** The audit, the latest record first. */
  readonly listAudit: (query: AuditQuery) => Promise<AuditRecord[]>;
  /** The time in ms since 1970. */
  readonly now: () => number;
}

/** Paths that are examined for one caller at once: each takes several programs. */
const MAX_PATH_CHECKS = 16;
/** Examinations of all hosts that one caller has open at once: each is work for every host. */
const MAX_EXAMINATIONS = 16;
/** Tests of paths that one caller has open at once. */
const MAX_TESTS = 2;
/** Stations that one caller holds at once: others need some, too. */
const MAX_HELD = 4;

/** The native service about an agent and its host. */
export function createAgent(
  { agent, controller, doctor, stations, process, cluster, peers }: {
    readonly agent: Agent;
    readonly peers: Pick<Peers, "at">;
    readonly controller: HostController;
    readonly doctor: Doctor;
    readonly stations: Pick<Stations, "open">;
    readonly process: ProcessInfo;
    /** The host's problems. */
    readonly cluster: Pick<ClusterParts, "paths"> & {
      readonly source: Pick<ReportSource, "problems" | "forecastsOf">;
    };
  },
): ServiceImpl<typeof AgentService> {
  const pathChecks = new OpenCalls({
    most: MAX_PATH_CHECKS,
    action: "examine a path",
  });
  const connect = (url: string) => peers.at(url);
  const tests = new OpenCalls({ most: MAX_TESTS, action: "test paths" });
  const held = new OpenCalls({ most: MAX_HELD, action: "hold a station" });
  const examinations = new OpenCalls({
    most: MAX_EXAMINATIONS,
    action: "examine all hosts",
  });
  return {
    async getStatus() {
      const status = await agent.status();
      const forecasts = cluster.source.forecastsOf(status);
      const { peers } = status;
      return {
        node: status.node,
        instanceId: status.instanceId,
        version: process.version,
        startedAt: timestampFromMs(status.startedAtMs),
        clusterId: status.cluster?.clusterId ?? "",
        networks: (status.cluster?.networks ?? []).map(networkMessage),
        subnets: status.usage.map((usage) =>
          usageMessage(usage, forecasts.get(formatPrefix(usage.subnet)))
        ),
        nodes: status.nodes,
        routes: status.routes,
        store: status.store,
        listeners: [...process.listeners()],
        warnings: [
          ...process.warnings(),
          ...controller.warnings,
          ...controller.faults.map(formatCheck),
          ...agent.warnings,
        ],
        notes: [...controller.notes],
        queued: status.queued,
        leaked: status.leaked,
        registry: linkMessage(status.link, status.revision),
        peers: {
          ready: peers.ready,
          unreachable: peers.unreachable,
          noAgent: peers["no agent"],
        },
        hostRoutes: routeCountsMessage(controller.routes),
        advertised: controller.advertised.map(formatAddress),
        now: timestampFromMs(process.now()),
        problems: (await cluster.source.problems()).map(problemMessage),
        ...securityMessage(process.security()),
        ...pathsMessage(cluster.paths?.()),
      };
    },

    async listHostRoutes(request) {
      const node = parseOptional("node", request.node, parseNodeName) ??
        agent.node;
      // A call about a node without an agent ends at the registry's host.
      if (node !== agent.node) throw refuseHost(agent, node);
      const report = await controller.reconcileRoutes();
      const { page, ...rest } = cutPage(report.routes, request, {
        schema: HostRouteSchema,
        message: hostRouteMessage,
        keyOf: hostRouteKey,
        maxBytes: MAX_PAGE_BYTES / 2,
      });
      const isFirst = request.pageToken === "";
      return {
        ...hostRoutesMessage(report),
        node,
        routes: page,
        commands: isFirst ? hostRouteCommands(report) : [],
        ...rest,
      };
    },

    async examine(request, context) {
      const peer = parseOptional("peer", request.peer, parseNodeName);
      const examine = () => doctor.examine(peer, contactWait(context));
      // Examinations without a peer share one; those of peers do not.
      const checks = peer === undefined
        ? await examine()
        : await pathChecks.run(describeCaller(callerOf(context)), examine);
      return { checks: checks.map(checkMessage) };
    },

    async *examineAll(_, context) {
      const nodes = await agent.requireHost().nodes.list();
      const { signal } = context;
      const wait = contactWait(context);
      yield* examinations.count(
        describeCaller(callerOf(context)),
        () =>
          examineAll({
            ...{ self: agent.node, doctor, peers, nodes, wait, signal },
          }),
      );
    },

    async *testPaths(request, context) {
      const peers = request.peers.map((name, i) =>
        parseField(`peers[${i}]`, name, parseNodeName)
      );
      await agent.member.contacted(contactWait(context));
      const { nodes } = await agent.member.current();
      const chosen = choosePeers(nodes, { self: agent.node, peers });
      const { signal } = context;
      yield* tests.count(
        describeCaller(callerOf(context)),
        () => testPaths(chosen, { stations, connect, signal }),
      );
    },

    async *holdStation(_, context) {
      yield* held.count(
        describeCaller(callerOf(context)),
        () => holdStation(stations, context.signal),
      );
    },

    async leave({ force, validateOnly }) {
      const subnets = await agent.leave({ force, isDryRun: validateOnly });
      return { subnets: subnets.map(formatPrefix) };
    },

    async *backup() {
      const header = {
        schema: SCHEMA_VERSION,
        program: process.version,
        cluster: agent.member.cluster?.clusterId ?? "",
        node: agent.node,
        instance: agent.instanceId,
        takenAt: new Date(process.now()).toISOString(),
      };
      for await (const data of writeBackup(header, process.readState())) {
        yield { data };
      }
    },

    listLog(request) {
      const lines = [...process.recentLog()].map((value) => ({ value }));
      const { page, ...rest } = cutPage(lines, request, {
        schema: StringValueSchema,
        message: (line) => line,
        // The time that a line begins with.
        keyOf: ({ value }) => encodeURIComponent(value.slice(0, 64)),
      });
      return { lines: page.map(({ value = "" }) => value), ...rest };
    },

    async listAudit(request) {
      const page = parseTimePage(request);
      const records = await process.listAudit({
        limit: page.limit,
        untilMs: page.untilMs,
        sinceMs: request.since && timestampMs(request.since),
        caller: parseOptional("caller", request.caller, parseText) ?? "",
        call: parseOptional("call", request.call, parseText) ?? "",
        hasFailed: request.failed,
      });
      const cut = cutTimePage(records, page, {
        schema: AuditRecordSchema,
        message: ({ atMs, ...record }) => ({
          at: timestampFromMs(atMs),
          ...record,
        }),
        timeOf: ({ atMs }) => atMs,
      });
      return { records: [...cut.page], nextPageToken: cut.nextPageToken };
    },
  };
}

function refuseHost({ member }: Agent, node: string): NetError {
  const action = `Cannot list the routes of node "${node}"`;
  return member.view.nodes.has(node)
    ? new NetError("failed_precondition", `${action}: it runs no agent`)
    : new NetError("not_found", `${action}: there is no such node`);
}

const SECURITIES: Readonly<Record<AgentSecurity["kind"], Security>> = {
  cluster: Security.CLUSTER,
  given: Security.GIVEN,
  none: Security.NONE,
};

function securityMessage(
  { kind, endsAtMs }: ReturnType<ProcessInfo["security"]>,
) {
  return {
    security: SECURITIES[kind],
    ...endsAtMs !== undefined &&
      { certificateUntil: timestampFromMs(endsAtMs) },
  };
}
