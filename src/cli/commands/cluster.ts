import { parseText } from "../../base/names.ts";
import type { Call, CommandSpec } from "../framework/call.ts";
import type { GetOverviewResponse } from "../framework/client.ts";
import type { Operand } from "../framework/flag.ts";
import { readPages } from "../framework/list.ts";
import { CLIENT_FLAGS, JSON_OUTPUT } from "../framework/target.ts";
import {
  escapeText,
  formatAge,
  formatColumns,
  formatFull,
  formatTable,
  formatUtc,
} from "../framework/text.ts";
import { type View, viewOf } from "../framework/view.ts";
import { WATCH, watchScreen } from "../framework/watch.ts";
import { formatRoutes, formatUsed } from "./host_report.ts";

type Overview = Omit<View<GetOverviewResponse>, "nextPageToken">;
type Host = Overview["hosts"][number];

/** Age from which a report is marked, in ms. */
const STALE_MS = 30_000;

export const CLUSTER: CommandSpec = {
  name: "cluster",
  summary: "Show the whole cluster: problems, networks and hosts",
  action: "show the cluster",
  flags: [WATCH, ...CLIENT_FLAGS],
  examples: [
    "stellar-net cluster",
    "stellar-net cluster --watch",
    "stellar-net cluster --json",
  ],
  run: async (call) => {
    if (!call.value(WATCH)) {
      const overview = await readOverview(call);
      return call.answer({ ...overview }, formatOverview(overview));
    }
    await watchScreen(call, call.value(JSON_OUTPUT) ?? false, async () => {
      const overview = await readOverview(call);
      const text = formatOverview(overview)
        .map((line) => `${escapeText(line)}\n`).join("");
      return { body: { ...overview }, text, notes: [] };
    });
  },
};

async function readOverview(call: Call): Promise<Overview> {
  const { cluster } = call.clients();
  let first: Overview | undefined;
  const hosts = await readPages(async (pageToken) => {
    const { nextPageToken, ...page } = viewOf(
      await cluster.getOverview({ pageToken }),
    );
    first ??= page;
    return [page.hosts, nextPageToken];
  });
  return { ...first!, hosts };
}

function formatOverview(overview: Overview): string[] {
  const { verdict, problems, networks, hosts } = overview;
  const nowMs = Date.parse(overview.now ?? "");
  return [
    verdict,
    ...problems.length > 0 ? [""] : [],
    ...problems.flatMap(({ node, severity, text, fix }) => [
      `${severity === "error" ? "Error" : "Warning"}: ${node}: ${text}`,
      ...fix === null ? [] : [`  Fix: ${fix}`],
    ]),
    "",
    ...formatNetworks(networks, nowMs),
    "",
    ...formatTable(
      [
        "HOST",
        "STATE",
        "USED",
        "FULL",
        "ROUTES",
        "PROBLEMS",
        "VERSION",
        "REPORT",
      ],
      hosts.map((host) => hostRow(host, nowMs)),
    ),
  ];
}

function formatNetworks(
  networks: Overview["networks"],
  nowMs: number,
): string[] {
  const isForecast = networks.some(({ growthPerDay, fastestNode }) =>
    growthPerDay !== null || fastestNode !== null
  );
  const columns = ["NETWORK", "SUBNETS OWNED", "BLOCKED", "OF", "HELD"]
    .concat("CAPACITY", ...isForecast ? ["FULL", "GROWS MOST"] : []);
  return formatTable(
    columns,
    networks.map((use) => {
      const { network, owned, blocked, subnets, held, capacity } = use;
      return [
        network?.cidr ?? "",
        ...[owned, blocked, subnets, held, capacity].map(String),
        ...isForecast
          ? [formatFull(use.fullAt, nowMs), formatFastest(use)]
          : [],
      ];
    }),
  );
}

function formatFastest(
  { fastestNode, fastestPerDay }: Overview["networks"][number],
): string {
  return fastestNode === null
    ? ""
    : `${fastestNode}, ${fastestPerDay.toFixed(1)} a day`;
}

function hostRow({ node, report, reportedAt }: Host, nowMs: number): string[] {
  return [
    node?.name ?? "",
    node?.state ?? "",
    ...report
      ? [
        formatUsed(report),
        formatFull(firstFull(report), nowMs),
        formatRoutes(report),
        String(report.problems.length),
        report.version,
        formatReportAge(reportedAt, nowMs),
      ]
      : ["", "", "", "", "", "none"],
  ];
}

/** A report that no heartbeat has confirmed for long describes the past. */
function formatReportAge(reportedAt: string | null, nowMs: number): string {
  const age = formatAge(reportedAt, nowMs);
  const isStale = reportedAt !== null &&
    nowMs - Date.parse(reportedAt) > STALE_MS;
  return isStale ? `${age} (stale)` : age;
}

/** The time at which the first subnet of a host will be full; null without a forecast. */
function firstFull({ subnets }: NonNullable<Host["report"]>): string | null {
  return subnets.flatMap(({ fullAt }) => fullAt ?? []).sort()[0] ?? null;
}

const WHAT: Operand<string> = {
  name: "WHAT",
  description:
    "an address, a prefix, a container id, a node name or a MAC address",
  parse: parseText,
};

export const FIND: CommandSpec = {
  name: "find",
  summary: "Find an address, a prefix, a container or a node on all hosts",
  action: "find it",
  operands: [WHAT],
  flags: CLIENT_FLAGS,
  examples: [
    "stellar-net find 172.16.4.9",
    "stellar-net find web-1",
    "stellar-net find 172.16.4.0/22 --json",
    "stellar-net find 0a:58:ac:10:04:09",
  ],
  run: async (call) => {
    const what = call.operand(WHAT);
    const response = await call.clients().cluster.find({ what });
    const { found, silentNodes } = viewOf(response);
    const lines = formatColumns(found.map(({ since, until, text }) => [
      since === null ? "" : `since ${formatUtc(since)}`,
      until === null ? "" : `until ${formatUtc(until)}`,
      text,
    ]));
    call.answer({ found, silentNodes }, lines);
    if (found.length === 0) call.note(`Nothing is known of ${what}`);
    if (silentNodes.length > 0) {
      call.note(
        `Matches may be missing: ${silentNodes.join(", ")} did not answer`,
      );
    }
    return found.length === 0 ? 1 : 0;
  },
};
