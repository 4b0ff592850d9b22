import assert from "node:assert/strict";
import { settled } from "../lab/cluster.ts";
import { EtcdRegistryLab } from "../lab/etcd_registry_lab.ts";
import { Lab } from "../lab/lab.ts";
import type { LabHost } from "../lab/lab_host.ts";
import { openDenoKv } from "../../src/store/deno_kv/deno_kv.ts";
import { run } from "../support/run.ts";

/** Copies the state of a stopped agent to another host, whose agent gets its name. */
async function clone(
  from: LabHost,
  to: LabHost,
  name = from.name,
): Promise<void> {
  await Deno.remove(to.agent.stateDir, { recursive: true }).catch(() => {});
  const { code, stderr } = await run("cp", [
    ...["-a", from.agent.stateDir, to.agent.stateDir],
  ]);
  assert.equal(code, 0, stderr);
  const own = from.agent.flags.map((flag) =>
    flag.replace(from.address, to.address).replace(from.address6, to.address6)
  );
  to.agent.flags = ["--node", name, ...own];
}

/** The problem of a node as a host lists it. */
async function problemAt(
  host: LabHost,
  node: string,
): Promise<string | null | undefined> {
  const { nodes } = await host.ask<
    { nodes: { name: string; problem: string | null }[] }
  >("node list");
  return nodes.find(({ name }) => name === node)?.problem;
}

/** A cluster, with hosts to which a state is copied. */
interface Cluster extends AsyncDisposable {
  readonly lab: Lab;
  /** Its agent hosts the registry. */
  readonly registry: LabHost;
  /** Its agent has joined. */
  readonly original: LabHost;
  /** Their agents do not run. */
  readonly copy: LabHost;
  readonly other: LabHost;
  /** All whose agents run. */
  readonly running: readonly LabHost[];
}

async function createOnDenoKv(secure: boolean): Promise<Cluster> {
  const lab = await Lab.create({ hosts: 4, secure, startAgents: false });
  const [registry, original, copy, other] = lab.hosts as [
    ...[LabHost, LabHost, LabHost, LabHost],
  ];
  await registry.agent.start();
  if (secure) await lab.admit(original);
  await original.agent.start();
  return {
    ...{ lab, registry, original, copy, other },
    running: [registry, original],
    [Symbol.asyncDispose]: () => lab[Symbol.asyncDispose](),
  };
}

async function createOnEtcd(secure: boolean): Promise<Cluster> {
  const cluster = await EtcdRegistryLab.create({
    ...{ registries: 2, joiners: 1, secure },
  });
  const { lab, registries, joiners, hosts } = cluster;
  // Hosts of etcd's members, on which no agent runs.
  const [other, copy] = lab.hosts.slice(-2) as [LabHost, LabHost];
  return {
    ...{ lab, copy, other },
    // Not the one that the original talks to.
    registry: registries[0]!,
    original: joiners[0]!,
    running: hosts,
    [Symbol.asyncDispose]: () => cluster[Symbol.asyncDispose](),
  };
}

const ROWS: readonly [
  name: string,
  create: (secure: boolean) => Promise<Cluster>,
  secure: boolean,
][] = [
  ["Deno KV, plain text", createOnDenoKv, false],
  ["Deno KV, TLS", createOnDenoKv, true],
  ["etcd, plain text", createOnEtcd, false],
  ["etcd, TLS", createOnEtcd, true],
];

