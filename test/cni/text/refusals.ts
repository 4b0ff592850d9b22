import assert from "node:assert/strict";
import { type CniCondition, CniError } from "../../../src/cni/text/errors.ts";

/** Asserts that a function throws a CniError of a condition, with a text in its message. */
export function assertRefuses(
  act: () => unknown,
  condition: CniCondition,
  text: string,
): void {
  assert.throws(act, (error) => {
    assert.ok(error instanceof CniError, String(error));
    assert.equal(error.condition, condition, error.message);
    assert.ok(error.message.includes(text), error.message);
    assert.doesNotMatch(error.message, /[\p{Cc}]|\.$/u);
    return true;
  });
}
