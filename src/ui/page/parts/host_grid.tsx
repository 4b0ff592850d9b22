import { type ReadonlySignal, useComputed } from "@preact/signals";
import type { JSX } from "preact";
import { cluster } from "../cluster.ts";
import {
  CONDITION_LOOKS,
  describeCondition,
  describeHost,
  type HostStatus,
  isNearlyFull,
  shareText,
  statusOf,
  usedShareOf,
  useStep,
} from "../plan/host_status.ts";
import { linkTo } from "../router.ts";
import { moveWithArrows } from "./arrows.ts";

/** From which number of hosts on a cell is too small for a name. */
const MANY = 120;
/** From which number on there is a map in place of a grid: the browser would be slow. */
export const VERY_MANY = 500;

export type Colouring = "state" | "use";

/**
 * The hosts as a grid, one cell each, in the order of names. A change of a host
 * changes its cell and nothing else.
 */
export function HostGrid({ names, by }: {
  readonly names: readonly string[];
  readonly by: Colouring;
}): JSX.Element {
  const isLarge = names.length <= MANY;
  return (
    <div
      class={`host-grid ${isLarge ? "is-large" : "is-small"}`}
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
          isLarge={isLarge}
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
  const text = useComputed(() =>
    status.value ? describeHost(status.value) : ""
  );
  const look = useComputed(() => lookOf(status.value, by));
  const sign = useComputed(() => signOf(status.value, by));
  const used = useComputed(() => status.value ? shareText(status.value) : "");
  const usedLook = useComputed(() =>
    status.value && isNearlyFull(status.value) ? "used is-warning" : "used"
  );
  const fill = useComputed(() => {
    const share = status.value && usedShareOf(status.value);
    return `width: ${(100 * (share ?? 0)).toFixed(1)}%`;
  });
  const rest = useComputed(() =>
    status.value ? describeCondition(status.value) : ""
  );
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
          <span class={usedLook as ReadonlySignal<string>}>{used}</span>
          <span
            class="fill"
            aria-hidden="true"
            style={fill as ReadonlySignal<string>}
          />
          <span class="unseen">{rest}</span>
        </>
      )}
    </a>
  );
}

function statusNamed(name: string): HostStatus | undefined {
  const host = cluster.value?.hosts.get(name);
  return host && statusOf(host);
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
