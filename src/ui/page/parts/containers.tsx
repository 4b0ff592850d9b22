import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import type {
  Allocation,
  HistoryRecord,
} from "../../../gen/stellar/net/v1/ipam_pb.ts";
import { ipamApi } from "../api.ts";
import {
  type ContainerRow,
  listContainers,
  sortByAddress,
} from "../plan/containers.ts";
import { linkTo } from "../router.ts";
import { Command } from "./command.tsx";
import { Mark } from "./marks.tsx";
import { Loading, Notice } from "./notice.tsx";
import { Ago, AgoMs } from "./time.tsx";
import { useAllocations } from "./use_allocations.ts";
import { useLoad } from "./use_load.ts";
import { More, Table } from "./table.tsx";

/** Rows that are shown at first. */
const FIRST = 20;
/** Time for which a row is marked as new, in ms. */
const NEW_MS = 10_000;
/** Holders of a moment that are read at most. */
const MOST_PAST = 1_000;

/** The containers of a host and their addresses, now or at an earlier moment. */
export function Containers({ node, at }: {
  readonly node: string;
  readonly at: number | undefined;
}): JSX.Element {
  return at === undefined
    ? <PresentContainers node={node} />
    : <PastContainers node={node} at={at} />;
}

function PresentContainers({ node }: { readonly node: string }): JSX.Element {
  const loaded = useAllocations(node);
  return (
    <Loading loaded={loaded} what="the containers">
      {(byOwner) =>
        byOwner.size === 0
          ? (
            <Notice title="No container has an address here">
              <p class="aside">
                A container that a runtime attaches appears here within a
                second. If it should and does not:
              </p>
              <Command text="stellar-net cni config" />
            </Notice>
          )
          : <Present allocations={[...byOwner.values()]} />}
    </Loading>
  );
}

function Present({ allocations }: {
  readonly allocations: readonly Allocation[];
}): JSX.Element {
  const text = useSignal("");
  const shown = useSignal(FIRST);
  const rows = listContainers(allocations, text.value);
  const leaked = rows.filter(({ leak }) => leak !== "").length;
  return (
    <>
      <form class="filters" onSubmit={(event) => event.preventDefault()}>
        <label>
          Container, address or label{" "}
          <input
            type="search"
            value={text}
            onInput={({ currentTarget }) => text.value = currentTarget.value}
          />
        </label>
        <span class="aside" role="status">
          {rows.length} of {allocations.length}
          {leaked > 0 && `, ${leaked} leaked`}
        </span>
      </form>
      <Table
        label="Containers"
        columns={[
          "Address",
          "Container",
          "Network",
          "Interface",
          "Since",
          "State",
        ]}
      >
        {rows.slice(0, shown.value).map((row) => (
          <Row
            key={row.key}
            row={row}
          />
        ))}
      </Table>
      {rows.length > shown.value && (
        <More onClick={() => shown.value += 10 * FIRST}>
          Show more of {rows.length} containers
        </More>
      )}
    </>
  );
}

function Row({ row }: { readonly row: ContainerRow }): JSX.Element {
  const { addresses, container, network, interfaceName, sinceMs, labels } = row;
  const isNew = sinceMs !== undefined && Date.now() - sinceMs < NEW_MS;
  return (
    <tr class={isNew ? "is-new" : undefined}>
      <th scope="row" class="address">
        {addresses.map((address) => (
          <a key={address} href={linkTo("space", { prefix: address })}>
            {address}
          </a>
        ))}
      </th>
      <td class="name">
        <a href={linkTo("search", { q: container })}>{container}</a>
        {labels !== "" && <span class="aside">{labels}</span>}
      </td>
      <td>{network}</td>
      <td>{interfaceName}</td>
      <td>{sinceMs !== undefined && <AgoMs ms={sinceMs} />}</td>
      <td>
        {row.leak !== ""
          ? <Mark kind="warning" sign="!" label={`leaked: ${row.leak}`} />
          : "held"}
      </td>
    </tr>
  );
}

/** The holders of a moment, from the history of the node's agent. */
function PastContainers({ node, at }: {
  readonly node: string;
  readonly at: number;
}): JSX.Element {
  const loaded = useLoad(`${node} ${at}`, async (signal) => {
    const moment = timestampFromMs(at);
    const { records, truncated } = await ipamApi.listHistory({
      ...{ node, since: moment, until: moment, pageSize: MOST_PAST },
    }, { signal });
    return { records: sortByAddress(records), truncated };
  });
  return (
    <Loading loaded={loaded} what="the holders of that moment">
      {({ records, truncated }) =>
        records.length === 0
          ? (
            <Notice title="Nobody held an address here then">
              <p class="aside">
                Or it is longer ago than this host keeps its history.
              </p>
            </Notice>
          )
          : (
            <>
              <p class="aside">
                {records.length}
                {truncated && " and more"}{" "}
                addresses, from the history that the host keeps.
              </p>
              <PastTable records={records} />
            </>
          )}
    </Loading>
  );
}

function PastTable({ records }: {
  readonly records: readonly HistoryRecord[];
}): JSX.Element {
  return (
    <Table
      label="Containers"
      columns={["Address", "Container", "Network", "Since", "Released"]}
    >
      {records.map((record) => (
        <tr key={`${record.address} ${record.allocatedAt?.seconds}`}>
          <th scope="row" class="address">
            <a href={linkTo("space", { prefix: record.address })}>
              {record.address}
            </a>
          </th>
          <td class="name">{record.owner?.containerId}</td>
          <td>{record.owner?.network}</td>
          <td>
            <Ago at={record.allocatedAt} />
          </td>
          <td>
            {record.releasedAt
              ? (
                <>
                  <Ago at={record.releasedAt} />{" "}
                  <span class="aside">{record.reason}</span>
                </>
              )
              : "still held"}
          </td>
        </tr>
      ))}
    </Table>
  );
}
