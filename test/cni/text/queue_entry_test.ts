import assert from "node:assert/strict";
import fc from "fast-check";
import {
  decodeQueueEntry,
  encodeQueueEntry,
  isQueueFileName,
  queueFileName,
} from "../../../src/cni/text/queue_entry.ts";

const OWNER = { network: "net", containerId: "c1", interfaceName: "eth0" };
const ENTRY = { version: 1, owner: OWNER, requestedAtMs: 1_700_000_000_000 };

Deno.test("decodeQueueEntry() reads what encodeQueueEntry() wrote", () => {
  const name = fc.stringMatching(/^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,252}$/);
  const interfaceName = fc.stringMatching(/^[a-z][!-.0-9;-~]{0,14}$/);
  fc.assert(fc.property(
    name,
    name,
    interfaceName,
    fc.maxSafeNat(),
    fc.record({
      netns: fc.string(),
      found: fc.constantFrom(
        { kind: "gone" as const },
        { kind: "there" as const, id: { inode: 7, since: "mount 1" } },
      ),
      bootId: fc.uuid(),
      undoes: fc.uuid(),
    }, { requiredKeys: [] }),
    (network, containerId, interfaceName, requestedAtMs, more) => {
      const entry = {
        owner: { network, containerId, interfaceName },
        requestedAtMs,
        ...more,
      };
      assert.deepEqual(decodeQueueEntry(encodeQueueEntry(entry)), entry);
    },
  ));
});

Deno.test("encodeQueueEntry() keeps its format", () => {
  assert.equal(
    encodeQueueEntry({ owner: OWNER, requestedAtMs: 1_700_000_000_000 }),
    '{"version":2,"owner":{"network":"net","containerId":"c1",' +
      '"interfaceName":"eth0"},"requestedAtMs":1700000000000}\n',
  );
});

Deno.test("decodeQueueEntry() refuses every part of a file, and every other content", async (t) => {
  const whole = encodeQueueEntry({ owner: OWNER, requestedAtMs: 5 }).trim();
  await t.step("a file cut off anywhere", () => {
    for (let length = 0; length < whole.length; length++) {
      assert.throws(() => decodeQueueEntry(whole.slice(0, length)), RangeError);
    }
  });
  const rows: readonly [name: string, value: unknown, text: string][] = [
    ["a list", [], "its keys are not"],
    ["null", null, "its keys are not"],
    ["a key more", { ...ENTRY, x: 1 }, "its keys are not"],
    ["another version", { ...ENTRY, version: 3 }, "its version is not 1 or 2"],
    [
      "version 1 with a namespace",
      { ...ENTRY, netns: "/a" },
      "its keys are not",
    ],
    ["an unknown namespace", { ...ENTRY, version: 2, found: {} }, "found.kind"],
    [
      "a namespace without an inode",
      { ...ENTRY, version: 2, found: { kind: "there", id: {} } },
      "found.id.inode: it is missing",
    ],
    ["no owner", { ...ENTRY, owner: null }, "its owner is not"],
    [
      "an owner with a key more",
      { ...ENTRY, owner: { ...OWNER, x: 1 } },
      "its owner is not",
    ],
    [
      "a number for a name",
      { ...ENTRY, owner: { ...OWNER, network: 1 } },
      "it is not text",
    ],
    [
      "a slash in an id",
      { ...ENTRY, owner: { ...OWNER, containerId: "a/b" } },
      '"a/b" is not',
    ],
    [
      "an empty interface",
      { ...ENTRY, owner: { ...OWNER, interfaceName: "" } },
      '"" is not',
    ],
    ["a time below 0", { ...ENTRY, requestedAtMs: -1 }, "is not a time"],
    ["half a millisecond", { ...ENTRY, requestedAtMs: 0.5 }, "is not a time"],
    ["a text for a time", { ...ENTRY, requestedAtMs: "5" }, "is not a time"],
  ];
  for (const [name, value, text] of rows) {
    await t.step(name, () => {
      assert.throws(
        () => decodeQueueEntry(JSON.stringify(value)),
        (error) => error instanceof RangeError && error.message.includes(text),
      );
    });
  }
  await t.step("megabytes", () => {
    assert.throws(() => decodeQueueEntry(" ".repeat(1e6) + whole), RangeError);
  });
});

Deno.test("queueFileName() gives names that sort by time and are known again", async (t) => {
  const id = "236473d8-0b09-43ef-b969-7447746d0a15";
  const name = queueFileName(1_700_000_000_000, id);
  assert.equal(name, `1700000000000-${id}.json`);
  assert.ok(queueFileName(999, id) < name);
  const rows: readonly [name: string, isEntry: boolean][] = [
    [name, true],
    [queueFileName(999, id), true],
    [`.tmp-${id}`, false],
    [`${name}.bad`, false],
    ["README", false],
    [`170000000000-${id}.json`, false],
  ];
  for (const [text, isEntry] of rows) {
    await t.step(text, () => assert.equal(isQueueFileName(text), isEntry));
  }
});

Deno.test("decodeQueueEntry() reads version 1", () => {
  const entry = { owner: OWNER, requestedAtMs: 5 };
  const text = JSON.stringify({ version: 1, ...entry });
  assert.deepEqual(decodeQueueEntry(text), entry);
});
