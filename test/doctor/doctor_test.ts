import assert from "node:assert/strict";
import { Doctor, type DoctorOptions } from "../../src/doctor/doctor.ts";
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
