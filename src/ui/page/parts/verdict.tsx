import type { JSX } from "preact";
import { formatUtcMs } from "../../../base/duration.ts";
import { Severity } from "../../../gen/stellar/net/v1/cluster_pb.ts";
import { nowMs } from "../clock.ts";
import { cluster, clusterLink } from "../cluster.ts";
import type { ClusterView } from "../plan/cluster_view.ts";
import { type Condition, CONDITION_LOOKS } from "../plan/host_status.ts";
import { statusOf } from "../plan/host_status.ts";
import { Mark } from "./marks.tsx";

/** The cluster in one line, as large as it is important. */
export function Verdict(): JSX.Element {
  const view = cluster.value;
  const condition = verdictOf(view);
  const { sign } = CONDITION_LOOKS[condition];
  const isLive = clusterLink.value.kind === "live";
  return (
    <div class={`verdict is-${condition}`}>
      <Mark kind={condition} sign={sign} label="" />
      <h1>{view?.verdict ?? "…"}</h1>
      <span class="unseen" role="status">{view?.verdict}</span>
      <p>
        {isLive ? "now, " : "as of "}
        {formatUtcMs(isLive ? nowMs.value : view?.asOfMs ?? 0)}
      </p>
    </div>
  );
}

/**
 * The condition of the cluster: that of its worst problem. Without one, hosts
 * that have not reported keep it from being well.
 */
export function verdictOf(view: ClusterView | undefined): Condition {
  if (!view) return "unknown";
  if (view.problems.some(({ severity }) => severity === Severity.ERROR)) {
    return "error";
  }
  if (view.problems.length > 0) return "warning";
  for (const host of view.hosts.values()) {
    if (statusOf(host).condition === "unknown") return "unknown";
  }
  return "well";
}
