import assert from "node:assert/strict";
import { setTimeout as delay } from "node:timers/promises";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { createClient, createRouterTransport } from "@connectrpc/connect";
import { RpcRegistryPeer } from "../../../src/api/client/registry_peer.ts";
import { RegistryService } from "../../../src/gen/stellar/net/v1/registry_pb.ts";
import { encodeReport } from "../../../src/api/messages/cluster.ts";
import { answerCalls } from "../../../src/api/server/call.ts";
import { createRegistry } from "../../../src/api/services/registry.ts";
import { Reports } from "../../../src/cluster/reports.ts";
import { startAgent } from "../../agent/agents.ts";
import { REPORT } from "../../cluster/plan/reports.ts";
import type { ProbeKey } from "../../../src/probe/seal.ts";

const AGENT = { node: "host2", instanceId: "i2" };
const { signal } = new AbortController();
const KEY = { id: 7, secret: new Uint8Array(32).fill(7) };

Deno.test("RpcRegistryPeer takes the keys of probes with a heartbeat, and says which it knows", async () => {
  const asked: number[] = [];
  const transport = createRouterTransport((router) => {
    router.service(RegistryService, {
      heartbeat({ probeKeysDigest }) {
        asked.push(probeKeysDigest);
        return {
          intervalMs: 5_000,
          probeKeys: probeKeysDigest === 7 ? [] : [KEY],
        };
      },
    });
  });
  const updates: (readonly ProbeKey[])[] = [];
  const probeKeys = {
    digest: 0,
    update(keys: readonly ProbeKey[]) {
      updates.push(keys);
      probeKeys.digest = keys.at(-1)!.id;
      return Promise.resolve();
    },
  };
  const peer = new RpcRegistryPeer("http://x", transport, { probeKeys });
  await peer.heartbeat(AGENT, signal);
  await peer.heartbeat(AGENT, signal);
  assert.deepEqual(asked, [0, 7]);
  assert.deepEqual(updates, [[KEY]]);
});

Deno.test("RpcRegistryPeer sends a report again soon that the registry did not take", async () => {
  const answers = [true, false];
  const sent: number[] = [];
  const transport = createRouterTransport((router) => {
    router.service(RegistryService, {
      heartbeat({ report }) {
        sent.push(report.length);
        return { intervalMs: 5_000, wantsReport: answers.shift() ?? false };
      },
    });
  });
  const report = () => Promise.resolve(new Uint8Array([1, 2, 3]));
  const peer = new RpcRegistryPeer("http://x", transport, { report });
  const waits = [
    await peer.heartbeat(AGENT, signal),
    await peer.heartbeat(AGENT, signal),
    await peer.heartbeat(AGENT, signal),
  ];
  assert.ok(waits[0]! > 1_000 && waits[0]! < 2_000, `${waits[0]}`);
  assert.deepEqual(waits.slice(1), [5_000, 5_000]);
  assert.deepEqual(sent, [3, 3, 0]);
});

Deno.test("RpcRegistryPeer repeats the marker of the registry's last answer", async () => {
  const asked: number[] = [];
  const transport = createRouterTransport((router) => {
    router.service(RegistryService, {
      join({ marker }) {
        asked.push(marker);
        return { marker: 7 };
      },
      heartbeat({ marker }) {
        asked.push(marker);
        return { intervalMs: 5_000, marker: marker + 1 };
      },
    });
  });
  const peer = new RpcRegistryPeer("http://x", transport);
  await peer.join({
    ...{ ...AGENT, advertised: [], apiUrl: "", localPrefixes: [] },
    ...{ heldSubnets: [], clusterId: "" },
  }, signal);
  await peer.heartbeat(AGENT, signal);
  await peer.heartbeat(AGENT, signal);
  assert.deepEqual(asked, [0, 7, 8]);
});

Deno.test("RpcRegistryPeer takes no slow answer for a clock that is off", async () => {
  const transport = createRouterTransport((router) => {
    router.service(RegistryService, {
      async heartbeat() {
        const time = timestampFromMs(Date.now());
        await delay(30);
        return { intervalMs: 5_000, time };
      },
    });
  });
  const offsets: number[] = [];
  const peer = new RpcRegistryPeer("http://x", transport, {
    onClockOffset: (offsetMs) => offsets.push(offsetMs),
  });
  await peer.heartbeat(AGENT, signal);
  assert.deepEqual(offsets, [0]);
});

Deno.test("a heartbeat that was given up, and arrives after later ones, leaves no old report behind", async () => {
  await using started = await startAgent();
  const { agent } = started;
  let nowMs = 1_000_000;
  const reports = new Reports({ now: () => nowMs });
  const transport = createRouterTransport((router) => {
    router.service(
      RegistryService,
      createRegistry(() => agent.requireHost(), {
        ...{ self: "a", reports },
        events: { take: () => Promise.resolve(0) },
      }),
    );
  }, { router: { interceptors: [answerCalls({})] } });
  const client = createClient(RegistryService, transport);
  await client.join(AGENT);
  const encode = (version: string) => encodeReport({ ...REPORT, version });
  const present = encode("1.0.0");
  const peer = new RpcRegistryPeer("http://x", transport, {
    report: () => Promise.resolve(present),
  });
  await peer.heartbeat(AGENT, signal);
  nowMs += 5_000;
  // The host has given up on this one, and does not know what became of it.
  await client.heartbeat({ ...AGENT, report: encode("2.0.0") });
  for (let i = 0; i < 2; i++) {
    nowMs += 5_000;
    await peer.heartbeat(AGENT, signal);
  }
  assert.equal(reports.fresh("host2")?.report.version, "1.0.0");
});
