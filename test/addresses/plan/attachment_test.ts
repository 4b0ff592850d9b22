import assert from "node:assert/strict";
import type { FoundNamespace } from "../../../src/net/namespace.ts";
import {
  type Attachment,
  CONSEQUENCES,
  type Del,
  isReleasedBy,
  type Presence,
  presenceOf,
} from "../../../src/addresses/plan/attachment.ts";

const ID = { inode: 7, since: "mount 1" };
const OTHER = { inode: 8, since: "mount 1" };
/** The kernel has used the number again. */
const REUSED = { inode: 7, since: "mount 2" };
const ATTACHED: Attachment = {
  netns: "/run/netns/c1",
  namespace: ID,
  netnsSeen: true,
  bootId: "now",
};
const { namespace: _, ...UNSEEN } = { ...ATTACHED, netnsSeen: false };
const { namespace: __, ...OLD } = ATTACHED;
const there = (id = ID): FoundNamespace => ({ kind: "there", id });
const GONE: FoundNamespace = { kind: "gone" };
const UNKNOWN: FoundNamespace = { kind: "unknown" };

Deno.test("presenceOf() knows a container by boot and namespace", async (t) => {
  const rows: readonly [
    name: string,
    attachment: Attachment,
    found: FoundNamespace,
    presence: Presence,
  ][] = [
    ["its namespace", ATTACHED, there(), "running"],
    ["another namespace at its path", ATTACHED, there(OTHER), "gone"],
    ["its inode, used again", ATTACHED, there(REUSED), "gone"],
    ["nothing at its path", ATTACHED, GONE, "gone"],
    ["a path that nobody sees", ATTACHED, UNKNOWN, "unknown"],
    ["another boot", { ...ATTACHED, bootId: "before" }, there(), "other boot"],
    [
      "another boot, no path",
      { ...UNSEEN, netns: "", bootId: "" },
      UNKNOWN,
      "other boot",
    ],
    ["no path", { ...ATTACHED, netns: "" }, UNKNOWN, "unknown"],
    ["never seen, and not there", UNSEEN, GONE, "unknown"],
    ["never seen, and there now", UNSEEN, there(), "unknown"],
    ["an old record, and something there", OLD, there(), "running"],
    ["an old record, and nothing there", OLD, GONE, "gone"],
  ];
  for (const [name, attachment, found, presence] of rows) {
    await t.step(name, () => {
      assert.equal(presenceOf(attachment, { bootId: "now", found }), presence);
    });
  }
});

Deno.test("CONSEQUENCES refuses an ADD only for a running container, and takes only from one that is gone", () => {
  const rows = Object.entries(CONSEQUENCES).map(([presence, of]) =>
    [presence, of.add, of.otherDel, of.leak, of.givesWay].join(" ")
  );
  assert.deepEqual(rows, [
    "running refuse keep never false",
    "unknown renew release never false",
    "gone renew release after grace false",
    "other boot renew release at once true",
  ]);
});

Deno.test("isReleasedBy() releases the container that a DEL names, and no running other", async (t) => {
  const del = (change: Partial<Del> = {}): Del => ({
    netns: "/run/netns/c1",
    found: there(),
    bootId: "now",
    ...change,
  });
  const superseded = { ...ATTACHED, supersedes: ["5", "6"] };
  const rows: readonly [
    name: string,
    attachment: Attachment,
    del: Del,
    presence: Presence,
    isReleased: boolean,
  ][] = [
    ["its namespace", ATTACHED, del(), "running", true],
    [
      "its namespace by another path",
      ATTACHED,
      del({ netns: "/proc/1/ns/net" }),
      "running",
      true,
    ],
    [
      "no namespace",
      ATTACHED,
      del({ netns: "", found: UNKNOWN }),
      "running",
      true,
    ],
    ["its path, gone", ATTACHED, del({ found: GONE }), "gone", true],
    [
      "its path, not visible",
      ATTACHED,
      del({ found: UNKNOWN }),
      "running",
      true,
    ],
    [
      "its path, gone before it ran",
      ATTACHED,
      del({ found: GONE }),
      "running",
      false,
    ],
    [
      "another namespace",
      ATTACHED,
      del({ found: there(OTHER) }),
      "running",
      false,
    ],
    [
      "its inode, used before",
      ATTACHED,
      del({ found: there(REUSED) }),
      "running",
      false,
    ],
    [
      "another path, gone",
      ATTACHED,
      del({ netns: "/b", found: GONE }),
      "running",
      false,
    ],
    [
      "another namespace, and it is gone",
      ATTACHED,
      del({ found: there(OTHER) }),
      "gone",
      true,
    ],
    [
      "another boot before",
      ATTACHED,
      del({ bootId: "before" }),
      "running",
      false,
    ],
    [
      "this boot, of another boot's",
      { ...ATTACHED, bootId: "before" },
      del(),
      "other boot",
      true,
    ],
    ["an unknown boot", ATTACHED, del({ bootId: "" }), "running", true],
    ["superseded", superseded, del({ queuedAs: "6" }), "running", false],
    ["queued later", superseded, del({ queuedAs: "7" }), "running", true],
    ["not seen, another path", UNSEEN, del({ netns: "/b" }), "unknown", true],
  ];
  for (const [name, attachment, del, presence, isReleased] of rows) {
    await t.step(name, () => {
      assert.equal(isReleasedBy(attachment, del, presence), isReleased);
    });
  }
});
