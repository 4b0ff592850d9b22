import { type ReadonlySignal, useComputed } from "@preact/signals";
import type { JSX } from "preact";
import type { HostSummary } from "../../../gen/stellar/net/v1/cluster_pb.ts";
import { cluster } from "../cluster.ts";
import {
  CONDITION_LOOKS,
  type HostStatus,
  statusOf,
  useStep,
} from "../plan/host_status.ts";
import { formatShare } from "../../../base/share.ts";
import { linkTo } from "../router.ts";
import { moveWithArrows } from "./arrows.ts";

/** From which number of hosts on a cell is too small for a name, and for a sign. */
const MANY = 120;
const VERY_MANY = 1_200;

export type Colouring = "state" | "use";

/**
 * The hosts as a grid, one cell each, in the order of names. A change of a host
 * changes its cell and nothing else.
 */
export function HostGrid({ names, by }: {
  readonly names: readonly string[];
  readonly by: Colouring;
}): JSX.Element {
  const size = names.length > VERY_MANY
    ? "is-tiny"
    : names.length > MANY
    ? "is-small"
    : "is-large";
  return (
    <div
      class={`host-grid ${size}`}
      role="group"
      aria-label={`Hosts, by ${by}: arrow keys move, Enter opens one`}
      onKeyDown={moveWithArrows}
    >
      {names.map((name, i) => (
        <HostCell
          key={`${by} ${name}`}
          name={name}
          by={by}
          isFirst={i === 0}
          isLarge={size === "is-large"}
        />
      ))}
    </div>
  );
}

function HostCell({ name, by, isFirst, isLarge }: {
  readonly name: string;
  readonly by: Colouring;
  readonly isFirst: boolean;
  readonly isLarge: boolean;
}): JSX.Element {
  const status = useComputed(() => statusNamed(name));
  // Texts, so that a report that changes nothing here changes nothing.
  const text = useComputed(() => describe(status.value));
  const look = useComputed(() => lookOf(status.value, by));
  const sign = useComputed(() => signOf(status.value, by));
  const used = useComputed(() => shareOf(status.value));
  const rest = useComputed(() => describeRest(status.value));
  return (
    <a
      data-item
      data-sign={sign as ReadonlySignal<string>}
      href={linkTo("host", { name })}
      class={look as ReadonlySignal<string>}
      title={text as ReadonlySignal<string>}
      tabIndex={isFirst ? 0 : -1}
      // Where there is no room for a name.
      aria-label={isLarge ? undefined : text as ReadonlySignal<string>}
    >
      {isLarge && (
        <>
          <span class="name">{name}</span>
          <span class="used">{used}</span>
          <span class="unseen">{rest}</span>
        </>
      )}
    </a>
  );
}

const statuses = new WeakMap<HostSummary, HostStatus>();

/** The status of a host: the same object for as long as nothing of it changes. */
function statusNamed(name: string): HostStatus | undefined {
  const host = cluster.value?.hosts.get(name);
  if (!host) return undefined;
  const status = statuses.get(host) ?? statusOf(host);
  statuses.set(host, status);
  return status;
}

function lookOf(status: HostStatus | undefined, by: Colouring): string {
  if (!status) return "cell";
  if (by === "state") return `cell is-${status.condition}`;
  const step = useStep(status);
  return step === undefined ? "cell is-unknown" : `cell is-use-${step}`;
}

function signOf(status: HostStatus | undefined, by: Colouring): string {
  if (!status) return "";
  if (by === "state") return CONDITION_LOOKS[status.condition].sign;
  const step = useStep(status);
  return step === undefined ? "?" : String(step);
}

function shareOf(status: HostStatus | undefined): string {
  return status ? formatShare(status.held, status.capacity) : "";
}

function describe(status: HostStatus | undefined): string {
  if (!status) return "";
  const share = shareOf(status);
  return `${status.name}: ${describeRest(status)}${
    share === "" ? "" : `, ${share} of its addresses held`
  }`;
}

/** What a cell does not say in letters. */
function describeRest(status: HostStatus | undefined): string {
  if (!status) return "";
  const { condition, problems } = status;
  return [
    CONDITION_LOOKS[condition].label,
    ...problems > 0 ? [`${problems} problem${problems === 1 ? "" : "s"}`] : [],
  ].join(", ");
}
