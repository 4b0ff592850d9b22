import { formatPrefix, type Prefix } from "../../net/prefix.ts";
import type { Problem, Report, SubnetUse } from "./report.ts";

/** What an event is about. */
export type EventKind =
  | "joined"
  | "left"
  | "unreachable"
  | "back"
  | "fenced"
  | "removal"
  | "subnet claimed"
  | "subnet grown"
  | "subnet returned"
  | "subnet in conflict"
  | "route added"
  | "route deleted"
  | HostEventKind;

/** The kinds of events that a host records of itself. */
export const HOST_EVENT_KINDS = [
  "restarted",
  "upgraded",
  "filling up",
  "leaks released",
  "route in conflict",
  "route unresolved",
  "route repaired",
  "registry lost",
  "registry found",
  "certificate expiring",
  "certificate renewed",
  "path dead",
  "path lossy",
  "path narrow",
  "path alive",
  "problem",
  "solved",
] as const;

export type HostEventKind = typeof HOST_EVENT_KINDS[number];

/** Something that happened to the cluster. */
export interface ClusterHappening<Kind extends EventKind = EventKind> {
  readonly kind: Kind;
  /** The host that it happened to; empty for the cluster as a whole. */
  readonly node: string;
  /** What it is about: a prefix, a problem's code, or the node again. */
  readonly subject: string;
  /** One sentence. */
  readonly text: string;
}

/** Something that a host records of itself. */
export type HostHappening = ClusterHappening<HostEventKind>;

/** A node as an observer of the registry sees it. */
export interface ObservedNode {
  readonly name: string;
  readonly subnets: readonly Prefix[];
  readonly state: "ready" | "unreachable" | "no agent";
  /** Why the registry refuses the host that has the name now; absent: it does not. */
  readonly problem?: string;
}

/** A subnet that a node owns although a host uses a part of it itself. */
export interface ObservedConflict {
  /** The owner. */
  readonly node: string;
  readonly reason: string;
}

/** An extra route as an observer of the registry sees it. */
export interface ObservedRoute {
  /** In canonical form. */
  readonly destination: string;
  readonly target: string;
}

/** The nodes and extra routes at one moment. */
export interface Observation {
  readonly nodes: ReadonlyMap<string, ObservedNode>;
  readonly routes: ReadonlyMap<string, ObservedRoute>;
  /** By subnet in canonical form. */
  readonly conflicts: ReadonlyMap<string, ObservedConflict>;
}

/** Shares of a subnet that are reported once when they are reached. */
const FILL_LEVELS: readonly number[] = [0.8, 0.9, 1];

/** What happened between two observations of the registry. */
export function diffObservations(
  before: Observation,
  after: Observation,
): ClusterHappening[] {
  const nodes = [...new Set([...before.nodes.keys(), ...after.nodes.keys()])]
    .sort()
    .flatMap((name) => diffNode(before.nodes.get(name), after.nodes.get(name)));
  return [
    ...nodes,
    ...diffRoutes(before.routes, after.routes),
    ...[...after.conflicts].flatMap(([subject, { node, reason }]) =>
      before.conflicts.has(subject) ? [] : [{
        ...{ kind: "subnet in conflict" as const, node, subject },
        text: `${subject} of ${node} is in use by a host itself: ${reason}`,
      }]
    ),
  ];
}

function diffNode(
  before: ObservedNode | undefined,
  after: ObservedNode | undefined,
): ClusterHappening[] {
  const node = (after ?? before)!.name;
  const of = (kind: EventKind, text: string, subject = node) => ({
    ...{ kind, node, subject, text },
  });
  const had = new Set((before?.subnets ?? []).map(formatPrefix));
  const has = new Set((after?.subnets ?? []).map(formatPrefix));
  const isGrowth = (cidr: string) =>
    [...had].some((held) => has.has(held) && isSameFamily(held, cidr));
  const subnets = [
    ...[...has].filter((cidr) => !had.has(cidr)).map((cidr) =>
      isGrowth(cidr)
        ? of("subnet grown", `${node} also has the subnet ${cidr}`, cidr)
        : of("subnet claimed", `${node} has the subnet ${cidr}`, cidr)
    ),
    ...[...had].filter((cidr) => !has.has(cidr)).map((cidr) =>
      of("subnet returned", `${node} no longer has the subnet ${cidr}`, cidr)
    ),
  ];
  if (!after) return [...subnets, of("left", `${node} has left the cluster`)];
  if (!before) {
    return [of("joined", `${node} has joined the cluster`), ...subnets];
  }
  if (after.problem !== undefined && before.problem === undefined) {
    subnets.push(of("fenced", `${node} is refused: ${after.problem}`));
  }
  if (before.state === "ready" && after.state === "unreachable") {
    return [...subnets, of("unreachable", `${node} sends no heartbeats`)];
  }
  if (before.state === "unreachable" && after.state === "ready") {
    return [...subnets, of("back", `${node} sends heartbeats again`)];
  }
  return subnets;
}

function isSameFamily(a: string, b: string): boolean {
  return a.includes(":") === b.includes(":");
}

function diffRoutes(
  before: Observation["routes"],
  after: Observation["routes"],
): ClusterHappening[] {
  const events: ClusterHappening[] = [];
  for (const [subject, { target }] of before) {
    if (after.get(subject)?.target === target) continue;
    const text = `The route ${subject} via ${target} was deleted`;
    events.push({ kind: "route deleted", node: "", subject, text });
  }
  for (const [subject, { target }] of after) {
    if (before.get(subject)?.target === target) continue;
    const text = `The route ${subject} via ${target} was added`;
    events.push({ kind: "route added", node: "", subject, text });
  }
  return events;
}

