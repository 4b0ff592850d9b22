import { Lab } from "../lab/lab.ts";
import { HOST_FAULTS } from "../lab/faults/host_faults.ts";
import { createWorld, watchFault } from "../lab/faults/watch.ts";

/** The second half of the table: see doctor_faults_test.ts. */
const MINE = HOST_FAULTS.slice(Math.ceil(HOST_FAULTS.length / 2));

Deno.test("doctor names each of the other faults at both ends, and the command that it gives fixes it", async (t) => {
  await using lab = await Lab.create({ hosts: 2 });
  let world = await createWorld(lab);
  for (const fault of MINE) {
    await t.step(fault.name, async () => {
      world = await watchFault(world, fault);
    });
  }
});
