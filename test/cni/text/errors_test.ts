import assert from "node:assert/strict";
import {
  CNI_ERRORS,
  CniError,
  conditionOf,
  formatError,
} from "../../../src/cni/text/errors.ts";

Deno.test("CNI_ERRORS keeps to the codes of the specification, and has its own from 100 on", () => {
  const codes = Object.values(CNI_ERRORS).map(({ code }) => code);
  assert.equal(new Set<number>(codes).size, codes.length);
  const known = [1, 2, 3, 4, 5, 6, 7, 11, 50, 51];
  assert.deepEqual(
    codes.filter((code) => code < 100 && !known.includes(code)),
    [],
  );
});

Deno.test("conditionOf() has a condition for each code of the Connect protocol", async (t) => {
  const rows: readonly [rpcCode: string, code: number][] = [
    ["resource_exhausted", 50],
    ["failed_precondition", 50],
    ["unavailable", 11],
    ["deadline_exceeded", 11],
    ["canceled", 11],
    ["aborted", 11],
    ["already_exists", 102],
    ["invalid_argument", 104],
    ["not_found", 104],
    ["permission_denied", 104],
    ["unauthenticated", 104],
    ["unimplemented", 104],
    ["internal", 101],
    ["unknown", 101],
    ["data_loss", 101],
    ["of another protocol", 101],
  ];
  for (const [rpcCode, code] of rows) {
    await t.step(rpcCode, () => {
      assert.equal(CNI_ERRORS[conditionOf(rpcCode)].code, code);
    });
  }
});

Deno.test("formatError() is one line of JSON with version, code, message and details", () => {
  const text = formatError(new CniError("try_again", "Cannot\nx"), "0.4.0");
  assert.match(text, /^[^\n]+\n$/);
  assert.deepEqual(JSON.parse(text), {
    cniVersion: "0.4.0",
    code: 11,
    msg: "Cannot\nx",
    details: CNI_ERRORS.try_again.meaning,
  });
});
