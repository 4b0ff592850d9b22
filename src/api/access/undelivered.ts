import {
  type ContextKey,
  type ContextValues,
  createContextKey,
} from "@connectrpc/connect";
import { getLogger } from "@logtape/logtape";

const log = getLogger(["stellar-net", "rpc"]);

/** Takes something back. */
type Undo = () => Promise<unknown>;

const UNDO: ContextKey<Undo | undefined> = createContextKey<Undo | undefined>(
  undefined,
  { description: "what to do when the answer of a call is not delivered" },
);

/**
 * Has something taken back when the answer of a call does not reach its
 * caller: when the connection is gone before, or the answer cannot be sent.
 */
export function undoUnlessDelivered(values: ContextValues, undo: Undo): void {
  values.set(UNDO, undo);
}

/** Takes back what a call has asked for, because its answer was not delivered. */
export async function undoUndelivered(
  values: ContextValues | undefined,
): Promise<void> {
  const undo = values?.get(UNDO);
  if (!values || !undo) return;
  values.delete(UNDO);
  try {
    await undo();
  } catch (error) {
    log.warn(
      "Cannot take back what an answer that was not delivered gave: {error}",
      {
        error,
      },
    );
  }
}
