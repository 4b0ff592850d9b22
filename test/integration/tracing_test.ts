import assert from "node:assert/strict";
import { ROOT } from "../generate.ts";
import { createIpamClient } from "../support/ipam_client.ts";
import { OtlpReceiver, type ReceivedSpan } from "../support/otlp_receiver.ts";
import { run } from "../support/run.ts";
import { spawnAgent } from "../support/spawn_agent.ts";
import { waitFor } from "../support/wait_for.ts";

const ALLOCATE = "stellar.net.v1.IpamService/Allocate";
const CLIENT = 3;

/** Asks the agent at a socket for an address on a node, as a person does. */
async function allocate(
  at: { readonly socketPath: string; readonly node: string },
  env: Readonly<Record<string, string>>,
): Promise<void> {
  const args = ["run", "-A", "main.ts", "--socket", at.socketPath]
    .concat("ip", "allocate", "c1", "--node", at.node);
  const { code, stderr } = await run(Deno.execPath(), args, {
    cwd: ROOT,
    env,
  });
  assert.equal(code, 0, stderr);
}

Deno.test("one trace leads from the command line through an agent to its peer", async () => {
  await using receiver = await OtlpReceiver.start();
  await using host1 = await spawnAgent({
    node: "host1",
    env: receiver.environment("host1"),
  });
  await using host2 = await spawnAgent({
    node: "host2",
    args: ["--join", host1.url],
    env: receiver.environment("host2"),
  });
  await waitFor("host2 to have joined", async () => {
    const response = await fetch(`${host2.url}/metrics`);
    return /^stellar_net_registry_link\{state="joined"\} 1$/m
      .test(await response.text());
  });
  const { socketPath } = host2;
  await allocate({ socketPath, node: "host1" }, receiver.environment("cli"));
  const peer = await receiver.find(
    "the peer's span",
    ({ service, name }) => service === "host1" && name === ALLOCATE,
  );
  const { traceId } = peer;
  const parentOf = (what: string, child: ReceivedSpan) =>
    receiver.find(what, ({ spanId }) => spanId === child.parentSpanId);
  // From the end to the beginning, each the child of the next.
  const sent = await parentOf("the agent's request", peer);
  const answered = await parentOf("the agent's span", sent);
  const asked = await parentOf("the command line's request", answered);
  const chain = [peer, sent, answered, asked];
  assert.deepEqual(
    chain.map(({ service, kind }) => [service, kind === CLIENT]),
    [["host1", false], ["host2", true], ["host2", false], ["cli", true]],
  );
  assert.equal(answered.name, ALLOCATE);
  assert.equal(asked.parentSpanId, "");
  for (const span of chain) assert.equal(span.traceId, traceId);
  assert.deepEqual(
    [peer.attributes["rpc.service"], peer.attributes["rpc.method"]],
    ["stellar.net.v1.IpamService", "Allocate"],
  );
});

Deno.test("a gRPC call over HTTP/2 has a span, a failed one its code", async () => {
  await using receiver = await OtlpReceiver.start();
  await using agent = await spawnAgent({ env: receiver.environment("a") });
  using client = createIpamClient(agent.port);
  await client.allocate("c1");
  const well = await receiver.find("a span", ({ name }) => name === ALLOCATE);
  assert.equal(well.parentSpanId, "");
  assert.equal(well.attributes["error.type"], undefined);
  await assert.rejects(client.allocate("not valid"));
  const failed = await receiver.find(
    "the span of a failure",
    ({ attributes }) => attributes["error.type"] !== undefined,
  );
  assert.equal(failed.attributes["error.type"], "InvalidArgument");
});

Deno.test("an agent that is not to be traced sends nothing", async () => {
  await using receiver = await OtlpReceiver.start();
  const { OTEL_DENO: _, ...env } = receiver.environment("a");
  await using agent = await spawnAgent({ env });
  const { socketPath } = agent;
  await allocate({ socketPath, node: "node1" }, env);
  assert.equal(await agent.stop(), 0);
  assert.equal(receiver.requests, 0);
});
