import assert from "node:assert/strict";
import { FirstContact, START_MS } from "../../src/member/first_contact.ts";

/** Whether a wait is over without any time passing. */
async function isOver(wait: Promise<void>): Promise<boolean> {
  const end = Promise.withResolvers<boolean>();
  void wait.then(() => end.resolve(true));
  const timer = setTimeout(() => end.resolve(false), 0);
  try {
    return await end.promise;
  } finally {
    clearTimeout(timer);
  }
}

interface Step {
  readonly name: string;
  readonly contact: FirstContact;
  readonly nowMs: number;
  readonly needed: boolean;
  readonly known: boolean;
}

Deno.test("FirstContact holds calls until a registry has answered", async (t) => {
  let nowMs = 0;
  const create = () => new FirstContact(["http://a", "http://b"], () => nowMs);
  const oneFailed = create();
  oneFailed.noteFailure("http://a");
  oneFailed.noteFailure("http://a");
  const bothFailed = create();
  bothFailed.noteFailure("http://a");
  bothFailed.noteFailure("http://b");
  const made = create();
  made.note();
  const fresh = create();
  const steps: readonly Step[] = [
    {
      ...{ name: "at first", contact: fresh, nowMs: 0 },
      ...{ needed: false, known: false },
    },
    {
      ...{ name: "one has failed", contact: oneFailed, nowMs: 0 },
      ...{ needed: false, known: false },
    },
    {
      ...{ name: "both have failed", contact: bothFailed, nowMs: 0 },
      ...{ needed: false, known: true },
    },
    {
      ...{ name: "one has answered", contact: made, nowMs: 0 },
      ...{ needed: true, known: true },
    },
    {
      ...{ name: "just before the end", contact: fresh, nowMs: START_MS - 1 },
      ...{ needed: false, known: false },
    },
    {
      ...{ name: "long after the start", contact: fresh, nowMs: START_MS },
      ...{ needed: true, known: true },
    },
  ];
  for (const { name, contact, needed, known, ...at } of steps) {
    await t.step(name, async () => {
      nowMs = at.nowMs;
      const end = new AbortController();
      const { signal } = end;
      const waits = [false, true].map((orTried) =>
        contact.wait({ limitMs: 1e9, signal, orTried })
      );
      assert.deepEqual(await Promise.all(waits.map(isOver)), [needed, known]);
      end.abort();
      await Promise.all(waits);
    });
  }
});
