import assert from "node:assert/strict";
import type { Agent } from "../../src/agent/agent.ts";
import type { AgentOptions } from "../../src/agent/open_member.ts";
import { readState } from "../../src/backup/take.ts";
import { copyParts, registryParts } from "../../src/backup/migration_copy.ts";
import { restoreState } from "../../src/backup/restore.ts";
import { SCHEMA_VERSION } from "../../src/state/schema.ts";
import { readBackup } from "../../src/backup/format/read.ts";
import { writeBackup } from "../../src/backup/format/format.ts";
import type { Trust } from "../../src/security/trust.ts";
import { parseAddress } from "../../src/net/address.ts";
import { openDenoKv } from "../../src/store/deno_kv/deno_kv.ts";
import type { Store } from "../../src/store/store.ts";
import { waitFor } from "../support/wait_for.ts";
import { startAgent, type TestAgent } from "../agent/agents.ts";

const TERMS = {
  role: "node",
  name: "",
  lifetimeMs: 3600_000,
  maxUses: 1,
} as const;

/** Joins a host, as its agent does. */
async function join(agent: Agent, node: string, apiUrl = ""): Promise<void> {
  await agent.host!.pools.join({
    node,
    instanceId: `id-of-${node}`,
    advertised: [parseAddress("198.18.0.2")],
    apiUrl,
    localPrefixes: [],
    heldSubnets: [],
    clusterId: "",
  });
}

/** Calls a function with an agent that follows its cluster, and what it hears of trust. */
async function following(
  options: Partial<AgentOptions>,
  body: (t: TestAgent, heard: Trust[]) => Promise<void>,
): Promise<void> {
  const heard: Trust[] = [];
  await using t = await startAgent({
    ...options,
    onTrust: (trust) => heard.push(trust),
  });
  t.agent.follow(() => {});
  try {
    await body(t, heard);
  } finally {
    await t.agent.stop();
  }
}

/** The names that are revoked. */
function revokedIn(trust: Trust): string[] {
  return trust.revocations.map((r) => r.kind === "name" ? r.name : r.serial);
}

Deno.test("AgentOptions.onTrust gets the first trust and each change", () =>
  following({}, async ({ agent }, heard) => {
    const { identity } = agent.host!;
    await identity.trust();
    await waitFor("the first to be heard of", () => heard.length > 0);
    assert.deepEqual(heard[0], identity.knownTrust);
    assert.equal(heard[0]!.authorities.length, 1);
    await identity.rotate();
    await waitFor(
      "the next authority to be heard of",
      () => heard.at(-1)!.authorities.length === 2,
    );
    await identity.revoke({ role: "operator", name: "alice" }, "");
    await waitFor(
      "the revocation to be heard of",
      () => heard.at(-1)!.revocations.length === 1,
    );
    const told = heard.length;
    // What changes nothing about it does not tell it again.
    await join(agent, "b");
    await waitFor("b to be seen", () => agent.member.view.nodes.has("b"));
    assert.equal(heard.length, told);
  }));

Deno.test("Nodes.watch() sends the trust in each snapshot, and when it changes", async () => {
  await using t = await startAgent();
  const { nodes: members, identity } = t.agent.host!;
  await identity.trust();
  const end = new AbortController();
  const told: (readonly [boolean, number | undefined])[] = [];
  for await (const event of members.watch(end.signal)) {
    told.push([event.isSnapshot, event.trust?.revocations.length]);
    if (told.length === 1) await join(t.agent, "b");
    if (told.length === 2) {
      await identity.revoke({ role: "node", name: "b" }, "");
    }
    if (told.length === 3) end.abort();
  }
  assert.deepEqual(told, [[true, 0], [false, undefined], [false, 1]]);
  assert.equal((await members.snapshot()).trust?.revocations.length, 1);
});

