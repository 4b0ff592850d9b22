import assert from "node:assert/strict";
import { Doctor, type DoctorOptions } from "../../src/doctor/doctor.ts";
import { NetError } from "../../src/base/error.ts";
import type { ContactWait } from "../../src/member/first_contact.ts";
import { ClusterView } from "../../src/registry/feed.ts";

const WAIT: ContactWait = {
  limitMs: 7_000,
  signal: new AbortController().signal,
};

/** Examines the path to a node that a member does not know. Returns the time in ms that this took. */
async function searchMs(
  link: { readonly state: string; readonly problem: string },
  error: { readonly code: string; readonly message: RegExp },
): Promise<number> {
  let nowMs = 0;
  const member = {
    contacted({ limitMs }: ContactWait) {
      nowMs += limitMs;
      return Promise.resolve();
    },
    current() {
      nowMs += 1_000;
      return Promise.resolve(new ClusterView());
    },
    link,
  };
  const doctor = new Doctor(
    { agent: { member }, now: () => nowMs } as unknown as DoctorOptions,
  );
  await assert.rejects(doctor.examine("b", WAIT), error);
  return nowMs - WAIT.limitMs;
}

Deno.test("Doctor.examine() waits for the first contact and then for the first snapshot", async () => {
  const isCut = { state: "unreachable", problem: "no answer" };
  const unheard = /has not heard of the others yet/;
  assert.equal(
    await searchMs(isCut, {
      code: "unavailable",
      message: /has not heard of the others yet: no answer;/,
    }),
    1_000,
  );
  assert.equal(
    await searchMs({ state: "joined", problem: "" }, {
      code: "unavailable",
      message: unheard,
    }),
    5_000,
  );
  assert.equal(
    await searchMs({ state: "hosted", problem: "" }, {
      code: "not_found",
      message: /no node has that name/,
    }),
    5_000,
  );
});

Deno.test("Doctor.examine() shares one examination among all that ask while another is under way", async () => {
  let begun = 0;
  const pending: (() => void)[] = [];
  const member = {
    contacted: () => Promise.resolve(),
    current() {
      const run = ++begun;
      const { promise, reject } = Promise.withResolvers<never>();
      pending.push(() => reject(new NetError("internal", `run ${run}`)));
      return promise;
    },
  };
  const doctor = new Doctor(
    { agent: { member }, now: () => 0 } as unknown as DoctorOptions,
  );
  const ask = (peer?: string) =>
    doctor.examine(peer, WAIT).then(
      () => "",
      ({ message }: NetError) => message,
    );
  const first = ask();
  const others = Array.from({ length: 300 }, () => ask());
  const path = ask("b");
  await Promise.resolve();
  assert.equal(begun, 2);
  pending.shift()!();
  assert.equal(await first, "run 1");
  pending.shift()!();
  assert.equal(await path, "run 2");
  assert.equal(begun, 3);
  pending.shift()!();
  assert.deepEqual(new Set(await Promise.all(others)), new Set(["run 3"]));
  const later = ask();
  assert.equal(begun, 4);
  pending.shift()!();
  assert.equal(await later, "run 4");
});
