import assert from "node:assert/strict";
import { measurePeer } from "../../src/member/peers.ts";
import { type ErrorCode, NetError } from "../../src/base/error.ts";
import { FakeMetrics } from "../fake/fake_metrics.ts";
import { FakeRegistryPeer } from "../fake/fake_registry_peer.ts";
import { startAgent } from "../agent/agents.ts";

const AGENT = { node: "b", instanceId: "b-1" };
const JOIN = {
  ...AGENT,
  advertised: [],
  apiUrl: "",
  localPrefixes: [],
  heldSubnets: [],
  clusterId: "",
};

Deno.test("measurePeer() reports answers of the registry", async () => {
  await using host = await startAgent();
  const metrics = new FakeMetrics();
  const fake = new FakeRegistryPeer(host.agent);
  const peer = measurePeer(fake, metrics);
  const { signal } = new AbortController();
  await peer.join(JOIN, signal);
  await peer.heartbeat(AGENT, signal);
  assert.deepEqual(metrics.told, [["answered"], ["answered"]]);
  assert.equal(peer.url, fake.url);
  fake.cut();
  await assert.rejects(peer.heartbeat(AGENT, signal), NetError);
  assert.equal(metrics.told.length, 2);
});

Deno.test("measurePeer() takes a refusal for an answer", async (t) => {
  await using host = await startAgent();
  const rows: readonly [code: ErrorCode, isAnswer: boolean][] = [
    ["failed_precondition", true],
    ["already_exists", true],
    ["not_found", true],
    ["internal", true],
    ["unavailable", false],
    ["deadline_exceeded", false],
    ["cancelled", false],
  ];
  for (const [code, isAnswer] of rows) {
    await t.step(code, async () => {
      const metrics = new FakeMetrics();
      const fake = new FakeRegistryPeer(host.agent);
      fake.onCall = () => {
        throw new NetError(code, "no");
      };
      const { signal } = new AbortController();
      const call = measurePeer(fake, metrics).heartbeat(AGENT, signal);
      await assert.rejects(call, { code });
      assert.deepEqual(metrics.told, isAnswer ? [["answered"]] : []);
    });
  }
});

Deno.test("measurePeer() counts restarts of the watch", async () => {
  await using host = await startAgent();
  const metrics = new FakeMetrics();
  const peer = measurePeer(new FakeRegistryPeer(host.agent), metrics);
  for (let i = 0; i < 2; i++) {
    const stop = new AbortController();
    for await (const event of peer.watch(stop.signal)) {
      assert.equal(event.isSnapshot, true);
      break;
    }
    stop.abort();
  }
  assert.deepEqual(metrics.told, [["answered"], ["restarted"], ["answered"]]);
});
