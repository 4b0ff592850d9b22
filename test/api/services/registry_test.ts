import { answerCalls } from "../../../src/api/server/call.ts";
import { Reports } from "../../../src/cluster/reports.ts";
import assert from "node:assert/strict";
import {
  type Client,
  createClient,
  createRouterTransport,
  type Interceptor,
} from "@connectrpc/connect";
import { RegistryService } from "../../../src/gen/stellar/net/v1/registry_pb.ts";
import { parseAddress } from "../../../src/net/address.ts";
import type { PeerIdentity } from "../../../src/security/pki/identity.ts";
import { CALLER, type Caller } from "../../../src/api/access/call_context.ts";
import { fromConnectError } from "../../../src/api/messages/errors.ts";
import type { Agent } from "../../../src/agent/agent.ts";
import { createRegistry } from "../../../src/api/services/registry.ts";
import { digestKeys, type ProbeKey } from "../../../src/probe/seal.ts";
import { startAgent } from "../../agent/agents.ts";

const ADDRESS = "198.18.0.12";
const identity: PeerIdentity = {
  ...{ clusterId: "c1", role: "node", name: "host2", generation: 1 },
  ...{ serial: "01", fingerprint: "sha256:00" },
  ...{ issuedAtMs: 0, notBeforeMs: 0, notAfterMs: 1 },
  addresses: [parseAddress(ADDRESS), parseAddress("fd00::12")],
};
const MEMBER: Caller = { kind: "member", identity, address: ADDRESS };

/** A client of an agent's registry, as a caller. */
function clientOf(
  agent: Agent,
  caller: Caller,
  probeKeys: () => ProbeKey[] = () => [],
): Client<typeof RegistryService> {
  const identify: Interceptor = (next) => (request) => {
    request.contextValues.set(CALLER, caller);
    return next(request);
  };
  const transport = createRouterTransport(
    (router) => {
      router.service(
        RegistryService,
        createRegistry(() => agent.requireHost(), {
          ...{ self: "a", probeKeys },
          ...{ reports: new Reports({ now: Date.now }), events: NO_EVENTS },
        }),
      );
    },
    { router: { interceptors: [answerCalls({}), identify] } },
  );
  return createClient(RegistryService, transport);
}

/** A log that nobody reads. */
const NO_EVENTS = { take: () => Promise.resolve(0) };

Deno.test("createRegistry() hands out the keys of probes to a node that lacks one of them", async () => {
  await using started = await startAgent();
  const keys = [{ id: 3, secret: new Uint8Array(32).fill(3) }]
    .concat({ id: 4, secret: new Uint8Array(32).fill(4) });
  const client = clientOf(started.agent, MEMBER, () => keys);
  const node = { node: "host2", instanceId: "i2" };
  await client.join({ ...node, advertised: [ADDRESS] });
  for (
    const [known, ids] of [
      [[], [3, 4]],
      [keys.slice(0, 1), [3, 4]],
      // Of before the registry was restored from a backup.
      [[keys[0]!, { id: 4, secret: new Uint8Array(32) }], [3, 4]],
      [keys, []],
    ] as const
  ) {
    const { probeKeys } = await client.heartbeat({
      ...node,
      probeKeysDigest: digestKeys(known),
    });
    assert.deepEqual(probeKeys.map(({ id }) => id), [...ids]);
    assert.ok(probeKeys.every(({ id, secret }) => secret[31] === id));
  }
  // A host that is no member gets none.
  await assert.rejects(client.heartbeat({ ...node, instanceId: "other" }));
  await assert.rejects(client.heartbeat({ node: "host9", instanceId: "i9" }));
});

Deno.test("createRegistry() takes only advertised addresses that the node's certificate is for", async (t) => {
  const of = (fields: Partial<PeerIdentity>): Caller => ({
    ...{ kind: "member", identity: { ...identity, ...fields } },
    address: ADDRESS,
  });
  const refused =
    /node "host2" advertise 198\.18\.0\.13: its certificate is not/;
  const rows: readonly [
    what: string,
    caller: Caller,
    advertised: readonly string[],
    outcome: RegExp,
  ][] = [
    ["its own", MEMBER, [ADDRESS, "fd00:0::12"], /^taken$/],
    ["another", MEMBER, [ADDRESS, "198.18.0.13"], refused],
    ["none in it", of({ addresses: [] }), ["198.18.0.13"], refused],
    ["of an operator's CA", of({ generation: 0 }), ["198.18.0.13"], /^taken$/],
    ["by an operator", of({ role: "operator" }), ["198.18.0.13"], /^taken$/],
    [
      "in plain text",
      { kind: "plain", address: ADDRESS },
      ["198.18.0.13"],
      /^taken$/,
    ],
  ];
  for (const [what, caller, advertised, outcome] of rows) {
    await t.step(what, async () => {
      await using agent = await startAgent();
      const joined = await clientOf(agent.agent, caller).join({
        ...{ node: "host2", instanceId: "i2", advertised: [...advertised] },
      }).then(() => "taken", (error) => fromConnectError(error).message);
      assert.match(joined, outcome);
    });
  }
});

