import assert from "node:assert/strict";
import { spawnAgent } from "../support/spawn_agent.ts";
import { type Outcome, STELLAR_CLIENTS } from "../support/stellar_clients.ts";
import { waitFor } from "../support/wait_for.ts";
import { type Expected, type Step, STEPS } from "./stellar_service_steps.ts";

/** The registry's own node and the one that has joined have the first two subnets. */
const SHIFT = 8;

/** The step with the subnets that are left for others. */
function shift([what, call, request, expected]: Step): Step {
  const { says, ...rest } = expected as Record<string, unknown>;
  const wanted = says instanceof RegExp
    ? { ...rest, says: new RegExp(shiftText(says.source)) }
    : JSON.parse(shiftText(JSON.stringify(expected)));
  return [what, call, JSON.parse(shiftText(JSON.stringify(request))), wanted];
}

function shiftText(text: string): string {
  return text.replace(
    /172(\\?\.)16\\?\.(\d+)(?=\\?\.)/g,
    (_, dot, third) => `172${dot}16${dot}${Number(third) + SHIFT}`,
  );
}

function assertOutcome(outcome: Outcome, expected: Expected): void {
  const { says, ...rest } = expected as Record<string, unknown>;
  const message = "message" in outcome ? outcome.message : "";
  assert.deepEqual(
    outcome,
    says instanceof RegExp
      ? { ...rest, message: says.test(message) ? message : String(says) }
      : { answer: expected },
  );
}

for (const [name, connect] of Object.entries(STELLAR_CLIENTS)) {
  Deno.test(`Stellar's service has the same outcomes at an agent that has joined, over ${name}`, async (t) => {
    await using registry = await spawnAgent({
      node: "registry",
      args: ["--store", "kv::memory:"],
    });
    await using joined = await spawnAgent({
      node: "joined",
      args: ["--store", "kv::memory:", "--join", registry.url],
    });
    await using client = connect(joined);
    await t.step("it has joined", async () => {
      let outcome: Outcome | undefined;
      await waitFor("its subnet", async () => {
        outcome = await client.call("GetSubnet", { node: "joined" });
        return "answer" in outcome;
      });
      assert.deepEqual(outcome, { answer: { subnetCidr: "172.16.4.0/22" } });
    });
    for (const [what, call, request, expected] of STEPS.map(shift)) {
      await t.step(`${call}: ${what}`, async () => {
        assertOutcome(await client.call(call, request), expected);
      });
    }
    await t.step(
      "the registry has the changes that were made through it",
      async () => {
        await using other = connect(registry);
        assert.deepEqual(
          await other.call("GetSubnet", { node: "a.b" }),
          { answer: { subnetCidr: "172.16.16.0/22" } },
        );
        assert.deepEqual(
          await other.call("GetIP", { node: "a.b", id: "c1" }),
          { answer: { ip: "172.16.16.2" } },
        );
      },
    );
  });
}