/** The part of a host's report that events depend on. */
export interface SeenReport
  extends Pick<Report, "version" | "bootId" | "startedAtMs"> {
  readonly subnets: readonly Pick<SubnetUse, "cidr" | "held" | "capacity">[];
  readonly problems: readonly Pick<
    Problem,
    "code" | "text" | "subject"
  >[];
}

/** What happened on a host between two of its reports. */
export function diffReports(
  node: string,
  before: SeenReport | undefined,
  after: SeenReport,
): HostHappening[] {
  return [
    ...diffProcess(node, before, after),
    ...diffFill(node, before, after),
    ...diffProblems(node, before?.problems ?? [], after.problems),
  ];
}

function diffProcess(
  node: string,
  before: SeenReport | undefined,
  after: SeenReport,
): HostHappening[] {
  if (!before) return [];
  if (before.version !== after.version) {
    const text =
      `${node} runs version ${after.version} in place of ${before.version}`;
    return [{ kind: "upgraded", node, subject: after.version, text }];
  }
  if (before.bootId !== after.bootId) {
    const text = `The host ${node} was rebooted`;
    return [{ kind: "restarted", node, subject: "host", text }];
  }
  if (before.startedAtMs !== after.startedAtMs) {
    const text = `The agent of ${node} was restarted`;
    return [{ kind: "restarted", node, subject: "agent", text }];
  }
  return [];
}

function diffFill(
  node: string,
  before: SeenReport | undefined,
  after: SeenReport,
): HostHappening[] {
  return after.subnets.flatMap(({ cidr, held, capacity }) => {
    const then = before?.subnets.find((subnet) => subnet.cidr === cidr);
    const level = highestLevel(held, capacity);
    const reached = then ? highestLevel(then.held, then.capacity) : 0;
    if (level <= reached) return [];
    const text = `${cidr} of ${node} is ${level * 100} % full: ` +
      `${held} of ${capacity} addresses are held`;
    return [{ kind: "filling up" as const, node, subject: cidr, text }];
  });
}

function highestLevel(held: number, capacity: number): number {
  return FILL_LEVELS.findLast((level) => held >= level * capacity) ?? 0;
}

/** The kinds of events for problems that have their own. */
const PROBLEM_KINDS: Readonly<
  Record<string, readonly [begin: HostEventKind, end: HostEventKind]>
> = {
  "registry-unreachable": ["registry lost", "registry found"],
  "route-conflict": ["route in conflict", "route repaired"],
  "route-missing": ["route unresolved", "route repaired"],
};

/** Problems of which the registry records the event. */
const OF_REGISTRY: ReadonlySet<string> = new Set([
  ...["fenced", "cloned", "refused", "left"],
]);

function diffProblems(
  node: string,
  before: SeenReport["problems"],
  after: SeenReport["problems"],
): HostHappening[] {
  const had = byKey(before);
  const has = byKey(after);
  const appeared = [...has].filter(([key]) => !had.has(key));
  const solved = [...had].filter(([key]) => !has.has(key));
  return [
    ...diffPaths(node, before, after),
    ...appeared.map(([, { code, text }]) => ({
      kind: PROBLEM_KINDS[code]?.[0] ?? "problem",
      ...{ node, subject: code, text },
    })),
    ...solved.map(([, { code, text }]) => ({
      kind: PROBLEM_KINDS[code]?.[1] ?? "solved",
      ...{ node, subject: code, text: `No longer on ${node}: ${text}` },
    })),
  ];
}

const PATH_EVENTS: Readonly<Record<string, HostEventKind>> = {
  "path-dead": "path dead",
  "path-lossy": "path lossy",
  "path-narrow": "path narrow",
};

/** What happened to the paths from a host to its peers: one event for each change of a path. */
function diffPaths(
  node: string,
  before: SeenReport["problems"],
  after: SeenReport["problems"],
): HostHappening[] {
  const had = pathFaults(before);
  const has = pathFaults(after);
  const alive = [...had.keys()].filter((peer) => !has.has(peer));
  return [
    ...[...has].flatMap(([peer, { code, text }]) =>
      had.get(peer)?.code === code ? [] : [{
        kind: PATH_EVENTS[code]!,
        ...{ node, subject: peer, text: `On ${node}: ${text}` },
      }]
    ),
    ...alive.map((peer) => ({
      kind: "path alive" as const,
      ...{ node, subject: peer },
      text: `On ${node}: the path to ${peer} has no fault any more`,
    })),
  ];
}

/** The fault of each path by its peer; a path has one at a time. */
function pathFaults(
  problems: SeenReport["problems"],
): ReadonlyMap<string, SeenReport["problems"][number]> {
  return new Map(
    problems.flatMap((problem) =>
      PATH_EVENTS[problem.code] && problem.subject
        ? [[problem.subject, problem] as const]
        : []
    ),
  );
}

function byKey(
  problems: SeenReport["problems"],
): ReadonlyMap<string, SeenReport["problems"][number]> {
  return new Map(
    problems.filter(({ code }) => !OF_REGISTRY.has(code) && !PATH_EVENTS[code])
      .map((problem) => [problemKey(problem), problem]),
  );
}

/**
 * Tells the problems of a host apart. Its warnings share a code; counts in their
 * texts may change, and numbers in names do not.
 */
export function problemKey(
  { code, text, subject = "" }: SeenReport["problems"][number],
): string {
  return code === "host"
    ? text.replace(/(?<![\w.:"-])\d+(?![\w.:"/-])/g, "#")
    : `${code} ${subject}`;
}
