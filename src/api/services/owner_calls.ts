import { getLogger } from "@logtape/logtape";
import type { ContextValues } from "@connectrpc/connect";
import { onDelivery } from "../access/call_context.ts";
import { type Owner, ownerKey } from "../../base/names.ts";

const log = getLogger(["stellar-net", "rpc"]);

type Undo = () => Promise<unknown>;

/** The effect of a call for an owner. */
export interface OwnerResult<T> {
  readonly response: T;
  /** Id of the allocation that the response describes, if it describes one. */
  readonly allocation?: string | undefined;
  /** Releases that allocation: the call made it, and no caller may have heard of it. */
  readonly undo?: Undo | undefined;
}

/** The calls about one owner that are not settled yet. */
interface Pending {
  /** Calls that are in flight, or whose answer may still be lost. */
  calls: number;
  /** The allocations of which a caller has heard. */
  readonly known: Set<string>;
  readonly undos: Map<string, Undo>;
  /** The undos that run at the moment. */
  undoing: Promise<void> | undefined;
}

/**
 * The calls about each owner, so that an allocation is undone only when nobody
 * has heard of it: the answer that made it was lost, and no other call about
 * the owner was answered or is in flight. A call that comes during an undo waits
 * for it.
 */
export class OwnerCalls {
  readonly #pending = new Map<string, Pending>();

  /** Answers a call about an owner on a node. */
  async run<T>(
    { node, owner, values }: {
      readonly node: string;
      readonly owner: Owner;
      readonly values: ContextValues;
    },
    answer: () => Promise<OwnerResult<T>>,
  ): Promise<T> {
    const key = `${node} ${ownerKey(owner)}`;
    const pending = await this.#enter(key);
    let result: OwnerResult<T>;
    try {
      result = await answer();
    } catch (error) {
      this.#leave(key, pending);
      throw error;
    }
    const { response, allocation, undo } = result;
    if (allocation !== undefined && undo) pending.undos.set(allocation, undo);
    onDelivery(values, (isDelivered) => {
      if (isDelivered && allocation !== undefined) {
        pending.known.add(allocation);
      }
      this.#leave(key, pending);
    });
    return response;
  }

  /** Number of owners with calls that are not settled. */
  get size(): number {
    return this.#pending.size;
  }

  async #enter(key: string): Promise<Pending> {
    for (;;) {
      const known = this.#pending.get(key);
      if (known?.undoing) {
        await known.undoing;
        continue;
      }
      const pending = known ??
        { calls: 0, known: new Set(), undos: new Map(), undoing: undefined };
      pending.calls++;
      if (!known) this.#pending.set(key, pending);
      return pending;
    }
  }

  #leave(key: string, pending: Pending): void {
    if (--pending.calls > 0) return;
    const { undos, known } = pending;
    for (const allocation of known) undos.delete(allocation);
    if (undos.size === 0) {
      this.#pending.delete(key);
      return;
    }
    pending.undoing = undoAll([...undos.values()])
      .finally(() => this.#pending.delete(key));
  }
}

async function undoAll(undos: readonly Undo[]): Promise<void> {
  for (const undo of undos) {
    try {
      await undo();
    } catch (error) {
      log.warn(
        "Cannot release an allocation whose answer was not delivered: {error}",
        { error },
      );
    }
  }
}
