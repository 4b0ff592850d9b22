import { provenClockOffsetMs } from "../base/clock_offset.ts";
import { formatPrefix, overlaps, type Prefix } from "../net/prefix.ts";
import type { HostInterfaces } from "../routes/plan/uplink.ts";
import type { RouteReport } from "../routes/report.ts";
import { wayOutOf } from "../member/link.ts";
import { checkClock } from "./agent_checks.ts";
import { type Check, passed } from "../host/checks/check.ts";
import type { ClusterNode } from "../registry/feed.ts";

/** The facts that decide the state of a peer. */
export interface PeerStateFacts {
  /** Whether its host or its agent has answered this host. */
  readonly isAlive: boolean;
  /** Whether the registry tells this node its states now. */
  readonly isCurrent: boolean;
}

/** The state of a peer at the registry; no fault while that is not known here. */
export function checkPeerState(
  { name, state, seenAtMs }: ClusterNode,
  { isAlive, isCurrent }: PeerStateFacts,
): Check {
  if (!isCurrent && state !== "no agent") {
    return passed(
      "peer",
      state === "ready"
        ? `"${name}" was ready when the registry was heard last`
        : `whether "${name}" is ready is not known without the registry`,
    );
  }
  const found = `"${name}" is ${state}`;
  switch (state) {
    case "ready":
      return passed("peer", found);
    case "no agent":
      return passed(
        "peer",
        `"${name}" was registered over the API and runs no agent`,
      );
    case "unreachable":
      return {
        name: "peer",
        status: "warning",
        found: seenAtMs === undefined
          ? `${found}: the registry has not heard of it since it started`
          : `${found}: the registry heard of it last at ${
            new Date(seenAtMs).toISOString()
          }`,
        means: "it keeps its subnet and the routes to it, and hears of nothing",
        fix: isAlive
          ? `its host answers, so do not remove the node: see on "${name}" what stellar-net doctor says, and that its agent reaches the registry`
          : `switch "${name}" on, or connect it. Only if it is gone for good, stellar-net node remove ${name}: it gives away the host's subnet and the addresses of its containers`,
      };
  }
}

/** Whether a peer has subnets, and nobody else uses them. */
export function checkPeerSubnets(
  peer: ClusterNode,
  { node, subnets, nodes }: PathFacts,
): Check[] {
  if (peer.subnets.length === 0) {
    return [{
      name: "subnet",
      status: "failed",
      found: `"${peer.name}" owns no subnet`,
      means: "it can have no containers, and there is nothing to route to",
      fix: peer.state === "no agent"
        ? "allocate one for it over the API"
        : "start its agent again: it joins for one",
    }];
  }
  const others = [
    { name: node, subnets },
    ...nodes.filter(({ name }) => name !== node && name !== peer.name),
  ];
  return peer.subnets.map((subnet): Check => {
    const text = formatPrefix(subnet);
    const [twin] = others.flatMap((other) =>
      other.subnets.filter((theirs) => overlaps(theirs, subnet))
        .map((theirs) => `${formatPrefix(theirs)} of "${other.name}"`)
    );
    return twin === undefined
      ? passed("subnet", `"${peer.name}" owns ${text}`)
      : {
        name: "subnet",
        status: "failed",
        found: `${text} of "${peer.name}" overlaps ${twin}`,
        means: "what is sent to containers of one can end up at the other",
        fix: "let one of the two leave and join again: stellar-net node leave",
      };
  });
}

/**
 * The codes of faults that say nothing of how a peer treats packets: those of
 * its agent, such as a clock that is off, and those of paths, which the packets
 * of this examination show.
 */
const OTHERS = /^(?:host$|path-)/;

