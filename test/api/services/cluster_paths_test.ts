import assert from "node:assert/strict";
import {
  acceptPaths,
  chooseHosts,
  compareHostPaths,
  getPaths,
} from "../../../src/api/services/cluster_paths.ts";

const GOOD = {
  ...{ peer: "b", state: "alive", rttSeconds: 0.001 },
  ...{ lossOut: 0, lossIn: 0.5, mtuBytes: 1500 },
};

Deno.test("acceptPaths() leaves out what a host cannot know", async (t) => {
  const rows: readonly [name: string, path: object, isAccepted: boolean][] = [
    ["a path", {}, true],
    ["one without an answer", { rttSeconds: undefined }, true],
    ["to itself", { peer: "a" }, false],
    ["to a host of no cluster", { peer: "evil\u001b" }, false],
    ["a state of its own", { state: "perfect" }, false],
    ["more loss than packets", { lossOut: 1.1 }, false],
    ["less loss than none", { lossIn: -0.1 }, false],
    ["no number", { lossIn: NaN }, false],
    ["no time", { rttSeconds: NaN }, false],
    ["time that runs back", { rttSeconds: -1 }, false],
    ["packets that do not exist", { mtuBytes: 65_536 }, false],
  ];
  const known = new Set(["a", "b"]);
  for (const [name, change, isAccepted] of rows) {
    await t.step(name, () => {
      const accepted = acceptPaths([{ ...GOOD, ...change }], {
        ...{ of: "a", known },
      });
      assert.equal(accepted.length, isAccepted ? 1 : 0);
    });
  }
  const many = Array.from({ length: 65 }, () => GOOD);
  assert.equal(acceptPaths(many, { of: "a", known }).length, 64);
});

Deno.test("chooseHosts() asks the faultiest first, and those that are named", () => {
  const nodes = Array.from({ length: 70 }, (_, i) => ({
    ...{ name: `h${i + 10}`, apiUrl: "http://a" },
    state: i === 3 ? "unreachable" as const : "ready" as const,
  }));
  const faultsOf = (name: string) =>
    name === "h79" ? 2 : name === "h78" ? 1 : 0;
  const names = (wanted: readonly string[]) =>
    chooseHosts(nodes, { wanted, faultsOf }).map(({ name }) => name);
  const chosen = names([]);
  assert.equal(chosen.length, 64);
  assert.deepEqual(chosen.slice(0, 6), [
    ...["h79", "h78", "h10", "h11", "h12", "h14"],
  ]);
  assert.deepEqual(names(["h13", "h20", "nobody"]), ["h13", "h20"]);
});

Deno.test("compareHostPaths() puts the worst first", () => {
  const worstFirst = [
    { state: "dead" },
    { state: "narrow" },
    { state: "lossy", lossIn: 0.5 },
    { state: "lossy", lossOut: 0.4, lossIn: 0.1 },
    { state: "unanswered" },
    { state: "unmeasured" },
    { state: "alive", lossOut: 0.1 },
    { state: "alive", rttSeconds: 0.2 },
    { state: "alive", rttSeconds: 0.1, peer: "c" },
    { state: "alive", rttSeconds: 0.1, peer: "d" },
  ].map((path) => ({ node: "a", path }));
  assert.deepEqual(
    worstFirst.toReversed().sort(compareHostPaths),
    worstFirst,
  );
});

type Part = Parameters<typeof getPaths>[0];

Deno.test("GetPaths answers for its own host, names silent ones, and refuses too many", async () => {
  const part = {
    agent: { node: "a" },
    host: () => ({
      nodes: {
        list: () => [
          { name: "a", state: "ready", apiUrl: "" },
          { name: "b", state: "ready", apiUrl: "http://127.0.0.1:1" },
        ],
      },
    }),
    reports: { get: () => undefined },
    peers: {
      at: () => {
        throw new Error("no route");
      },
    },
    paths: () => [{
      ...{ peer: "b", state: "dead", sinceMs: 5, isNeighbour: true },
      ...{ loss: { out: 1, in: 0 }, fullBytes: 1500, narrowBytes: undefined },
    }],
  } as unknown as Part;
  const answer = await getPaths(part, { nodes: [] });
  assert.deepEqual(
    answer.paths!.map(({ node, path }) => [node, path!.peer, path!.lossOut]),
    [["a", "b", 1]],
  );
  assert.deepEqual(answer.silentNodes, ["b"]);
  assert.deepEqual([answer.asked, answer.hosts], [2, 2]);
  await assert.rejects(
    getPaths(part, { nodes: Array.from({ length: 65 }, (_, i) => `h${i}`) }),
    /"nodes"/,
  );
});
