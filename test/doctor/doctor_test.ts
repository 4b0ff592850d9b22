import assert from "node:assert/strict";
import { Doctor, type DoctorOptions } from "../../src/doctor/doctor.ts";
import { NetError } from "../../src/base/error.ts";
import { ClusterView } from "../../src/registry/feed.ts";

Deno.test("Doctor.examine() waits five seconds for an agent that does not know the others yet", async () => {
  let nowMs = 0;
  const member = {
    current() {
      nowMs += 1_000;
      return Promise.resolve(new ClusterView());
    },
    link: { state: "unreachable", problem: "no answer" },
  };
  const doctor = new Doctor(
    { agent: { member }, now: () => nowMs } as unknown as DoctorOptions,
  );
  await assert.rejects(doctor.examine("b"), {
    code: "unavailable",
    message: /has not heard of the others yet: no answer;/,
  });
  assert.equal(nowMs, 5_000);
});

Deno.test("Doctor.examine() shares one examination among all that ask while another is under way", async () => {
  let begun = 0;
  const pending: (() => void)[] = [];
  const member = {
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
    doctor.examine(peer).then(() => "", ({ message }: NetError) => message);
  const first = ask();
  const others = Array.from({ length: 300 }, () => ask());
  const path = ask("b");
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
