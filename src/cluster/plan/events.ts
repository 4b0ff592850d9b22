import { formatPrefix, type Prefix } from "../../net/prefix.ts";
import type { Problem, Report } from "./report.ts";

/** What an event is about. */
export type EventKind =
  | "joined"
  | "left"
  | "unreachable"
  | "back"
  | "removal"
  | "subnet claimed"
  | "subnet returned"
  | "route added"
  | "route deleted"
  | "restarted"
  | "upgraded"
  | "filling up"
  | "problem"
  | "solved"
  | "path dead"
  | "path lossy"
  | "path narrow"
  | "path alive";

/** Something that happened to the cluster. */
export interface ClusterHappening {
  readonly kind: EventKind;
  /** The host that it happened to; empty for the cluster as a whole. */
  readonly node: string;
  /** What it is about: a prefix, a problem's code, or the node again. */
  readonly subject: string;
  /** One sentence. */
  readonly text: string;
}

/** A node as an observer of the registry sees it. */
export interface ObservedNode {
  readonly name: string;
  readonly subnets: readonly Prefix[];
  readonly state: "ready" | "unreachable" | "no agent";
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
  return [...nodes, ...diffRoutes(before.routes, after.routes)];
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
  const subnets = [
    ...[...has].filter((cidr) => !had.has(cidr)).map((cidr) =>
      of("subnet claimed", `${node} has the subnet ${cidr}`, cidr)
    ),
    ...[...had].filter((cidr) => !has.has(cidr)).map((cidr) =>
      of("subnet returned", `${node} no longer has the subnet ${cidr}`, cidr)
    ),
  ];
  if (!after) return [...subnets, of("left", `${node} has left the cluster`)];
  if (!before) {
    return [of("joined", `${node} has joined the cluster`), ...subnets];
  }
  if (before.state === "ready" && after.state === "unreachable") {
    return [...subnets, of("unreachable", `${node} sends no heartbeats`)];
  }
  if (before.state === "unreachable" && after.state === "ready") {
    return [...subnets, of("back", `${node} sends heartbeats again`)];
  }
  return subnets;
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

/** What happened on a host between two of its reports. */
export function diffReports(
  node: string,
  before: Report | undefined,
  after: Report,
): ClusterHappening[] {
  return [
    ...diffProcess(node, before, after),
    ...diffFill(node, before, after),
    ...diffProblems(node, before?.problems ?? [], after.problems),
  ];
}

function diffProcess(
  node: string,
  before: Report | undefined,
  after: Report,
): ClusterHappening[] {
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
  before: Report | undefined,
  after: Report,
): ClusterHappening[] {
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

function diffProblems(
  node: string,
  before: readonly Problem[],
  after: readonly Problem[],
): ClusterHappening[] {
  const had = new Map(before.map((problem) => [problemKey(problem), problem]));
  const has = new Map(after.map((problem) => [problemKey(problem), problem]));
  const appeared = [...has].filter(([key]) => !had.has(key));
  const solved = [...had].filter(([key]) => !has.has(key));
  return [
    ...diffPaths(node, before, after),
    ...appeared.filter(isOfHost).map(([, { code, text }]) => ({
      kind: "problem" as const,
      ...{ node, subject: code, text },
    })),
    ...solved.filter(isOfHost).map(([, { code, text }]) => ({
      kind: "solved" as const,
      ...{ node, subject: code, text: `No longer on ${node}: ${text}` },
    })),
  ];
}

const PATH_EVENTS: Readonly<Record<string, EventKind>> = {
  "path-dead": "path dead",
  "path-lossy": "path lossy",
  "path-narrow": "path narrow",
};

function isOfHost([, { code }]: readonly [string, Problem]): boolean {
  return PATH_EVENTS[code] === undefined;
}

/** What happened to the paths from a host to its peers: one event for each change of a path. */
function diffPaths(
  node: string,
  before: readonly Problem[],
  after: readonly Problem[],
): ClusterHappening[] {
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
  problems: readonly Problem[],
): ReadonlyMap<string, Problem> {
  return new Map(
    problems.flatMap((problem) =>
      PATH_EVENTS[problem.code] && problem.subject
        ? [[problem.subject, problem] as const]
        : []
    ),
  );
}

/** A host's warnings share a code; counts in their texts may change, and numbers in names do not. */
function problemKey({ code, text, subject = "" }: Problem): string {
  return code === "host"
    ? text.replace(/(?<![\w.:"-])\d+(?![\w.:"/-])/g, "#")
    : `${code} ${subject}`;
}
