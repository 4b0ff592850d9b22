import { Lab } from "../lab/lab.ts";
import { HOST_FAULTS, REPAIRED } from "../lab/faults/host_faults.ts";
import {
  createWorld,
  watchFault,
  watchHealth,
  watchRepair,
} from "../lab/faults/watch.ts";

/** This file takes the first half of the table: two labs fit beside each other. */
const MINE = HOST_FAULTS.slice(0, Math.ceil(HOST_FAULTS.length / 2));

Deno.test("doctor names each fault at both ends, and the command that it gives fixes it", async (t) => {
  await using lab = await Lab.create({ hosts: 2 });
  let world = await createWorld(lab);
  await t.step("a healthy host", () => watchHealth(world));
  for (const repair of REPAIRED) {
    await t.step(
      `the agent repairs it: ${repair.name}`,
      () => watchRepair(world, repair),
    );
  }
  for (const fault of MINE) {
    await t.step(fault.name, async () => {
      world = await watchFault(world, fault);
    });
  }
});
