import assert from "node:assert/strict";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  HostPathSchema,
  type ProbedPathSchema,
} from "../../../../src/gen/stellar/net/v1/cluster_pb.ts";
import {
  addSamples,
  compareNames,
  countPaths,
  formatRtt,
  layoutMatrix,
  type PathSamples,
  readPaths,
  shortNames,
} from "../../../../src/ui/page/plan/path_view.ts";

function pathsOf(
  ...rows: readonly [
    node: string,
    path: MessageInitShape<typeof ProbedPathSchema>,
  ][]
) {
  return readPaths(
    rows.map(([node, path]) => create(HostPathSchema, { node, path })),
  );
}

const alive = (peer: string, rttSeconds: number) => ({
  ...{ peer, state: "alive", rttSeconds },
});

Deno.test("readPaths() leaves out states that it does not know", () => {
  const paths = pathsOf(
    ["a", { peer: "b", state: "dead", lossOut: 1, lossIn: 0.5 }],
    ["a", { peer: "c", state: "of a later version" }],
    ["b", alive("a", 0.0015)],
  );
  assert.deepEqual(
    paths.map((
      { from, to, state, rttMs, loss },
    ) => [from, to, state, rttMs, loss]),
    [["a", "b", "dead", undefined, 1], ["b", "a", "alive", 1.5, 0]],
  );
  assert.deepEqual(countPaths(paths), [["dead", 1], ["alive", 1]]);
});

Deno.test("layoutMatrix() has a row for each host and a column for each peer", () => {
  const { names, paint, paths } = layoutMatrix(pathsOf(
    ["h10", { peer: "h2", state: "dead" }],
    ["h2", alive("h10", 0.002)],
    ["h2", alive("h1", 0.004)],
  ))!;
  assert.deepEqual(names, ["h1", "h2", "h10"]);
  assert.deepEqual([...paint.states], [0, 0, 0, 6, 0, 6, 0, 1, 0]);
  assert.equal(paint.bars[7], 1);
  assert.equal(paint.bars[5], 0.5);
  assert.ok(paint.bars[3]! > 0.9 && paint.bars[3]! < 1);
  assert.equal(paths.get(7)?.from, "h10");
  const many = pathsOf(
    ...Array.from(
      { length: 64 },
      (_, i) => [`h${i}`, alive(`h${i + 1}`, 1)] as const,
    ).map(([node, path]) => [node, path] as [string, typeof path]),
  );
  assert.equal(layoutMatrix(many), undefined);
  assert.notEqual(layoutMatrix(many.slice(1)), undefined);
  assert.equal(layoutMatrix([]), undefined);
});

Deno.test("addSamples() keeps ten minutes, and the paths that were seen last", () => {
  let samples: ReadonlyMap<string, PathSamples> = new Map();
  for (let i = 0; i < 400; i++) {
    samples = addSamples(
      samples,
      pathsOf(["a", { ...alive("b", 0.001), lossOut: 0.25 }]),
      i * 2_000,
    );
  }
  const kept = samples.get("a\nb")!;
  assert.equal(kept.times.length, 300);
  assert.deepEqual([kept.times[0], kept.times.at(-1)], [200, 798]);
  assert.deepEqual([kept.rttMs[0], kept.lossOut[0], kept.lossIn[0]], [
    ...[1, 25, 0],
  ]);
  for (let i = 0; i < 1_100; i++) {
    samples = addSamples(samples, pathsOf(["a", alive(`p${i}`, 0.001)]), i);
  }
  assert.equal(samples.size, 1_024);
  assert.equal(samples.has("a\nb"), false);
  const unanswered = addSamples(
    new Map(),
    pathsOf(["a", { peer: "b", state: "dead" }]),
    0,
  );
  assert.deepEqual(unanswered.get("a\nb")!.rttMs, [null]);
});

Deno.test("compareNames() puts host2 before host10", () => {
  const names = ["host10", "host2", "a", "Host2"];
  assert.deepEqual(names.sort(compareNames), ["a", "host2", "Host2", "host10"]);
});

Deno.test("formatRtt() shows what differs", () => {
  assert.deepEqual([0.4213, 12.34, 123.4, undefined].map(formatRtt), [
    ...["0.42 ms", "12.3 ms", "123 ms", "–"],
  ]);
});

Deno.test("shortNames() leaves out what all names begin with", async (t) => {
  const rows: readonly [names: string[], short: string[]][] = [
    [["host1", "host12"], ["1", "12"]],
    [["host10", "host12"], ["10", "12"]],
    [["rack1-a", "rack1-b"], ["a", "b"]],
    [["web", "db"], ["web", "db"]],
    [["host", "host1"], ["host", "host1"]],
    [["host1"], ["1"]],
    [[], []],
  ];
  for (const [names, short] of rows) {
    await t.step(names.join(), () => {
      assert.deepEqual(shortNames(names), short);
    });
  }
});
