import assert from "node:assert/strict";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { WatchAllocationsResponseSchema } from "../../../../src/gen/stellar/net/v1/ipam_pb.ts";
import {
  type AllocationsState,
  applyAllocations,
  NO_ALLOCATIONS,
} from "../../../../src/ui/page/plan/allocation_view.ts";

type Message = MessageInitShape<typeof WatchAllocationsResponseSchema>;

function held(containerId: string, id: string) {
  return { owner: { containerId }, id };
}

function apply(messages: readonly Message[]): AllocationsState {
  return messages.reduce(
    (state: AllocationsState, message) =>
      applyAllocations(state, create(WatchAllocationsResponseSchema, message)),
    NO_ALLOCATIONS,
  );
}

const SNAPSHOT = {
  snapshot: true,
  revision: "1",
  allocations: [held("a", "1"), held("b", "2")],
};

Deno.test("applyAllocations() keeps the allocations of a node by their owner", async (t) => {
  const rows: readonly [
    name: string,
    messages: readonly Message[],
    ids: string | undefined,
    revision: string,
  ][] = [
    ["progress before the snapshot", [{ progress: true }], undefined, ""],
    ["a snapshot", [SNAPSHOT], "1 2", "1"],
    ["an empty snapshot", [{ snapshot: true, revision: "1" }], "", "1"],
    [
      "a part of a snapshot",
      [
        { ...SNAPSHOT, revision: "", more: true },
      ],
      undefined,
      "",
    ],
    [
      "a snapshot in parts",
      [
        { ...SNAPSHOT, revision: "", more: true },
        { snapshot: true, revision: "2", allocations: [held("c", "3")] },
      ],
      "1 2 3",
      "2",
    ],
    [
      "a new container",
      [SNAPSHOT, {
        revision: "2",
        allocations: [held("c", "3")],
      }],
      "1 2 3",
      "2",
    ],
    [
      "a renewed allocation",
      [SNAPSHOT, {
        revision: "2",
        allocations: [held("a", "4")],
      }],
      "4 2",
      "2",
    ],
    [
      "a container that is gone",
      [SNAPSHOT, {
        revision: "2",
        removed: [held("a", "1")],
      }],
      "2",
      "2",
    ],
    [
      "one whose last change alone has come",
      [SNAPSHOT, {
        revision: "2",
        removed: [held("a", "9")],
      }],
      "2",
      "2",
    ],
    ["progress", [SNAPSHOT, { progress: true, revision: "3" }], "1 2", "3"],
    [
      "a problem keeps what was known",
      [SNAPSHOT, {
        problem: "it is silent",
      }],
      "1 2",
      "1",
    ],
    [
      "a snapshot replaces all",
      [SNAPSHOT, {
        snapshot: true,
        revision: "5",
        allocations: [held("c", "3")],
      }],
      "3",
      "5",
    ],
  ];
  for (const [name, messages, ids, revision] of rows) {
    await t.step(name, () => {
      const state = apply(messages);
      const known = state.byOwner &&
        [...state.byOwner.values()].map(({ id }) => id).join(" ");
      assert.equal(known, ids);
      assert.equal(state.revision, revision);
    });
  }
});

Deno.test("applyAllocations() changes nothing without a change", () => {
  const before = apply([SNAPSHOT]);
  const after = applyAllocations(
    before,
    create(WatchAllocationsResponseSchema, { progress: true, revision: "2" }),
  );
  assert.equal(after.byOwner, before.byOwner);
});
