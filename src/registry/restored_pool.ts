import { formatAddress } from "../net/address.ts";
import { formatPrefix } from "../net/prefix.ts";
import { capacityOf, usableRange } from "../net/subnet.ts";
import type { Entry, JsonValue, Key } from "../store/store.ts";
import { type PoolRecord, readPool } from "../state/address_records.ts";

/** How far the search for free addresses is moved at most. */
const MAX_JUMP = 65_536n;

/** Whether a key is that of what a node allocates from. */
export function isPoolKey(key: Key): boolean {
  return key.length === 3 && key[0] === "ip" && key[2] === "pool";
}

/**
 * The record of a pool with its search for free addresses half of the subnet
 * further on: the addresses that were given next after the backup was made may
 * be held by containers that it does not know.
 *
 * @throws {NetError} `failed_precondition` when the record is damaged
 */
export function movePool(pool: Entry): JsonValue {
  const subnets = readPool(pool);
  return {
    subnets: subnets.map(({ subnet }) => formatPrefix(subnet)),
    cursors: subnets.map(({ subnet, cursor }) => {
      const { first } = usableRange(subnet);
      const capacity = capacityOf(subnet);
      const half = capacity / 2n;
      const jump = half < MAX_JUMP ? half : MAX_JUMP;
      const from = cursor ? cursor.value - subnet.value - first : -1n;
      // Both may be before the first: the sum is not.
      const offset = (from + capacity + jump) % capacity;
      const value = subnet.value + first + offset;
      return formatAddress({ family: subnet.family, value });
    }),
  } satisfies PoolRecord;
}
