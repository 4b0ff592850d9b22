import assert from "node:assert/strict";
import { settled, startInOrder } from "../lab/cluster.ts";
import { DeletionMonitor } from "../lab/deletion_monitor.ts";
import { Lab } from "../lab/lab.ts";
import type { LabAgent } from "../lab/lab_agent.ts";
import { allDone } from "../support/all_done.ts";

/** How many pings are answered before an agent ends, while it is gone, and after its return. */
const SOME_PINGS = 30;
const PER_SECOND = 100;

/** How an agent ends. */
const ENDS: readonly (readonly [
  what: string,
  end: (agent: LabAgent) => Promise<number>,
])[] = [
  ["stopped", (agent) => agent.stop()],
  ["killed", (agent) => agent.kill()],
];

/** Whose agent ends, by the number of its host. */
const AGENTS: readonly (readonly [whose: string, host: number])[] = [
  ["of the sender's host", 2],
  ["of the receiver's host", 3],
  ["with the registry", 1],
];

/** The second address of the receiver's host. */
const OTHER_ADDRESS = "198.18.0.113";

Deno.test("two containers exchange 100 packets a second and lose none while an agent ends and returns", async (t) => {
  await using lab = await Lab.create({ hosts: 3, startAgents: false });
  const members = await startInOrder(lab);
  await settled(members);
  const [sender, receiver] = await allDone(
    [2, 3].map((number) => lab.host(number).addContainer("c1")),
  );
  /** Ends an agent, lets it be away for a while, starts it, and counts what was lost meanwhile. */
  const losesNothing = async (
    number: number,
    end: (agent: LabAgent) => Promise<unknown>,
    isBack: () => Promise<void>,
  ) => {
    const { agent } = lab.host(number);
    await using pinger = sender!.startPing(receiver!.address, {
      perSecond: PER_SECOND,
    });
    const somePings = async () => {
      const wanted = pinger.received + SOME_PINGS;
      await lab.waitFor("pings", () => pinger.received >= wanted);
    };
    await somePings();
    await end(agent);
    assert.equal(agent.isRunning, false);
    await somePings();
    await agent.start();
    await lab.host(number).joined();
    await isBack();
    await somePings();
    const { sent, lost } = await pinger.stop();
    assert.equal(lost, 0, `${lost} of ${sent} were lost`);
  };

  await using monitor = await DeletionMonitor.start(lab.hosts);
  for (const [whose, number] of AGENTS) {
    for (const [what, end] of ENDS) {
      await t.step(`the agent ${whose} is ${what}`, async () => {
        await losesNothing(number, end, () => settled(members));
      });
    }
  }
  await t.step("no route was deleted, however shortly", async () => {
    assert.deepEqual(await monitor.stop(), []);
  });
  await t.step("a host returns with another address", async () => {
    const { address } = lab.host(3);
    await lab.host(3).ip(`address add ${OTHER_ADDRESS}/24 dev eth0`);
    const change = async (agent: LabAgent) => {
      await agent.stop();
      agent.flags = agent.flags.map((flag) =>
        flag === address ? OTHER_ADDRESS : flag
      );
    };
    await losesNothing(3, change, async () => {
      await lab.waitFor(
        "the new next hop",
        async () =>
          (await lab.host(2).ip(`route get ${receiver!.address}`))
            .includes(`via ${OTHER_ADDRESS} `),
      );
    });
  });
});
