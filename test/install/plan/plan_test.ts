import assert from "node:assert/strict";
import type { Found, Item } from "../../../src/install/plan/item.ts";
import { describeOperation } from "../../../src/install/plan/item.ts";
import type { Entry } from "../../../src/install/plan/manifest.ts";
import {
  type InstallPlan,
  planInstall,
  planRemoval,
} from "../../../src/install/plan/plan.ts";

const PATH = "/etc/x";
const TEXT: Item = {
  kind: "text",
  path: PATH,
  mode: 0o644,
  digest: "new",
  source: "hello",
  isOurs: false,
};
const OURS: Item = { ...TEXT, isOurs: true };
const LINK: Item = { kind: "link", path: PATH, target: "/a", isOurs: false };
const FOLDER: Item = { kind: "folder", path: PATH, mode: 0o700 };

const ENTRY: Entry = { path: PATH, sha256: "new" };
const OLD: Entry = { path: PATH, sha256: "old" };

function file(digest: string, mode = 0o644): Found {
  return { kind: "file", digest, mode };
}

/** A plan in a few words: operations, whether something is kept, and what counts as installed. */
function show({ operations, kept, entries }: InstallPlan): string {
  return [
    ...operations.map(describeOperation),
    ...kept.map(({ why }) => `kept: ${why}`),
    `[${
      entries.map((entry) => "target" in entry ? entry.target : entry.sha256)
    }]`,
  ].join("; ");
}

const WRITE = `Write ${PATH} (mode 0644); [new]`;
const CHANGED = "kept: it was changed since it was installed";
const FOREIGN = "kept: it exists, and this program did not install it; []";

Deno.test("planInstall() installs missing files and replaces our own, and leaves the rest", async (t) => {
  const rows: readonly [
    name: string,
    item: Item,
    found: Found,
    entry: Entry | undefined,
    expected: string,
    forced: string,
  ][] = [
    ["missing", TEXT, { kind: "absent" }, undefined, WRITE, WRITE],
    ["gone since", TEXT, { kind: "absent" }, OLD, WRITE, WRITE],
    ["in place", TEXT, file("new"), ENTRY, "[new]", "[new]"],
    ["in place by chance", TEXT, file("new"), undefined, "[new]", "[new]"],
    [
      "another mode",
      ...[TEXT, file("new", 0o600), ENTRY] as const,
      `Give ${PATH} the mode 0644; [new]`,
      `Give ${PATH} the mode 0644; [new]`,
    ],
    ["of an older version", TEXT, file("old"), OLD, WRITE, WRITE],
    ["edited", TEXT, file("mine"), OLD, `${CHANGED}; [old]`, WRITE],
    ["somebody else's", TEXT, file("mine"), undefined, FOREIGN, WRITE],
    [
      "a link in its place",
      TEXT,
      { kind: "link", target: "/b" },
      undefined,
      FOREIGN,
      WRITE,
    ],
    [
      "a folder in its place",
      ...[TEXT, { kind: "folder" }, undefined] as const,
      ...["kept: it is a folder; []", "kept: it is a folder; []"] as const,
    ],
    ["ours, whatever is there", OURS, file("mine"), undefined, WRITE, WRITE],
    [
      "ours, and edited: known as edited after that",
      ...[OURS, file("mine"), OLD] as const,
      `Write ${PATH} (mode 0644); [old]`,
      `Write ${PATH} (mode 0644); [old]`,
    ],
    [
      "a link that is missing",
      ...[LINK, { kind: "absent" }, undefined] as const,
      ...[`Link ${PATH} to /a; [/a]`, `Link ${PATH} to /a; [/a]`] as const,
    ],
    [
      "a link in place",
      LINK,
      { kind: "link", target: "/a" },
      undefined,
      "[/a]",
      "[/a]",
    ],
    [
      "a link that leads elsewhere",
      ...[LINK, { kind: "link", target: "/b" }, undefined] as const,
      ...[FOREIGN, `Link ${PATH} to /a; [/a]`] as const,
    ],
    [
      "a link that has led elsewhere",
      ...[LINK, { kind: "link", target: "/b" }] as const,
      { path: PATH, target: "/b" },
      ...[`Link ${PATH} to /a; [/a]`, `Link ${PATH} to /a; [/a]`] as const,
    ],
    [
      "a folder that is missing",
      ...[FOLDER, { kind: "absent" }, undefined] as const,
      `Create the folder ${PATH} (mode 0700); []`,
      `Create the folder ${PATH} (mode 0700); []`,
    ],
    ["a folder", FOLDER, { kind: "folder" }, undefined, "[]", "[]"],
  ];
  for (const [name, item, there, entry, expected, forced] of rows) {
    await t.step(name, () => {
      const found = new Map([[PATH, there]]);
      const entries = entry ? [entry] : [];
      const plan = (force: boolean) =>
        show(planInstall([item], { found, entries, force }));
      assert.deepEqual([plan(false), plan(true)], [expected, forced]);
    });
  }
});

Deno.test("planRemoval() removes what is as it was installed", async (t) => {
  const rows: readonly [
    name: string,
    found: Found,
    expected: string,
    forced: string,
  ][] = [
    ["gone", { kind: "absent" }, "[]", "[]"],
    ["as installed", file("old"), `Remove ${PATH}; []`, `Remove ${PATH}; []`],
    ["edited", file("mine"), `${CHANGED}; [old]`, `Remove ${PATH}; []`],
    [
      "a link now",
      { kind: "link", target: "/b" },
      `${CHANGED}; [old]`,
      `Remove ${PATH}; []`,
    ],
    [
      "a folder now",
      { kind: "folder" },
      "kept: it is a folder; [old]",
      "kept: it is a folder; [old]",
    ],
  ];
  for (const [name, there, expected, forced] of rows) {
    await t.step(name, () => {
      const state = { found: new Map([[PATH, there]]), entries: [OLD] };
      assert.equal(show(planRemoval({ ...state, force: false })), expected);
      assert.equal(show(planRemoval({ ...state, force: true })), forced);
      // What an installation has no more goes in the same way.
      assert.equal(show(planInstall([], { ...state, force: false })), expected);
    });
  }
});
