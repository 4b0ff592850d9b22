import assert from "node:assert/strict";
import {
  claimProtocol,
  parseRouteProtocol,
} from "../../../src/routes/plan/protocol.ts";

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

Deno.test("claimProtocol() takes a number once, and names the next free one", async (t) => {
  const rows: readonly [
    taken: readonly number[],
    protocol: number,
    advice: string | undefined,
  ][] = [
    [[], 83, undefined],
    [[84], 83, undefined],
    [[83], 83, "--route-protocol 84"],
    [[83, 84, 85], 83, "--route-protocol 86"],
    // 186 to 189 and 192 are routing daemons, 0 to 4 the kernel and `ip`.
    [[185], 185, "--route-protocol 190"],
    [[255], 255, "--route-protocol 5"],
    [Array.from({ length: 256 }, (_, i) => i), 83, "--routes off"],
  ];
  for (const [taken, protocol, advice] of rows) {
    await t.step(`${protocol}, ${taken.length} taken`, () => {
      const names = new Set(taken.map((number) => `route-protocol-${number}`));
      const locks = {
        take: (name: string) => !names.has(name) && names.add(name) === names,
        isTaken: (name: string) => names.has(name),
      };
      if (advice === undefined) {
        claimProtocol(protocol, locks);
        assert.ok(names.has(`route-protocol-${protocol}`));
        assert.throws(() => claimProtocol(protocol, locks));
      } else {
        assert.throws(() => claimProtocol(protocol, locks), {
          code: "failed_precondition",
          message:
            `Cannot change routes: another agent in this network namespace marks its routes with protocol ${protocol}; start this one with "${advice}"`,
        });
      }
    });
  }
});
