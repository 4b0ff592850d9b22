import type { PathState } from "./path.ts";

/** Step in which loss is shown, in percent, so that a report does not change all the time. */
const LOSS_STEP = 5;

/** A path as it is shown. */
export interface PathView {
  readonly peer: string;
  readonly state: PathState;
  /** Since when it has been in that state, in ms since 1970. */
  readonly sinceMs: number;
  /** Whether it is measured every second, rather than in turn with others. */
  readonly isNeighbour: boolean;
  /** Round-trip time in ms; undefined before the first answer. */
  readonly rttMs: number | undefined;
  /** Shares of packets lost of late, 0 to 1. */
  readonly loss: { readonly out: number; readonly in: number };
  /** Which directions are lossy. */
  readonly isLossy: { readonly out: boolean; readonly in: boolean };
  /** Size of the packets of full MTU. */
  readonly fullBytes: number;
  /** The largest that passes; undefined: the full ones do; 0: not known yet. */
  readonly narrowBytes: number | undefined;
  /** Whether packets of the peer still arrive. */
  readonly hearsPeer: boolean;
  /** Whether pings of the host's own address are answered while those of its gateway are not. */
  readonly reachesHost: boolean;
  /** Whether the peer's last probes came from its host, since no interface has its gateway. */
  readonly endsAtHost: boolean;
  /** Whether the registry hears the peer. */
  readonly isReady: boolean;
}

/** A fault of a path. */
export interface PathProblem {
  readonly code: "path-dead" | "path-narrow" | "path-lossy";
  readonly severity: "error" | "warning";
  /** What is true now, as a sentence. */
  readonly text: string;
  /** The command that finds the cause. */
  readonly fix: string;
  /** The peer. */
  readonly subject: string;
}

/**
 * The problems of the paths. A peer that the registry does not hear either is a
 * problem of that host, and not of each path to it.
 */
export function pathProblems(paths: readonly PathView[]): PathProblem[] {
  return paths.flatMap((path): PathProblem[] => {
    const fault = describeFault(path);
    if (!fault) return [];
    const { peer } = path;
    return [{ ...fault, subject: peer, fix: `stellar-net doctor ${peer}` }];
  });
}

function describeFault(
  path: PathView,
): Pick<PathProblem, "code" | "severity" | "text"> | undefined {
  const { peer, state, isReady } = path;
  switch (state) {
    case "dead":
      return isReady
        ? { code: "path-dead", severity: "error", text: describeDeath(path) }
        : undefined;
    case "narrow":
      return {
        code: "path-narrow",
        severity: "error",
        text: path.narrowBytes
          ? `packets of more than ${path.narrowBytes} bytes do not get to ${peer}, those of this host and its containers have up to ${path.fullBytes}`
          : `packets of ${path.fullBytes} bytes do not get to ${peer}, small ones do`,
      };
    case "lossy":
      return {
        code: "path-lossy",
        severity: "warning",
        text: describeLoss(path),
      };
    case "unanswered":
    case "unmeasured":
    case "alive":
      return undefined;
  }
}

function describeDeath({ peer, hearsPeer, reachesHost }: PathView): string {
  if (hearsPeer) {
    return `no packet gets to ${peer}, though packets of ${peer} arrive here: they are lost on the way there`;
  }
  if (reachesHost) {
    return `no packet gets to the gateway of ${peer}, though its host answers: a route or a packet filter is missing or wrong on one of the two`;
  }
  return `no packet gets to ${peer} and back, and none of ${peer} arrives here`;
}

function describeLoss({ peer, loss, isLossy }: PathView): string {
  const out = percent(loss.out);
  const back = percent(loss.in);
  if (!isLossy.in) return `${out} of the packets to ${peer} are lost`;
  return isLossy.out
    ? `${out} of the packets to ${peer} and ${back} of those from it are lost`
    : `${back} of the packets from ${peer} are lost`;
}

function percent(share: number): string {
  const steps = Math.max(1, Math.round(share * 100 / LOSS_STEP));
  return `about ${steps * LOSS_STEP} %`;
}

/** Counts paths by state. */
export function countPaths(
  paths: readonly Pick<PathView, "state">[],
): Record<PathState, number> {
  const counts = {
    ...{ unmeasured: 0, alive: 0, lossy: 0 },
    ...{ narrow: 0, unanswered: 0, dead: 0 },
  };
  for (const { state } of paths) counts[state]++;
  return counts;
}