Deno.test("Nodes.watch() sends no trust before there is an authority, and then all of it", async () => {
  await using t = await startAgent();
  const { nodes: members, identity } = t.agent.host!;
  const end = new AbortController();
  const told: (readonly [number, number] | undefined)[] = [];
  for await (const { trust } of members.watch(end.signal)) {
    told.push(trust && [trust.authorities.length, trust.revocations.length]);
    if (told.length === 1) {
      await identity.revoke({ role: "node", name: "b" }, "");
    }
    if (told.length === 2) await identity.trust();
    if (told.length === 3) end.abort();
  }
  assert.deepEqual(told, [undefined, undefined, [1, 1]]);
});

Deno.test("NodePools.remove() revokes the certificates of a node that an operator removes, and no others", async () => {
  const b = { node: "b", force: true } as const;
  const rows = [
    ["by an operator", { ...b, instanceId: "" }, {}, ["b"]],
    ["that leaves", { ...b, instanceId: "id-of-b" }, {}, []],
    ["that is reclaimed", { ...b, instanceId: "" }, { isReclaimed: true }, []],
  ] as const;
  for (const [what, request, options, revoked] of rows) {
    await using t = await startAgent();
    const { pools, identity, registry } = t.agent.host!;
    await join(t.agent, "b");
    await pools.remove(request, options);
    assert.deepEqual(revokedIn(identity.knownTrust), revoked, what);
    assert.equal(await registry.node("b"), undefined, what);
  }
});

Deno.test("NodePools.remove() revokes nothing of a node that it does not remove", async () => {
  await using t = await startAgent();
  const { pools, identity } = t.agent.host!;
  await join(t.agent, "b");
  const removals = [
    { node: "b", instanceId: "", force: false },
    { node: "c", instanceId: "", force: true },
    { node: "a", instanceId: "", force: true },
  ];
  for (const removal of removals) {
    await assert.rejects(pools.remove(removal), { name: "NetError" });
  }
  assert.deepEqual(revokedIn(identity.knownTrust), []);
});

Deno.test("NodePools.remove() removes nothing where it cannot revoke", async () => {
  await using t = await startAgent();
  const { pools, registry } = t.agent.host!;
  await join(t.agent, "b");
  t.store.fail("refuse before");
  const removal = { node: "b", instanceId: "", force: true };
  await assert.rejects(pools.remove(removal), { code: "unavailable" });
  assert.ok(await registry.node("b"));
});

Deno.test("Registry.viewNodes() tells which other node is reached at an address", async () => {
  await using t = await startAgent();
  const { registry } = t.agent.host!;
  await join(t.agent, "b", "https://[2001:db8::1]:9000");
  const rows = [
    ["198.18.0.2", "c", "b"],
    ["2001:db8::1", "c", "b"],
    ["198.18.0.2", "b", undefined],
    ["198.18.0.3", "c", undefined],
  ] as const;
  for (const [address, except, expected] of rows) {
    const found = (await registry.viewNodes())
      .reachedAt(parseAddress(address), except);
    assert.equal(found, expected, address);
  }
});

Deno.test("Registry.viewNodes() tells which node TLS takes for one of a name", async () => {
  await using t = await startAgent();
  const { registry } = t.agent.host!;
  await join(t.agent, "b");
  await join(t.agent, "D1");
  const nodes = await registry.viewNodes();
  const found = ["b", "B", "d1", "d"].map((name) => nodes.alike(name));
  assert.deepEqual(await Promise.all(found), ["b", "b", "D1", undefined]);
});

Deno.test("a registry of hosts with an operator's own certificates issues none, and revokes names for as long as those may last", () =>
  following({ hasGivenCertificates: true }, async ({ agent }, heard) => {
    const host = agent.host!;
    assert.throws(() => host.requireAuthority(), {
      code: "failed_precondition",
      message: /--tls-cert/,
    });
    await join(agent, "b");
    await waitFor("b to be seen", () => agent.member.view.nodes.has("b"));
    // It is told which cluster certificates have to be of.
    assert.equal(heard[0]!.authorities[0]!.clusterId, host.cluster.clusterId);
    await host.pools.remove({ node: "b", instanceId: "", force: true });
    await waitFor(
      "the revocation to be heard of",
      () => heard.at(-1)?.revocations.length === 1,
    );
    const [revocation] = heard.at(-1)!.revocations;
    const years = (revocation!.untilMs - revocation!.revokedAtMs) /
      (365 * 24 * 3600_000);
    assert.deepEqual(revokedIn(heard.at(-1)!), ["b"]);
    assert.ok(years >= 10, String(years));
  }));

