import { NodePool, type PoolChange } from "./plan/node_pool.ts";
import { SubnetPool } from "./plan/subnet_pool.ts";
import type {
  Check,
  Entry,
  JsonValue,
  Key,
  Store,
  Version,
} from "../store/store.ts";
import { historyPuts } from "./history.ts";
import {
  addressKey,
  allocationKeys,
  allocationPuts,
  createAllocationReader,
  ownerRecordKey,
  pendingKey,
  pendingPuts,
  poolKey,
  poolValue,
  readPending,
  readPool,
  readReleased,
  readReservation,
  releasedKey,
  reservationValue,
  reservedKey,
} from "../state/address_records.ts";
import {
  type LedgerModel,
  type Packed,
  unpacking,
  type Writes,
} from "../ledger/model.ts";
import { checkUnmarked, UNMOVED } from "../state/migration_marks.ts";

/** The addresses of a node, in memory and in the store. */
export class AddressModel implements LedgerModel<NodePool, PoolChange> {
  readonly guard: Key;
  readonly conditions: readonly Check[];
  readonly #node: string;
  readonly #bootId: string | undefined;
  #sequence = 0;

  /**
   * @param options `isShared`: the store is of a registry that others may move.
   * `bootId`: of the node's host, where its containers run
   */
  constructor(
    node: string,
    options: { readonly isShared?: boolean; readonly bootId?: string } = {},
  ) {
    this.#node = node;
    this.#bootId = options.bootId;
    this.guard = poolKey(node);
    this.conditions = options.isShared ? UNMOVED : [];
  }

  guardValue(pool: NodePool): JsonValue {
    return poolValue(pool.subnets);
  }

  writes(pool: NodePool, change: PoolChange): Writes {
    const node = this.#node;
    switch (change.kind) {
      case "hold":
        return {
          puts: allocationPuts(node, change.allocation),
          deletes: change.allocation.addresses
            .filter((a) => pool.poolOf(a.address)?.isCooling(a.address))
            .map((a) => releasedKey(node, a.address)),
        };
      case "release":
        return {
          deletes: allocationKeys(node, change.allocation),
          puts: [
            ...change.allocation.addresses.map(({ address }) => ({
              key: releasedKey(node, address),
              value: { releasedAtMs: change.releasedAtMs },
            })),
            ...historyPuts(node, { ...change, sequence: this.#sequence++ }),
          ],
        };
      case "renew":
        return {
          puts: allocationPuts(node, change.allocation),
          deletes: change.formerOwner
            ? [ownerRecordKey(node, change.formerOwner)]
            : [],
        };
      case "thaw":
        return { deletes: [releasedKey(node, change.address)] };
      case "reserve":
        return {
          puts: [{
            key: reservedKey(node, change.reservation.address),
            value: reservationValue(change.reservation),
          }],
        };
      case "unreserve":
        return { deletes: [reservedKey(node, change.address)] };
    }
  }

  apply(pool: NodePool, change: PoolChange): void {
    pool.apply(change);
  }

  reverter(pool: NodePool, change: PoolChange): () => void {
    return pool.reverter(change);
  }

  pack(changes: readonly PoolChange[]): Packed {
    return pendingPuts(this.#node, changes);
  }

  async load(
    store: Store,
  ): Promise<{ state: NodePool; version: Version | null }> {
    if (this.conditions.length > 0) await checkUnmarked(store);
    const guard = await store.get(this.guard);
    if (!guard) return { state: new NodePool([]), version: null };
    const pool = new NodePool(
      readPool(guard).map(({ subnet, cursor }) =>
        new SubnetPool(subnet, cursor)
      ),
      this.#bootId,
    );
    for await (const entry of store.list(reservedKey(this.#node))) {
      pool.reserve(readReservation(entry));
    }
    await this.#loadHeld(store, pool);
    await this.#loadReleased(store, pool);
    const version = await this.#finishPending(store, pool, guard.version);
    return version === undefined
      ? await this.load(store)
      : { state: pool, version };
  }

  /**
   * Carries out the rest of a large batch whose own writes were interrupted.
   *
   * @returns the version of the pool's record; undefined where another process
   * has written it meanwhile
   */
  async #finishPending(
    store: Store,
    pool: NodePool,
    version: Version,
  ): Promise<Version | undefined> {
    const packed: Entry[] = [];
    for await (const entry of store.list(pendingKey(this.#node))) {
      packed.push(entry);
    }
    if (packed.length === 0) return version;
    const writes: Writes[] = [];
    for (const change of packed.flatMap(readPending)) {
      const { owner, id } = change.allocation;
      const held = pool.get(owner);
      // Each change is carried out as a whole.
      if (change.kind === "release" && held?.id !== id) continue;
      if (change.kind === "hold" && held?.id === id) continue;
      writes.push(this.writes(pool, change));
      pool.apply(change);
    }
    let last = version;
    for (const batch of unpacking(writes, packed, store.limits)) {
      batch.add({
        puts: [{ key: this.guard, value: this.guardValue(pool) }],
        checks: [{ key: this.guard, version: last }, ...this.conditions],
      });
      const result = await store.commit(batch.commit());
      if (!result.committed) return undefined;
      last = result.version;
    }
    return last;
  }

  async #loadHeld(store: Store, pool: NodePool): Promise<void> {
    const read = createAllocationReader();
    for await (const entry of store.list(addressKey(this.#node))) {
      pool.restore(read(entry));
    }
  }

  async #loadReleased(store: Store, pool: NodePool): Promise<void> {
    const released = [];
    for await (const entry of store.list(releasedKey(this.#node))) {
      released.push(readReleased(entry));
    }
    released.sort((a, b) => a.releasedAtMs - b.releasedAtMs);
    for (const { address, releasedAtMs } of released) {
      const subnetPool = pool.poolOf(address);
      if (!subnetPool?.holderOf(address)) {
        subnetPool?.cool(address, releasedAtMs);
      }
    }
  }
}
