import assert from "node:assert/strict";
import { createNamespace } from "../support/namespace.ts";
import { spawnAgent } from "../support/spawn_agent.ts";

const ROUTES = ["--routes", "apply", "--no-blackhole"];

Deno.test("of two agents with one route protocol number in a network namespace, the second does not start", async () => {
  await using host = await createNamespace("net", "ip link set lo up");
  const { within } = host;
  const start = (node: string, ...flags: string[]) =>
    spawnAgent({ within, node, args: [...ROUTES, ...flags] });
  const first = await start("first");
  await assert.rejects(start("second"), (error: Error) => {
    assert.match(
      error.message,
      /another agent in this network namespace marks its routes with protocol 83; start this one with \\?"--route-protocol 84/,
    );
    return true;
  });
  // The advice works.
  await using _other = await start("other", "--route-protocol", "84");
  // An agent that was killed leaves no lock.
  await first[Symbol.asyncDispose]();
  await using _again = await start("first");
});
