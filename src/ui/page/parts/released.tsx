import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import type { HistoryRecord } from "../../../gen/stellar/net/v1/ipam_pb.ts";
import { ipamApi } from "../api.ts";
import { lastReleased } from "../plan/containers.ts";
import { linkTo } from "../router.ts";
import { Loading } from "./notice.tsx";
import { Ago } from "./time.tsx";
import { useLoad } from "./use_load.ts";
import { Table } from "./table.tsx";

/** Releases that are shown. */
const MOST = 30;
/** Pages that are read for them: present holders come first. */
const MAX_PAGES = 5;

/** The addresses that a host has released last, read once they are wanted. */
export function Released({ node }: { readonly node: string }): JSX.Element {
  const isOpen = useSignal(false);
  return (
    <details
      onToggle={({ currentTarget }) => isOpen.value = currentTarget.open}
    >
      <summary>Released lately</summary>
      {isOpen.value && <List node={node} />}
    </details>
  );
}

function List({ node }: { readonly node: string }): JSX.Element {
  const loaded = useLoad(node, (signal) => readReleased(node, signal));
  return (
    <Loading loaded={loaded} what="the history">
      {(records) =>
        records.length === 0
          ? <p class="aside">The host has recorded no release.</p>
          : <Rows records={records} />}
    </Loading>
  );
}

async function readReleased(
  node: string,
  signal: AbortSignal,
): Promise<HistoryRecord[]> {
  const records: HistoryRecord[] = [];
  let pageToken = "";
  for (let page = 0; page < MAX_PAGES; page++) {
    const answer = await ipamApi.listHistory({ node, pageToken }, { signal });
    records.push(...answer.records);
    pageToken = answer.nextPageToken;
    const isEnough = lastReleased(records, MOST).length === MOST;
    if (isEnough || pageToken === "") break;
  }
  return lastReleased(records, MOST);
}

function Rows(
  { records }: { readonly records: readonly HistoryRecord[] },
): JSX.Element {
  return (
    <Table
      label="Released lately"
      columns={["Address", "Container", "Held since", "Released", "Why"]}
    >
      {records.map((record) => (
        <tr key={`${record.address} ${record.releasedAt?.seconds}`}>
          <th scope="row" class="address">
            <a href={linkTo("space", { prefix: record.address })}>
              {record.address}
            </a>
          </th>
          <td class="name">
            <a href={linkTo("search", { q: record.owner?.containerId })}>
              {record.owner?.containerId}
            </a>
          </td>
          <td>
            <Ago at={record.allocatedAt} />
          </td>
          <td>
            <Ago at={record.releasedAt} />
          </td>
          <td>{record.reason}</td>
        </tr>
      ))}
    </Table>
  );
}
