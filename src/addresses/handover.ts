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
  pendingKey,
  poolKey,
  poolValue,
  readPool,
  releasedKey,
  reservedKey,
} from "../state/address_records.ts";

// When a node that was registered over the API gets an agent, the registry hands
// the node's addresses over. Both stores have them before the registry deletes
// its copy, and the agent allocates nothing before it has all of them.

/** Whether a node's agent has to take addresses over from the registry's store. */
export async function hasHandover(
  store: Store,
  node: string,
): Promise<boolean> {
  return await store.get(handoverKey(node)) !== null;
}

/**
 * A page of the addresses to hand over, in order of the first address, after a
 * given one.
 *
 * @throws {NetError} `unavailable` when there are none (any more): an agent that
 * mistook this for the last page would lose addresses
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

/** Deletes the addresses that were handed over. It can be repeated. */
export async function dropHandover(store: Store, node: string): Promise<void> {
  if (!await hasHandover(store, node)) return;
  await deleteAddresses(store, node);
  await store.commit({ deletes: [handoverKey(node)] });
}

/**
 * Copies a node's addresses into the store of its agent. It writes the pool
 * last: without a pool, it starts again; with one, it is done.
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
  // The registry does not say which addresses are cooling. The search for free
  // ones continues after the held ones, so that it does not find them at once.
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
    `Cannot take the addresses of node "${node}" over: another process has opened its pool meanwhile`,
  );
}

/** Deletes a node's addresses, except their history. */
export async function deleteAddresses(
  store: Store,
  node: string,
): Promise<void> {
  await deleteAll(store, pendingKey(node));
  await deleteAll(store, ownerRecordKey(node));
  await deleteAll(store, addressKey(node));
  await deleteAll(store, releasedKey(node));
  await deleteAll(store, reservedKey(node));
}

/** The pages of an empty handover. */
export async function* noPages(): AsyncGenerator<never> {}
