import {
  create,
  fromBinary,
  type MessageInitShape,
  toBinary,
} from "@bufbuild/protobuf";
import { timestampFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import { NetError } from "../../base/error.ts";
import type { StoredEvent } from "../../cluster/event_log.ts";
import { countPaths, type PathView } from "../../probe/plan/verdict.ts";
import type { GetStatusResponseSchema } from "../../gen/stellar/net/v1/agent_pb.ts";
import {
  MAX_REPORT_BYTES,
  type ProbeSummary,
  type Problem,
  type Report,
} from "../../cluster/plan/report.ts";
import {
  type EventSchema,
  type ProbeSummary as ProbeSummaryMessage,
  type ProblemSchema,
  type Report as ReportMessage,
  ReportSchema,
  Severity,
} from "../../gen/stellar/net/v1/cluster_pb.ts";

export function reportMessage(
  report: Report,
): MessageInitShape<typeof ReportSchema> {
  return {
    version: report.version,
    startedAt: timestampFromMs(report.startedAtMs),
    bootId: report.bootId,
    subnets: report.subnets.map((subnet) => ({
      cidr: subnet.cidr,
      capacity: subnet.capacity,
      held: BigInt(subnet.held),
      cooling: BigInt(subnet.cooling),
      ...subnet.perDay !== undefined && { growthPerDay: subnet.perDay },
      ...subnet.fullAtMs !== undefined &&
        { fullAt: timestampFromMs(subnet.fullAtMs) },
    })),
    leaked: report.leaked,
    queued: report.queued,
    routesWanted: report.routes.wanted,
    routesInstalled: report.routes.installed,
    routesConflicting: report.routes.conflicts,
    routesUnresolved: report.routes.unresolved,
    problems: report.problems.map(problemMessage),
    ...report.probes && { probes: report.probes },
  };
}

export function problemMessage(
  problem: Problem & { readonly node?: string },
): MessageInitShape<typeof ProblemSchema> {
  const { severity, ...texts } = problem;
  return {
    ...texts,
    severity: severity === "error" ? Severity.ERROR : Severity.WARNING,
  };
}

export function eventMessage(
  { atMs, ...texts }: StoredEvent,
): MessageInitShape<typeof EventSchema> {
  return { at: timestampFromMs(atMs), ...texts };
}

/** The encoded form of a report, for a heartbeat. */
export function encodeReport(report: Report): Uint8Array<ArrayBuffer> {
  return toBinary(ReportSchema, create(ReportSchema, reportMessage(report)));
}

/**
 * Reads the encoded report of a heartbeat.
 *
 * @throws {NetError} `invalid_argument` if it is too large or damaged
 */
export function decodeReport(bytes: Uint8Array): Report {
  if (bytes.length > MAX_REPORT_BYTES) {
    throw new NetError(
      "invalid_argument",
      `Invalid field "report": it has ${bytes.length} bytes, more than ${MAX_REPORT_BYTES}`,
    );
  }
  try {
    return readReport(fromBinary(ReportSchema, bytes));
  } catch (cause) {
    throw new NetError(
      "invalid_argument",
      'Invalid field "report": it is no encoded Report',
      { cause },
    );
  }
}

/** The paths as a status shows them; nothing without probes. */
export function pathsMessage(
  paths: readonly PathView[] | undefined,
): Pick<MessageInitShape<typeof GetStatusResponseSchema>, "probes" | "paths"> {
  return paths === undefined ? {} : {
    probes: countPaths(paths),
    paths: paths.filter(({ isNeighbour }) => isNeighbour).map((path) => ({
      peer: path.peer,
      state: path.state,
      since: timestampFromMs(path.sinceMs),
      ...path.rttMs !== undefined && { rttSeconds: path.rttMs / 1000 },
      lossOut: path.loss.out,
      lossIn: path.loss.in,
      mtuBytes: path.narrowBytes ?? path.fullBytes,
    })),
  };
}

function readProbes(message: ProbeSummaryMessage): ProbeSummary {
  const { alive, lossy, narrow, dead, unanswered, unmeasured } = message;
  return { alive, lossy, narrow, dead, unanswered, unmeasured };
}

export function readReport(message: ReportMessage): Report {
  return {
    version: message.version,
    startedAtMs: message.startedAt ? timestampMs(message.startedAt) : 0,
    bootId: message.bootId,
    subnets: message.subnets.map((subnet) => ({
      cidr: subnet.cidr,
      capacity: subnet.capacity,
      held: Number(subnet.held),
      cooling: Number(subnet.cooling),
      perDay: subnet.growthPerDay,
      fullAtMs: subnet.fullAt && timestampMs(subnet.fullAt),
    })),
    leaked: message.leaked,
    queued: message.queued,
    routes: {
      wanted: message.routesWanted,
      installed: message.routesInstalled,
      conflicts: message.routesConflicting,
      unresolved: message.routesUnresolved,
    },
    ...message.probes && { probes: readProbes(message.probes) },
    problems: message.problems.map((
      { code, severity, text, fix, subject },
    ) => ({
      ...{ code, text, fix },
      ...subject !== "" && { subject },
      severity: severity === Severity.ERROR ? "error" : "warning",
    })),
  };
}
