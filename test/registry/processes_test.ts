import assert from "node:assert/strict";
import { Processes } from "../../src/registry/processes.ts";

/** One step: the process that says it is there, after so many seconds, and whether it may go on. */
type Step = readonly [afterS: number, process: string, isAccepted: boolean];

const COPIED =
  "two processes run with its state, which was copied: the second one is fenced";

const CASES: readonly [
  name: string,
  steps: readonly Step[],
  problem: string,
][] = [
  ["one process", [[0, "a", true], [5, "a", true], [5, "a", true]], ""],
  ["a restart", [[0, "a", true], [1, "b", true], [5, "b", true]], ""],
  [
    "a restart, with a heartbeat that was in flight",
    [[0, "a", true], [1, "b", true], [1, "a", true], [4, "b", true]],
    "",
  ],
  [
    "restarts one after the other",
    [[0, "a", true], [1, "b", true], [1, "c", true], [5, "c", true]],
    "",
  ],
  [
    "a copy that starts while the first one runs",
    [[0, "a", true], [3, "b", true], [2, "a", true], [3, "b", false]],
    COPIED,
  ],
  [
    "a copy, after the first one has stopped",
    [[0, "a", true], [3, "b", true], [2, "a", true], [60, "b", false]],
    COPIED,
  ],
  [
    "a process that replaced the first one for good",
    [[0, "a", true], [1, "b", true], [10, "b", true], [5, "a", true], [
      5,
      "b",
      true,
    ], [1, "a", false]],
    COPIED,
  ],
  [
    "a copy that starts right after a restart of the first one",
    [[0, "a", true], [1, "b", true], [1, "c", true], [4, "b", true], [
      1,
      "c",
      false,
    ], [4, "b", true]],
    COPIED,
  ],
  ["an older program", [[0, "", true], [1, "a", true], [1, "", true]], ""],
];

Deno.test("Processes refuses the second of two processes with one state, within two heartbeats", async (t) => {
  for (const [name, steps, problem] of CASES) {
    await t.step(name, () => {
      let nowMs = 0;
      const problems: string[] = [];
      const processes = new Processes({
        uptimeMs: () => nowMs,
        onProblem: (node) => problems.push(node),
      });
      for (const [afterS, id, isAccepted] of steps) {
        nowMs += afterS * 1_000;
        assert.equal(
          processes.record("n", id),
          isAccepted ? "accepted" : "refused",
          `${id} at ${nowMs}`,
        );
      }
      assert.equal(processes.problemOf("n"), problem);
      assert.equal(problems.length > 0, problem !== "");
      processes.forget("n");
      assert.equal(processes.problemOf("n"), "");
    });
  }
});

Deno.test("Processes takes no late call for a process that still runs", () => {
  let nowMs = 0;
  const problems: string[] = [];
  const processes = new Processes({
    uptimeMs: () => nowMs,
    onProblem: (node) => problems.push(node),
  });
  const after = (ms: number, id: string, marker?: number) => {
    nowMs += ms;
    return processes.record("n", id, marker);
  };
  assert.equal(processes.markerOf("n"), 0);
  assert.equal(after(0, "a"), "accepted");
  const first = processes.markerOf("n");
  assert.equal(after(5_000, "a", first), "accepted");
  assert.equal(processes.markerOf("n"), first);
  // It is cut off, and started again.
  assert.equal(after(9_000, "b"), "accepted");
  const second = processes.markerOf("n");
  assert.notEqual(second, first);
  for (const waitMs of [2_000, 100, 60_000]) {
    assert.equal(after(waitMs, "a", first), "late");
    assert.equal(after(1_000, "b", second), "accepted");
  }
  assert.deepEqual([problems, processes.problemOf("n")], [[], ""]);
  assert.equal(processes.markerOf("n"), second);
});

Deno.test("Processes refuses the second of two processes as soon as the first repeats the marker", () => {
  let nowMs = 0;
  const processes = new Processes({ uptimeMs: () => nowMs, onProblem() {} });
  processes.record("n", "a");
  const first = processes.markerOf("n");
  nowMs += 3_000;
  processes.record("n", "b");
  nowMs += 2_000;
  assert.equal(processes.record("n", "a", first), "late");
  nowMs += 250;
  const marker = processes.markerOf("n");
  assert.equal(processes.record("n", "a", marker), "accepted");
  // Its first call may have been given up long ago.
  assert.equal(processes.problemOf("n"), "");
  assert.equal(processes.record("n", "b", marker), "refused");
  assert.equal(processes.problemOf("n"), COPIED);
});

Deno.test("Processes shows at once that a process is a copy which has certainly run", async (t) => {
  for (const isReported of [true, false]) {
    await t.step(isReported ? "reported" : "heard here", () => {
      let nowMs = 0;
      const processes = new Processes({
        uptimeMs: () => nowMs,
        onProblem() {},
      });
      processes.record("n", "a");
      nowMs += 3_000;
      processes.record("n", "b", 0, isReported);
      const marker = processes.markerOf("n");
      if (!isReported) processes.record("n", "b", marker);
      nowMs += 2_000;
      assert.equal(processes.record("n", "a", marker), "accepted");
      assert.equal(processes.problemOf("n"), COPIED);
    });
  }
});

Deno.test("Processes shows a refused host for a minute after its last attempt", () => {
  let nowMs = 0;
  const processes = new Processes({ uptimeMs: () => nowMs, onProblem() {} });
  processes.recordStranger("n");
  nowMs = 59_999;
  assert.match(processes.problemOf("n"), /another host tries to join/);
  assert.deepEqual(processes.takeSolved(), []);
  nowMs = 60_000;
  assert.equal(processes.problemOf("n"), "");
  assert.deepEqual(processes.takeSolved(), ["n"]);
  assert.deepEqual(processes.takeSolved(), []);
});

Deno.test("Processes remembers few ids of a node that sends new ones all the time", () => {
  let nowMs = 0;
  const processes = new Processes({ uptimeMs: () => nowMs, onProblem() {} });
  for (let i = 0; i < 20; i++) processes.record("n", `first ${i}`);
  nowMs = 2_000;
  // Only those that are remembered are refused for being later.
  processes.record("n", "first 4");
  const refused = Array.from(
    { length: 20 },
    (_, i) => processes.record("n", `first ${i}`) === "refused" ? 1 : 0,
  ).reduce((sum: number, one) => sum + one, 0);
  assert.equal(refused, 15);
});
