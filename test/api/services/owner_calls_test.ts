import assert from "node:assert/strict";
import {
  CallValues,
  LOST_CONNECTION,
} from "../../../src/api/access/call_context.ts";
import { OwnerCalls } from "../../../src/api/services/owner_calls.ts";
import { owner } from "../../addresses/plan/pools.ts";

/** A call about the owner `c1`, which a test settles step by step. */
interface Call {
  /** Lets the handler answer. */
  answer(result?: { allocation?: string; undo?: string }): Promise<void>;
  fail(): Promise<void>;
  settle(isDelivered: boolean): Promise<void>;
  /** Whether the handler has begun. */
  readonly hasBegun: () => boolean;
}

/** Calls about one owner, with the undos that ran. */
function createCalls() {
  const calls = new OwnerCalls();
  const undone: string[] = [];
  let release = () => {};
  const start = (): Call => {
    const values = new CallValues(LOST_CONNECTION);
    const answered = Promise.withResolvers<
      { response: string; allocation?: string; undo?: () => Promise<void> }
    >();
    let begun = false;
    const done = calls.run({ node: "a", owner: owner("c1"), values }, () => {
      begun = true;
      return answered.promise;
    }).catch(() => {});
    return {
      hasBegun: () => begun,
      async answer({ allocation, undo } = {}) {
        answered.resolve({
          response: "",
          ...allocation !== undefined && { allocation },
          ...undo !== undefined && {
            undo: async () => {
              await new Promise<void>((resolve) => release = resolve);
              undone.push(undo);
            },
          },
        });
        await done;
      },
      async fail() {
        answered.reject(new Error("refused"));
        await done;
      },
      async settle(isDelivered) {
        values.settle(isDelivered);
        await turn();
      },
    };
  };
  const finishUndo = async () => {
    release();
    await turn();
  };
  return { calls, undone, start, finishUndo };
}

const turn = () => new Promise((resolve) => setTimeout(resolve, 0));

type Setup = ReturnType<typeof createCalls>;

const ROWS: readonly [
  name: string,
  act: (setup: Setup) => Promise<void>,
  undone: readonly string[],
][] = [
  ["undoes an allocation whose answer was lost", async ({ start }) => {
    const first = start();
    await first.answer({ allocation: "1", undo: "1" });
    await first.settle(false);
  }, ["1"]],
  [
    "undoes it also when the answer was lost before it was there",
    async ({ start }) => {
      const first = start();
      await first.settle(false);
      await first.answer({ allocation: "1", undo: "1" });
    },
    ["1"],
  ],
  ["keeps an allocation whose answer was delivered", async ({ start }) => {
    const first = start();
    await first.answer({ allocation: "1", undo: "1" });
    await first.settle(true);
  }, []],
  ["keeps what a retry was told", async ({ start }) => {
    const first = start();
    const retry = start();
    await first.answer({ allocation: "1", undo: "1" });
    await first.settle(false);
    await retry.answer({ allocation: "1" });
    await retry.settle(true);
  }, []],
  ["keeps what an earlier call is told later", async ({ start }) => {
    const earlier = start();
    const first = start();
    await first.answer({ allocation: "1", undo: "1" });
    await first.settle(false);
    await earlier.answer({ allocation: "1" });
    await earlier.settle(true);
  }, []],
  ["undoes it once when the retry is lost too", async ({ start }) => {
    const first = start();
    const retry = start();
    await first.answer({ allocation: "1", undo: "1" });
    await retry.answer({ allocation: "1" });
    await first.settle(false);
    await retry.settle(false);
  }, ["1"]],
  ["undoes it when the retry fails", async ({ start }) => {
    const first = start();
    const retry = start();
    await first.answer({ allocation: "1", undo: "1" });
    await first.settle(false);
    await retry.fail();
  }, ["1"]],
  [
    "undoes a later allocation although the first was delivered",
    async ({ start }) => {
      const first = start();
      const second = start();
      await first.answer({ allocation: "1", undo: "1" });
      await first.settle(true);
      await second.answer({ allocation: "2", undo: "2" });
      await second.settle(false);
    },
    ["2"],
  ],
];

Deno.test("OwnerCalls.run()", async (t) => {
  for (const [name, act, undone] of ROWS) {
    await t.step(name, async () => {
      const setup = createCalls();
      await act(setup);
      await setup.finishUndo();
      assert.deepEqual(setup.undone, undone);
      assert.equal(setup.calls.size, 0);
    });
  }
});

Deno.test("OwnerCalls.run() lets a new call wait for an undo that runs", async () => {
  const { undone, calls, start, finishUndo } = createCalls();
  const first = start();
  await first.answer({ allocation: "1", undo: "1" });
  await first.settle(false);
  const next = start();
  await turn();
  assert.equal(next.hasBegun(), false);
  await finishUndo();
  assert.equal(next.hasBegun(), true);
  await next.answer({ allocation: "2", undo: "2" });
  await next.settle(true);
  assert.deepEqual(undone, ["1"]);
  assert.equal(calls.size, 0);
});
