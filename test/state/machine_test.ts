import assert from "node:assert/strict";
import {
  acceptMachine,
  identifyState,
  isMachineKey,
  isOtherMachine,
  type Machine,
} from "../../src/state/machine.ts";
import { openDenoKv } from "../../src/store/deno_kv/deno_kv.ts";

const ONE: Machine = { machineId: "m1", productUuid: "u1", macs: ["a", "b"] };
const OTHER: Machine = { machineId: "m2", productUuid: "u2", macs: ["c"] };

const CASES: readonly [name: string, found: Machine, isOther: boolean][] = [
  ["the same", ONE, false],
  ["another one", OTHER, true],
  ["a new network card", { ...ONE, macs: ["c"] }, false],
  ["one of two network cards", { ...ONE, macs: ["b"] }, false],
  ["a new installation", { ...ONE, machineId: "m2" }, false],
  ["a new mainboard", { ...ONE, productUuid: "u2" }, false],
  ["a clone with its machine id", { ...OTHER, machineId: "m1" }, true],
  ["a clone of a container image", {
    machineId: "m1",
    productUuid: "",
    macs: ["c"],
  }, true],
  ["nothing in common but the network", { ...OTHER, macs: ["a"] }, true],
  ["nothing known", { machineId: "", productUuid: "", macs: [] }, false],
  [
    "only the machine id known",
    { machineId: "m1", productUuid: "", macs: [] },
    false,
  ],
  ["only another machine id known", {
    machineId: "m2",
    productUuid: "",
    macs: [],
  }, true],
];

Deno.test("isOtherMachine() weighs what is known of both machines", async (t) => {
  for (const [name, found, isOther] of CASES) {
    await t.step(name, () => {
      assert.equal(isOtherMachine(ONE, found), isOther);
      assert.equal(isOtherMachine(found, ONE), isOther);
    });
  }
});

Deno.test("identifyState() gives a copy on another machine an id of its own, until it is accepted", async () => {
  const store = await openDenoKv({ path: ":memory:" });
  let ids = 0;
  const identify = (machine: Machine | undefined, hostsRegistry = false) =>
    identifyState(store, {
      ...machine && { machine },
      randomId: () => `id${++ids}`,
      hostsRegistry,
    });
  // A state of an older program, then of this one.
  assert.deepEqual(await identify(undefined), { instanceId: "id1" });
  assert.deepEqual(await identify(ONE, true), { instanceId: "id1" });
  assert.deepEqual(await identify(ONE, true), { instanceId: "id1" });
  await assert.rejects(identify(OTHER, true), {
    code: "failed_precondition",
    message: /made on another machine.*"stellar-net node accept"/,
  });
  const copy = await identify(OTHER);
  assert.equal(copy.instanceId, "id2");
  // A restart keeps it; back on its machine the state is what it was.
  assert.equal((await identify(OTHER)).instanceId, "id2");
  assert.deepEqual(await identify(ONE), { instanceId: "id1" });
  const again = await identify(OTHER);
  await again.acceptMachine!();
  const accepted = await identify(OTHER);
  assert.deepEqual(accepted, { instanceId: again.instanceId });
  assert.notEqual((await identify(ONE)).instanceId, accepted.instanceId);
  await store.close();
});

Deno.test("identifyState() follows small changes of a machine", async () => {
  const store = await openDenoKv({ path: ":memory:" });
  const options = { randomId: () => "id", hostsRegistry: true };
  const steps = [ONE, { ...ONE, macs: ["c"] }, {
    ...ONE,
    machineId: "m2",
    macs: ["c"],
  }];
  for (const machine of steps) {
    assert.equal(
      (await identifyState(store, { ...options, machine })).acceptMachine,
      undefined,
    );
  }
  await store.close();
});

Deno.test("acceptMachine() makes a machine that of a registry's state", async () => {
  const store = await openDenoKv({ path: ":memory:" });
  const options = { randomId: () => "id", hostsRegistry: true };
  await identifyState(store, { ...options, machine: ONE });
  await acceptMachine(store, { machine: OTHER });
  assert.deepEqual(await identifyState(store, { ...options, machine: OTHER }), {
    instanceId: "id",
  });
  const keys = [];
  for await (const { key } of store.list(["agent"])) {
    if (isMachineKey(key)) keys.push(key.join(" "));
  }
  assert.deepEqual(keys, ["agent machine"]);
  await store.close();
});