Deno.test("RegistryHost.checkLiveness() forgets expired records", async () => {
  await using t = await startAgent();
  const host = t.agent.host!;
  await host.checkLiveness(undefined);
  const { token } = await host.identity.createToken(TERMS);
  t.clock.nowMs = token.expiresAtMs + 8 * 24 * 3600_000;
  await host.checkLiveness(undefined);
  assert.deepEqual(await host.identity.listTokens(), []);
});

Deno.test("RegistryHost.checkLiveness() sweeps expired records once a minute", async () => {
  await using t = await startAgent();
  const host = t.agent.host!;
  let sweeps = 0;
  const { identity } = host;
  const sweep = identity.tidy.bind(identity);
  identity.tidy = () => {
    sweeps++;
    return sweep();
  };
  for (const passedMs of [0, 59_999, 1]) {
    t.clock.nowMs += passedMs;
    await host.checkLiveness(undefined);
  }
  assert.equal(sweeps, 2);
});

Deno.test("restoreState() keeps the authority and revokes the tokens", async () => {
  await using t = await startAgent();
  const { identity } = t.agent.host!;
  await identity.createToken(TERMS);
  const header = {
    ...{ schema: SCHEMA_VERSION, program: "1.0.0", cluster: "c1" },
    ...{ node: "a", instance: "i1", takenAt: "2026-01-02T03:04:05.000Z" },
  };
  const holdCluster = <T>(run: () => Promise<T>) => t.agent.host!.hold(run);
  const pieces = writeBackup(header, readState(t.store, { holdCluster }));
  const bytes = await new Blob(await Array.fromAsync(pieces)).bytes();
  let restored: Store | undefined;
  await restoreState({
    read: () => readBackup(ReadableStream.from([bytes])),
    state: {
      path: "memory",
      check: () => Promise.resolve(),
      async create(fill, check) {
        await check();
        restored = await openDenoKv({ path: ":memory:" });
        await fill(restored);
      },
    },
    settleMs: 0,
    dryRun: false,
  });
  await using again = await startAgent({ store: restored! });
  const after = again.agent.host!.identity;
  assert.deepEqual(after.knownTrust, identity.knownTrust);
  assert.deepEqual(
    (await after.listTokens()).map(({ state }) => state),
    ["revoked"],
  );
  await restored!.close();
});

Deno.test("registryParts() has the authority, its tokens and certificates", async () => {
  await using t = await startAgent();
  const { identity } = t.agent.host!;
  await identity.createToken(TERMS);
  await identity.revoke({ role: "node", name: "b" }, "");
  const target = await openDenoKv({ path: ":memory:" });
  await copyParts(
    { source: t.store, target },
    registryParts(new Set(["a"])),
    {
      commit: async (commit) => void await target.commit(commit),
      onWritten: () => {},
    },
  );
  const entries = async (store: Store) => {
    const found = [];
    for await (const { key, value } of store.list(["identity"])) {
      found.push({ key, value });
    }
    return found;
  };
  assert.deepEqual(await entries(target), await entries(t.store));
  assert.equal((await entries(target)).length, 4);
  await target.close();
});

Deno.test("IdentityRegistry changes nothing in a registry that moves", async () => {
  await using t = await startAgent();
  const { identity } = t.agent.host!;
  await t.store.commit({
    puts: [{
      key: ["cluster", "moved"],
      value: { id: "m1", to: "etcd://h1:2379/p", isComplete: false },
    }],
  });
  await assert.rejects(identity.createToken(TERMS), {
    code: "unavailable",
    message: /it is being moved to etcd:/,
  });
});
