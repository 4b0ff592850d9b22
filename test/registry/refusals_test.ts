import assert from "node:assert/strict";
import type { ClusterNode } from "../../src/registry/feed.ts";
import { Refusals } from "../../src/registry/refusals.ts";

const SINCE_MS = Date.parse("2026-01-02T03:04:05Z");
const FENCED = { hasSubnets: true, why: "its subnet went to c" };

function node(fields: Partial<ClusterNode> = {}): ClusterNode {
  return {
    ...{ name: "b", subnets: [], advertised: [], apiUrl: "http://h:1" },
    ...{ state: "unreachable", joinedAtMs: 1, seenAtMs: 2 },
    ...fields,
  };
}

/** Refusals on a clock that the test sets. */
function start() {
  const clock = { ms: 0 };
  return { clock, refusals: new Refusals(() => clock.ms) };
}

function list(refusals: Refusals, nodes: readonly ClusterNode[] = []) {
  return refusals.addTo(nodes).map(({ name, problem }) =>
    `${name}: ${problem}`
  );
}

Deno.test("Refusals.addTo() lists a refused node with the first time and the last cause, for a minute", () => {
  const { clock, refusals } = start();
  refusals.record("a", { hasSubnets: false, why: "x", nowMs: SINCE_MS });
  clock.ms = 5_000;
  refusals.record("a", { ...FENCED, nowMs: SINCE_MS + 5_000 });
  const told =
    "a: the registry has fenced it since 2026-01-02 03:04:05Z: its subnet went to c";
  assert.deepEqual(list(refusals, [node()]), [told, "b: undefined"]);
  clock.ms = 64_999;
  assert.deepEqual(list(refusals), [told]);
  clock.ms = 65_000;
  assert.deepEqual(list(refusals), []);
});

Deno.test("Refusals.addTo() keeps the problem of a known node, and adds none to a ready one", () => {
  const { refusals } = start();
  refusals.record("b", { ...FENCED, nowMs: SINCE_MS });
  const rows: readonly [Partial<ClusterNode>, RegExp][] = [
    [{}, /^b: the registry has fenced it/],
    [{ problem: "two processes" }, /^b: two processes$/],
    [{ state: "ready" }, /^b: undefined$/],
  ];
  for (const [fields, told] of rows) {
    const [line, ...others] = list(refusals, [node(fields)]);
    assert.match(line!, told);
    assert.deepEqual(others, []);
  }
  refusals.forget("b");
  assert.deepEqual(list(refusals), []);
});

Deno.test("Refusals.record() keeps 64 nodes and no more", () => {
  const { refusals } = start();
  for (let i = 0; i < 70; i++) {
    refusals.record(`n${i}`, { ...FENCED, nowMs: SINCE_MS });
  }
  assert.equal(refusals.own.size, 64);
});

Deno.test("Refusals.receive() counts the refusals of another agent until it withdraws them or falls silent", () => {
  const { clock, refusals } = start();
  refusals.receive("other", new Map([["z", "refused"]]));
  assert.deepEqual(list(refusals), ["z: refused"]);
  assert.equal(refusals.own.size, 0);
  refusals.receive("other", new Map());
  assert.deepEqual(list(refusals), []);
  refusals.receive("other", new Map([["z", "refused"]]));
  clock.ms = 60_000;
  assert.deepEqual(list(refusals), []);
});
