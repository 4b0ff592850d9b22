import assert from "node:assert/strict";
import {
  formatPlace,
  parsePlace,
  type ViewName,
} from "../../../../src/ui/page/plan/place.ts";

Deno.test("parsePlace() reads the view and its parameters", async (t) => {
  const rows: readonly [
    fragment: string,
    view: ViewName,
    params: Readonly<Record<string, string>>,
  ][] = [
    ["", "overview", {}],
    ["#", "overview", {}],
    ["#/", "overview", {}],
    ["#/nowhere?name=a", "overview", {}],
    ["#/constructor", "overview", {}],
    ["#/host?name=web-1", "host", { name: "web-1" }],
    ["#/space?prefix=172.16.0.0/12&at=2026-01-02T03:04:05Z", "space", {
      prefix: "172.16.0.0/12",
      at: "2026-01-02T03:04:05Z",
    }],
    ["#/search?q=a%26b%3Fc", "search", { q: "a&b?c" }],
    ["#/search?q=a?b", "search", { q: "a?b" }],
    ["#/search?q=%", "search", { q: "%" }],
  ];
  for (const [fragment, view, params] of rows) {
    await t.step(fragment, () => {
      assert.deepEqual(parsePlace(fragment), { view, params });
    });
  }
});

Deno.test("formatPlace() writes what parsePlace() reads", async (t) => {
  const rows: readonly [
    view: ViewName,
    params: Readonly<Record<string, string | undefined>>,
    fragment: string,
  ][] = [
    ["overview", {}, "#/overview"],
    ["host", { name: "web-1", at: undefined }, "#/host?name=web-1"],
    ["host", { name: "" }, "#/host"],
    ["space", { prefix: "fd00::/64" }, "#/space?prefix=fd00::/64"],
    ["search", { q: "a&b=c #ä" }, "#/search?q=a%26b%3Dc%20%23%C3%A4"],
  ];
  for (const [view, params, fragment] of rows) {
    await t.step(fragment, () => {
      assert.equal(formatPlace(view, params), fragment);
      const kept = Object.entries(params).filter(([, value]) => value);
      assert.deepEqual(parsePlace(fragment), {
        view,
        params: Object.fromEntries(kept),
      });
    });
  }
});
