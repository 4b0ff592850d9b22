import assert from "node:assert/strict";
import { parseRouteProtocol } from "../../../src/routes/plan/protocol.ts";

Deno.test("parseRouteProtocol() takes numbers that nobody else uses", () => {
  const texts = ["5", "83", "185", "255"];
  assert.deepEqual(texts.map(parseRouteProtocol), [5, 83, 185, 255]);
});

Deno.test("parseRouteProtocol() refuses others, naming who uses them", async (t) => {
  const range = "is not a whole number from 5 to 255";
  const rows: readonly [text: string, said: string][] = [
    ["", range],
    ["0", range],
    ["4", range],
    ["256", range],
    ["083", range],
    ["8.3", range],
    ["bird", range],
    ["12", "marks the routes of bird: choose a number"],
    ["18", "marks the routes of keepalived"],
    ["186", "marks the routes of bgp"],
  ];
  for (const [text, said] of rows) {
    await t.step(text, () => {
      assert.throws(() => parseRouteProtocol(text), (error) => {
        assert.ok(error instanceof RangeError);
        assert.ok(error.message.startsWith(`"${text}" ${said}`), error.message);
        return true;
      });
    });
  }
});
