import { NetError } from "../base/error.ts";
import type { Allocation } from "./plan/allocation.ts";
import { NodePool } from "./plan/node_pool.ts";
import { SubnetPool } from "./plan/subnet_pool.ts";
import type { Address } from "../net/address.ts";
import { formatPrefix, type Prefix } from "../net/prefix.ts";
import { deleteAll, type Store } from "../store/store.ts";
import { Batch } from "../ledger/model.ts";
import {
  addressKey,
  allocationPuts,
  createAllocationReader,
  handoverKey,
  ownerRecordKey,
  poolKey,
  poolValue,
  readPool,
  releasedKey,
} from "../state/address_records.ts";

// A node that was registered over the API gets an agent: the registry hands
// the node's addresses over. They are in both stores before they are deleted
// from the registry's, and the agent gives none out before it has all of them.

/** Whether the registry's store has addresses that a node's agent has to take over. */
export async function hasHandover(
  store: Store,
  node: string,
): Promise<boolean> {
  return await store.get(handoverKey(node)) !== null;
}

/**
 * A page of what is to be handed over, in order of the first address, from
 * behind an address on.
 *
 * @throws {NetError} `unavailable` when nothing is, or not any more: an agent
 * that took that for the last page would have a part of its addresses
 */
export async function readHandover(
  store: Store,
  node: string,
  page: { readonly behind: Address | undefined; readonly limit: number },
): Promise<Allocation[]> {
  const entry = await store.get(handoverKey(node));
  if (!entry) {
    throw new NetError(
      "unavailable",
      `Cannot hand over the addresses of node "${node}": there are none to take over; join again`,
    );
  }
  const pool = new NodePool(
    readPool(entry).map(({ subnet }) => new SubnetPool(subnet, undefined)),
  );
  const read = createAllocationReader();
  for await (const record of store.list(addressKey(node))) {
    pool.restore(read(record));
  }
  return pool.allocations(page.behind).take(page.limit).toArray();
}

/** Deletes what was handed over. Doing it again, or after a part was done, is fine. */
export async function dropHandover(store: Store, node: string): Promise<void> {
  if (!await hasHandover(store, node)) return;
  await deleteAddresses(store, node);
  await store.commit({ deletes: [handoverKey(node)] });
}

/**
 * Takes a node's addresses over into the store of its agent, and opens its
 * pool last of all: a take-over that was interrupted begins anew. Where there
 * is a pool it has been done.
 *
 * @returns the subnets of the pool
 */
export async function takeOver(
  store: Store,
  node: string,
  from: {
    readonly subnets: readonly Prefix[];
    readonly pages: AsyncIterable<readonly Allocation[]>;
  },
): Promise<readonly Prefix[]> {
  const pool = await store.get(poolKey(node));
  if (pool) return readPool(pool).map(({ subnet }) => subnet);
  await deleteAddresses(store, node);
  let batch = new Batch(store.limits);
  // What has cooled down in the registry is not known here: the search goes on
  // behind what is held, so that it is not given at once.
  const last = new Map<string, Address>();
  for await (const page of from.pages) {
    for (const allocation of page) {
      for (const { address, subnet } of allocation.addresses) {
        const key = formatPrefix(subnet);
        if (address.value > (last.get(key)?.value ?? 0n)) {
          last.set(key, address);
        }
      }
      batch.add({ puts: allocationPuts(node, allocation) });
      if (!batch.isFull) continue;
      await store.commit(batch.commit());
      batch = new Batch(store.limits);
    }
  }
  const pools = from.subnets.map((subnet) => ({
    subnet,
    cursor: last.get(formatPrefix(subnet)),
  }));
  batch.add({
    checks: [{ key: poolKey(node), version: null }],
    puts: [{ key: poolKey(node), value: poolValue(pools) }],
  });
  const { committed } = await store.commit(batch.commit());
  if (committed) return from.subnets;
  throw new NetError(
    "unavailable",
    `Cannot take the addresses of node "${node}" over: its pool was opened meanwhile`,
  );
}

/** Deletes all that a store has of a node's addresses, except their history. */
export async function deleteAddresses(
  store: Store,
  node: string,
): Promise<void> {
  await deleteAll(store, ownerRecordKey(node));
  await deleteAll(store, addressKey(node));
  await deleteAll(store, releasedKey(node));
}

/** The pages of a handover in which there is nothing. */
export async function* noPages(): AsyncGenerator<never> {}