Deno.test("createRegistry() accepts no plain-text agent from a host that joined over TLS", async (t) => {
  const rows: readonly [caller: Caller, apiUrl: string, isTaken: boolean][] = [
    [MEMBER, "", true],
    [MEMBER, `https://${ADDRESS}:9000`, true],
    [MEMBER, `http://${ADDRESS}:9000`, false],
    [MEMBER, "http://127.0.0.1:8500", false],
    [{ kind: "plain", address: ADDRESS }, `http://${ADDRESS}:9000`, true],
  ];
  for (const [caller, apiUrl, isTaken] of rows) {
    await t.step(`${caller.kind} ${apiUrl}`, async () => {
      await using agent = await startAgent();
      const client = clientOf(agent.agent, caller);
      const joined = await client.join({
        ...{ node: "host2", instanceId: "i2", apiUrl },
      }).then(() => "taken", (error) => fromConnectError(error).message);
      assert.match(joined, isTaken ? /^taken$/ : /"api_url".* is plain text/);
      const nodes = (await client.listNodes({})).nodes.map(({ name }) => name);
      assert.equal(nodes.includes("host2"), isTaken);
    });
  }
});

Deno.test("createRegistry() takes only addresses that can be a next hop, and few", async (t) => {
  const many = Array.from({ length: 5 }, (_, i) => `198.18.0.${i + 20}`);
  const rows: readonly [advertised: readonly string[], outcome: RegExp][] = [
    [[], /^taken$/],
    [["198.18.0.12", "fd00::12"], /^taken$/],
    [many.slice(0, 4), /^taken$/],
    [many, /5 addresses of IPv4, more than one for each of 4 uplinks/],
    [["127.0.0.1"], /127\.0\.0\.0\/8 \(loopback\)/],
    [["::1"], /loopback/],
    [["0.0.0.0"], /0\.0\.0\.0\/8/],
    [["::"], /unspecified/],
    [["224.0.0.1"], /multicast/],
    [["ff02::1"], /multicast/],
    [["255.255.255.255"], /reserved/],
  ];
  for (const [advertised, outcome] of rows) {
    await t.step(advertised.join() || "none", async () => {
      await using agent = await startAgent();
      const transport = createRouterTransport((router) => {
        router.service(
          RegistryService,
          createRegistry(() => agent.agent.requireHost(), {
            self: "a",
            ...{ reports: new Reports({ now: Date.now }), events: NO_EVENTS },
          }),
        );
      }, { router: { interceptors: [answerCalls({})] } });
      const client = createClient(RegistryService, transport);
      const joined = await client.join({
        ...{ node: "host2", instanceId: "i2" },
        advertised: [...advertised],
      }).then(() => "taken", (error) => fromConnectError(error).message);
      assert.match(joined, outcome);
    });
  }
});

Deno.test("createRegistry() sends progress to a watcher that asks for it", async () => {
  await using t = await startAgent();
  const transport = createRouterTransport((router) => {
    router.service(
      RegistryService,
      createRegistry(() => t.agent.requireHost(), {
        ...{ self: "a", reports: {} as never, progressMs: 20 },
        events: NO_EVENTS,
      }),
    );
  });
  const client = createClient(RegistryService, transport);
  const end = new AbortController();
  const marks: (boolean | undefined)[] = [];
  try {
    for await (
      const message of client.watch({ progress: true }, { signal: end.signal })
    ) {
      marks.push(message.snapshot);
      assert.ok(message.asOf);
      if (marks.length === 3) break;
    }
  } finally {
    end.abort();
  }
  assert.deepEqual(marks, [true, false, false]);
});

Deno.test("createRegistry() limits the changes of a node, and nothing else", async (t) => {
  await using started = await startAgent();
  const { agent, clock } = started;
  const node = clientOf(agent, MEMBER);
  const operator = clientOf(agent, {
    ...MEMBER,
    identity: { ...identity, role: "operator", name: "alice" },
  });
  const local = (i: number) => ({
    ...{ node: "host2", instanceId: "i2", advertised: [ADDRESS] },
    localPrefixes: [{ cidr: `172.${20 + i % 2}.0.0/22`, device: "docker0" }],
  });
  const revision = () => agent.host!.nodes.snapshot().then((s) => s.revision);
  /** Changes as often as possible. @returns how often, and the error */
  const exhaust = async (change: (i: number) => Promise<unknown>) => {
    for (let i = 0; i < 100; i++) {
      try {
        await change(i);
      } catch (error) {
        return { count: i, error: fromConnectError(error) };
      }
    }
    throw new Error("There is no limit");
  };

  await t.step("a handful of joins that change something", async () => {
    const { count, error } = await exhaust((i) => node.join(local(i)));
    assert.equal(count, 20);
    assert.equal(error.code, "exhausted");
    assert.equal(error.details.reason, "CLIENT_LIMIT");
    assert.match(error.message, /node "host2": .*; try again in 5 s/);
  });
  await t.step("joins that change nothing", async () => {
    const before = await revision();
    for (let i = 0; i < 50; i++) await node.join(local(1));
    assert.equal(await revision(), before);
  });
  await t.step("one more every 5 s", async () => {
    clock.nowMs += 4_999;
    assert.equal((await exhaust((i) => node.join(local(i)))).count, 0);
    clock.nowMs += 1;
    assert.equal((await exhaust((i) => node.join(local(i)))).count, 1);
  });
  await t.step("changes of an operator", async () => {
    for (let i = 0; i < 50; i++) {
      await operator.addRoute({ cidr: "198.51.100.0/24", target: ADDRESS });
      await operator.deleteRoute({ cidr: "198.51.100.0/24" });
    }
  });
  await t.step("claims of a node", async () => {
    const other = clientOf(agent, {
      ...MEMBER,
      identity: { ...identity, name: "host3" },
    });
    const { count, error } = await exhaust(async () => {
      await other.claimSubnets({ node: "host3" });
      await other.releaseSubnets({ node: "host3" });
    });
    assert.equal(count, 20);
    assert.equal(error.details.reason, "CLIENT_LIMIT");
    await other.claimSubnets({ node: "host3", validateOnly: true });
    await operator.claimSubnets({ node: "host3" });
    await other.claimSubnets({ node: "host3" });
  });
});
