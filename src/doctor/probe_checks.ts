import { type Check, passed } from "../host/checks/check.ts";
import { PROBE_PORT } from "../probe/port.ts";
import { pathProblems, type PathView } from "../probe/plan/verdict.ts";

/**
 * The results of the probes on the paths from this host: a finding for each path
 * with a fault, or one for all.
 *
 * @param paths undefined if the agent does not probe
 * @param peer the only one to look at; undefined for all
 */
export function checkProbes(
  paths: readonly PathView[] | undefined,
  peer: string | undefined,
): Check[] {
  if (paths === undefined) {
    return [passed("path", "this agent sends no probes")];
  }
  const seen = paths.filter((path) => peer === undefined || path.peer === peer);
  // Where the registry does not hear a host either, the fault is the host's, and
  // another check reports it.
  const measured = seen.filter(({ state }) =>
    state !== "unmeasured" && state !== "dead"
  );
  const faults = seen.flatMap((path) => checkProbed(path) ?? []);
  if (faults.length > 0) return faults;
  if (measured.length === 0) return [];
  const rtts = measured.flatMap(({ rttMs }) => rttMs ?? []);
  return [
    passed(
      "path",
      `probes of ${
        measured.map((path) => path.peer).slice(0, MAX_NAMES).join(", ")
      }${
        measured.length > MAX_NAMES
          ? ` and ${measured.length - MAX_NAMES} more`
          : ""
      } are answered, in up to ${Math.max(...rtts, 0).toFixed(1)} ms`,
    ),
  ];
}

/** Peers that one line names. */
const MAX_NAMES = 8;

function checkProbed(path: PathView): Check | undefined {
  const { peer, state, fullBytes } = path;
  const [problem] = pathProblems([path]);
  if (state === "unanswered") {
    return {
      name: "path",
      status: "warning",
      found: `${peer} answers pings, and no probes`,
      means: "loss and delay on the way there are not measured",
      fix:
        `see whether its agent runs without --probe off, and let UDP port ${PROBE_PORT} through between the hosts`,
    };
  }
  if (!problem) return undefined;
  const { code, text: found } = problem;
  switch (code) {
    case "path-dead":
      return {
        name: "path",
        status: "failed",
        found,
        means: `containers here and on ${peer} do not reach each other`,
        fix: path.reachesHost
          ? `compare routes and packet filters: stellar-net doctor ${peer} here, and stellar-net doctor on ${peer}`
          : path.hearsPeer
          ? `look for what drops packets from this host to ${peer}: a packet filter on one of the two, a switch or a router between them`
          : `check cables, switches and routers between this host and ${peer}, and whether ${peer} is up`,
      };
    case "path-narrow":
      return {
        name: "path",
        status: "failed",
        found,
        means:
          "large packets of containers are lost: connections are made and hang",
        fix:
          `give every link on the way an MTU of ${fullBytes}, or ask stellar-net doctor ${peer} for the commands that lower it here`,
      };
    case "path-lossy":
      return {
        name: "path",
        status: "warning",
        found,
        means: `connections between containers here and on ${peer} are slow`,
        fix:
          "look at the errors of cables, ports and network cards on the way, and for a link that is full",
      };
  }
}