/** Whether a peer's agent answers, has the expected identity, and the same clock and version. */
export async function checkPeerAgent(
  peer: ClusterNode,
  facts: PathFacts,
): Promise<Check[]> {
  const { name, apiUrl } = peer;
  const check = (
    status: "warning" | "failed",
    text: Pick<Check, "found" | "means" | "fix">,
  ): Check => ({ name: "peer's agent", status, ...text });
  if (apiUrl === "") {
    return [check("warning", {
      found: "its agent is not reached from other hosts: it has no API URL",
      means: "addresses of its containers can be asked for on that host alone",
      fix: `run the agent of "${name}" with --listen and an address of its own`,
    })];
  }
  const startedAtMs = facts.now();
  let answer: PeerAnswer;
  try {
    answer = await facts.callPeer(apiUrl);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    return [check("failed", {
      found: `${apiUrl} does not answer: ${why}`,
      means: "addresses of its containers cannot be asked for from here",
      fix: wayOutOf(why) ??
        `see on "${name}" that its agent runs and listens there, and that its packet filter lets the port through`,
    })];
  }
  const endedAtMs = facts.now();
  if (answer.instanceId === facts.instanceId) {
    return [check("failed", {
      found: `${apiUrl} leads to this host's own agent`,
      means: `what is meant for "${name}" is asked of this node`,
      fix: `run the agent of "${name}" with --listen and an address of its own`,
    })];
  }
  if (answer.node !== name) {
    return [check("failed", {
      found: `the agent at ${apiUrl} is that of "${answer.node}"`,
      means: `what is meant for "${name}" is asked of another node`,
      fix:
        `give "${name}" an address of its own, and run its agent with --listen and that`,
    })];
  }
  const ours = { askedMs: startedAtMs, answeredMs: endedAtMs };
  return [
    passed(
      "peer's agent",
      `${apiUrl} answers in ${Math.round(endedAtMs - startedAtMs)} ms`,
    ),
    checkClock(
      `the clock of "${name}"`,
      provenClockOffsetMs(ours, answer.nowMs),
    ),
    answer.version === facts.version
      ? passed("version", `both run ${answer.version}`)
      : {
        name: "version",
        status: "warning",
        found: `"${name}" runs ${answer.version}, this host ${facts.version}`,
        means: "what one of the two can do the other may not know",
        fix: "bring both to the same version",
      },
    ...answer.problems.filter(({ code }) => !OTHERS.test(code)).map((
      { isError, text, fix },
    ): Check => ({
      name: "peer's report",
      status: isError ? "failed" : "warning",
      found: text,
      means:
        `"${name}" says so: its gateway may answer while its containers are not reached`,
      fix: fix === ""
        ? `see on "${name}" what stellar-net doctor says`
        : `type on "${name}": ${fix}`,
    })),
  ];
}

/** The identity that a peer's agent reports. */
export interface PeerAnswer {
  /** Name of its node. */
  readonly node: string;
  /** Random id of its state. */
  readonly instanceId: string;
  readonly version: string;
  /** The time of its clock, in ms since 1970. */
  readonly nowMs: number;
  /** The faults that it knows of its host. */
  readonly problems: readonly PeerProblem[];
}

/** A fault that a peer knows of its host. */
export interface PeerProblem {
  /** A name that stays the same, such as `route-conflict`. */
  readonly code: string;
  readonly isError: boolean;
  /** The fault in one sentence. */
  readonly text: string;
  /** The command that fixes it there; empty for none. */
  readonly fix: string;
}

/** The facts that the checks of the path to a peer need. */
export interface PathFacts {
  /** Name of this node. */
  readonly node: string;
  /** Random id of this agent's state. */
  readonly instanceId: string;
  readonly version: string;
  /** The time in ms since 1970. */
  readonly now: () => number;
  /** Whether the registry tells this node the states of the others now. */
  readonly isCurrent: boolean;
  /** The subnets of this node. */
  readonly subnets: readonly Prefix[];
  /** All nodes that are known; this one may be among them. */
  readonly nodes: readonly ClusterNode[];
  /** Undefined when they cannot be read. */
  readonly interfaces: HostInterfaces | undefined;
  /** The report on this host's routes. */
  readonly report: RouteReport;
  /** The mark by which the agent knows its own routes. */
  readonly protocol: number;
  /** Asks a peer's agent for its identity, for a few seconds at most. A failure means that it does not answer. */
  readonly callPeer: (url: string) => Promise<PeerAnswer>;
}