for (const [name, create, secure] of ROWS) {
  Deno.test(`a copy of a state gives out nothing, and all hosts say so (${name})`, async (t) => {
    await using cluster = await create(secure);
    const { lab, registry, original, copy, other, running } = cluster;
    const members = new Map<LabHost, readonly string[]>();
    for (const host of running) members.set(host, await host.joined());
    const allocate = ["ip", "allocate", "c1"];

    await t.step(
      "a joined host is cloned while it is off: the copy is refused",
      async () => {
        await original.agent.stop();
        await clone(original, copy);
        await original.agent.start();
        await copy.agent.start();
        await lab.waitFor(
          "the refusal",
          async () => (await copy.status()).registry.state === "fenced",
        );
        const status = await copy.exec("stellar-net", ["status"]);
        assert.match(
          status.stdout,
          /^Error: the state of this agent was made on another machine, .* since /m,
        );
        const { code, stderr } = await copy.exec("stellar-net", allocate);
        assert.notEqual(code, 0);
        assert.match(
          stderr,
          /the state of this agent was made on another machine/,
        );
        for (const host of running) {
          await lab.waitFor(
            `${host.name} to show it`,
            async () =>
              /another host tries to join/.test(
                await problemAt(host, original.name) ?? "",
              ),
          );
          const doctor = await host.exec("stellar-net", ["doctor"]);
          assert.match(doctor.stdout, /another host tries to join/);
        }
        await original.must("stellar-net", allocate);
        await settled(members, running);
      },
    );
    await t.step("a restart of the copy changes nothing", async () => {
      await copy.agent.restart();
      const { code, stderr } = await copy.exec("stellar-net", allocate);
      assert.notEqual(code, 0);
      assert.match(
        stderr,
        /the state of this agent was made on another machine/,
      );
    });
    await t.step("a copy with a name of its own", async () => {
      await copy.agent.stop();
      await original.agent.stop();
      await clone(original, copy, copy.name);
      await original.agent.start();
      await original.joined();
      await copy.agent.start();
      if (secure) {
        await lab.waitFor(
          "the reason",
          async () =>
            /the certificate is for node "\w+", and the request is of node "\w+": the state of this host is a copy/
              .test((await copy.status()).registry.problem ?? ""),
        );
        const { code, stderr } = await copy.exec("stellar-net", allocate);
        assert.notEqual(code, 0);
        assert.match(
          stderr,
          /the state of this agent was made on another machine/,
        );
        assert.doesNotMatch(stderr, /operator's certificate/);
        return;
      }
      // Without certificates it may join, and then has a subnet of its own.
      const [own, given] = [await original.joined(), await copy.joined()];
      assert.deepEqual(given.filter((cidr) => own.includes(cidr)), []);
      const [cidr] = given as [string];
      const stdout = await copy.must("stellar-net", allocate);
      assert.ok(stdout.includes(cidr), stdout);
    });
    await t.step(
      "two processes with one state: the second is fenced within two heartbeats",
      async () => {
        await copy.agent.stop();
        await original.agent.stop();
        await clone(original, copy);
        // As of an older program, which recorded no machine.
        const store = await openDenoKv({
          path: `${copy.agent.stateDir}/state.db`,
        });
        await store.commit({ deletes: [["agent", "machine"]] });
        await store.close();
        await original.agent.start();
        await original.joined();
        await copy.agent.start();
        await lab.waitFor(
          "the fence",
          async () => (await copy.status()).registry.state === "fenced",
          { timeoutMs: 60_000 },
        );
        assert.match(
          (await copy.status()).registry.problem ?? "",
          /another process runs with it, so that one of them is a copy/,
        );
        assert.equal((await original.status()).registry.state, "joined");
        assert.match(
          await problemAt(registry, original.name) ?? "",
          /two processes run with its state/,
        );
        const { code } = await copy.exec("stellar-net", [
          "ip",
          "allocate",
          "c2",
        ]);
        assert.notEqual(code, 0);
        await copy.agent.stop();
      },
    );
    await t.step(
      "the registry's host is cloned: the copy hosts no registry until it is accepted",
      async () => {
        await registry.agent.stop();
        await clone(registry, other);
        await assert.rejects(
          other.agent.start(),
          /Cannot host the registry: the state in .* was made on another machine/,
        );
        const args = ["node", "accept", "--state", other.agent.stateDir];
        await other.must("stellar-net", args);
        await other.agent.start();
        await lab.waitFor(
          "the registry to be there",
          async () => (await other.status()).registry.state === "hosted",
          { timeoutMs: 60_000 },
        );
      },
    );
  });
}
