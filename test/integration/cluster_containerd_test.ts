import assert from "node:assert/strict";
import { settled, startInOrder } from "../lab/cluster.ts";
import { Lab } from "../lab/lab.ts";
import { allDone } from "../support/all_done.ts";
import { Containerd } from "../support/containerd.ts";

/** The containers of each host. Their ids are unique on the machine that all are on. */
const IDS = [["a1", "a2"], ["b1", "b2"]];

/** The address of a container's own interface. */
async function addressOf(containerd: Containerd, id: string): Promise<string> {
  const { stdout } = await containerd.exec(id, ["ip", "-o", "-4", "address"]);
  return /eth0 +inet ([\d.]+)\//.exec(stdout)?.[1] ?? stdout;
}

Deno.test("containers of containerd on two hosts reach each other", async (t) => {
  await using lab = await Lab.create({ hosts: 2, startAgents: false });
  await settled(await startInOrder(lab));
  const [a, b] = lab.hosts;
  await using first = await Containerd.start(
    a!,
    JSON.stringify(await a!.conflist()),
  );
  await using second = await Containerd.start(
    b!,
    JSON.stringify(await b!.conflist()),
  );
  const runtimes = [first, second];
  const runs = runtimes.map((one, index) =>
    IDS[index]!.map((id) => one.runContainer(id))
  );
  await allDone(runtimes.map((one) => one.running(2)));
  const addresses = await allDone(
    runtimes.map((one, index) =>
      allDone(IDS[index]!.map((id) => addressOf(one, id)))
    ),
  );
  await t.step("each has an address of its host's subnet", () => {
    assert.deepEqual(addresses.map((own) => own.toSorted()), [
      ["172.16.0.2", "172.16.0.3"],
      ["172.16.4.2", "172.16.4.3"],
    ]);
  });
  for (const [index, one] of runtimes.entries()) {
    for (const id of IDS[index]!) {
      await t.step(`${id} reaches all of them`, async () => {
        for (const target of addresses.flat()) {
          const line = ["ping", "-c", "1", "-w", "5", target];
          const { code, stdout, stderr } = await one.exec(id, line);
          assert.equal(code, 0, `${target}: ${stdout}${stderr}`);
        }
      });
    }
  }
  await t.step("when they are killed, their addresses are free", async () => {
    for (const [index, one] of runtimes.entries()) {
      for (const id of IDS[index]!) await one.kill(id);
    }
    await allDone(runs.flat());
    for (const host of lab.hosts) {
      const { allocations } = await host.ask<{ allocations: unknown[] }>(
        "ip list",
      );
      assert.deepEqual(allocations, []);
    }
  });
});
