import type { JSX, TargetedSubmitEvent } from "preact";
import { formatUtcMs } from "../../../base/duration.ts";
import type { Carve } from "../../../net/carve.ts";
import {
  containsPrefix,
  formatPrefix,
  type Prefix,
} from "../../../net/prefix.ts";
import { cluster } from "../cluster.ts";
import { Notice } from "../parts/notice.tsx";
import { TimeSlider } from "../parts/time_slider.tsx";
import { past } from "../past.ts";
import { cellOf, type Level, levelOf, pathTo } from "../plan/levels.ts";
import { carvesOf, sliceAround } from "../plan/slices.ts";
import { readWhere } from "../plan/space_text.ts";
import { go, linkTo, moment, place } from "../router.ts";
import { useSlices } from "../space_data.ts";
import { AddressLevel } from "./space_addresses.tsx";
import { SubnetLevel } from "./space_subnets.tsx";

/** Each network as a map in order of address, from the whole down to one address. */
export function SpaceView(): JSX.Element {
  return (
    <>
      <TimeSlider />
      <div class="space-head">
        <h1>Space</h1>
        <GoTo />
      </div>
      <Content />
    </>
  );
}

function Content(): JSX.Element {
  const view = cluster.value;
  if (!view) return <Notice title="Waiting for the agent’s first answer…" />;
  const networks = view.networks.flatMap(carvesOf);
  const [first] = networks;
  if (!first) {
    return (
      <Notice title="The cluster has no network yet">
        <p>It gets one when its first agent starts.</p>
      </Notice>
    );
  }
  const { prefix: text = formatPrefix(first.network), cell } =
    place.value.params;
  const wanted = readWhere(text);
  const carve = wanted &&
    networks.find(({ network }) => containsPrefix(network, wanted));
  const level = carve && levelOf(carve, wanted);
  if (!wanted || !carve || !level) {
    return (
      <Notice title={`${text} is in no network of this cluster`}>
        <ul>
          {networks.map(({ network }) => (
            <li key={formatPrefix(network)}>
              <a href={linkTo("space", { prefix: formatPrefix(network) })}>
                {formatPrefix(network)}
              </a>
            </li>
          ))}
        </ul>
      </Notice>
    );
  }
  // One that is deeper than the level is a cell of it, or in one.
  const selected = readWhere(cell) ??
    (wanted.length > level.prefix.length ? wanted : undefined);
  return (
    <Place
      networks={networks}
      carve={carve}
      level={level}
      cell={selected && containsPrefix(level.prefix, selected)
        ? cellOf(level, selected)
        : undefined}
    />
  );
}

function Place(
  { networks, carve, level, cell }: {
    readonly networks: readonly Carve[];
    readonly carve: Carve;
    readonly level: Level;
    readonly cell: number | undefined;
  },
): JSX.Element {
  const { value: slices = [], why } = useSlices();
  const isInside = level.prefix.length >= carve.subnetPrefixLength;
  const around = isInside ? sliceAround(slices, level.prefix) : undefined;
  const of = { carve, level, cell };
  return (
    <section>
      <nav class="crumbs" aria-label="Place in the network">
        {networks.map(({ network }) => (
          <Crumb
            key={formatPrefix(network)}
            prefix={network}
            isCurrent={network === carve.network}
          />
        ))}
        {pathTo(carve, level).slice(1).map(({ prefix }) => (
          <Crumb key={formatPrefix(prefix)} prefix={prefix} isInner />
        ))}
        {around?.state === "owned" && (
          <span>
            of <a href={linkTo("host", { name: around.node })}>{around.node}</a>
          </span>
        )}
      </nav>
      <PastLimit />
      {why !== undefined && (
        <p class="aside is-warning" role="status">
          Reserved, released and conflicting subnets may be out of date: {why}
        </p>
      )}
      {isInside
        ? <AddressLevel {...of} slice={around} />
        : <SubnetLevel {...of} slices={slices} />}
    </section>
  );
}

function Crumb({ prefix, isInner = false, isCurrent = false }: {
  readonly prefix: Prefix;
  readonly isInner?: boolean;
  readonly isCurrent?: boolean;
}): JSX.Element {
  const text = formatPrefix(prefix);
  return (
    <a
      class={isInner ? "is-inner" : undefined}
      href={linkTo("space", { prefix: text })}
      aria-current={isCurrent ? "true" : undefined}
    >
      {text}
    </a>
  );
}

/** Says where the events end that the past is made from. */
function PastLimit(): JSX.Element | null {
  const atMs = moment.value;
  const { beginMs, error } = past.value ?? {};
  if (atMs === undefined) return null;
  if (error !== undefined) {
    return (
      <p class="past" role="status">
        The past is not known, and the owners are those of now: {error}
      </p>
    );
  }
  if (!past.value) {
    return <p class="past" role="status">Reading the events…</p>;
  }
  return beginMs !== undefined && atMs >= beginMs
    ? null
    : (
      <p class="past" role="status">
        {beginMs === undefined
          ? "No event is recorded: the owners are those of now."
          : `The events go back to ${
            formatUtcMs(beginMs)
          }: what changed before then is not known.`}
      </p>
    );
}

/** Goes to an address or a prefix. */
function GoTo(): JSX.Element {
  const submit = (event: TargetedSubmitEvent<HTMLFormElement>) => {
    event.preventDefault();
    const field = event.currentTarget.elements
      .namedItem("where") as HTMLInputElement;
    const prefix = readWhere(field.value.trim());
    field.setCustomValidity(
      prefix ? "" : "Write an address or a prefix, such as 172.16.4.9",
    );
    field.reportValidity();
    if (prefix) go("space", { prefix: formatPrefix(prefix) });
  };
  return (
    <form class="filters" onSubmit={submit}>
      <label>
        Go to{" "}
        <input
          name="where"
          placeholder="172.16.4.9"
          spellcheck={false}
          autocomplete="off"
          onInput={({ currentTarget }) => currentTarget.setCustomValidity("")}
        />
      </label>
    </form>
  );
}
