import assert from "node:assert/strict";
import { settled } from "../lab/cluster.ts";
import { DeletionMonitor } from "../lab/deletion_monitor.ts";
import { IdentityLab } from "../lab/identity_lab.ts";
import { IdentityLoad } from "../lab/identity_load.ts";
import { tokenPath } from "../lab/lab.ts";
import {
  callWith,
  certificateIn,
  connectionsFrom,
  identityDir,
} from "../lab/lab_certificates.ts";
import type { LabHost } from "../lab/lab_host.ts";
import { forge } from "../lab/stolen_authority.ts";
import { allDone } from "../support/all_done.ts";

/** More than two thirds of a node's certificate's time, and less than all of it. */
const RENEWAL_HOURS = 16.5;
/** Longer than hosts take to go over to the next authority. */
const SPREAD_HOURS = 0.25;
const ROUNDS = 3;
const STATUS = "AgentService/GetStatus";

Deno.test("certificates and the authority are renewed under load, and no call fails", async (t) => {
  await using identities = await IdentityLab.create(4);
  const { lab, agents, desk } = identities;
  const [first, second, third, late] = agents as [
    ...[LabHost, LabHost, LabHost, LabHost],
  ];
  const busy = [first, second, third];
  await identities.createToken("alice");
  assert.equal((await identities.enrol("alice")).code, 0);
  await identities.createToken("bob");
  /** The generation of the authority that has signed what a folder has. */
  const generationOf = async (dir: string) =>
    (await certificateIn(dir)).generation;
  const isOfGeneration = (generation: number, hosts: readonly LabHost[]) =>
    allDone(hosts.map((host) =>
      lab.waitFor(
        `${host.name} to be certified by authority ${generation}`,
        async () => await generationOf(identityDir(host)) === generation,
        { everyMs: 50 },
      )
    ));
  const isBack = (host: LabHost) =>
    lab.waitFor(`${host.name} to be back`, async () => {
      const { registry, warnings } = await host.status();
      return registry.state === "joined" && warnings.length === 0;
    });
  await using load = new IdentityLoad({
    allocate: busy,
    forward: [second, third],
  });
  load.callAs(identities.dirOf("alice"), {
    ...{ from: desk, env: identities.env, agents: busy },
  });
  const deletions = await DeletionMonitor.start(busy);
  await load.answered(1);
  const logged = await allDone(agents.map(({ agent }) => agent.log()));
  /** What an agent has logged since of connections that have ended too early. */
  const cutsAt = async (host: LabHost) =>
    (await host.agent.log()).slice(logged[agents.indexOf(host)]!.length)
      .match(/^.*(?:Disconnecting|Cannot follow).*$/gm) ?? [];
  const began = load.summary.answered;
  const servedWell = async (what: string) => {
    await load.answered(3);
    const { answered, slowestMs, failures } = load.summary;
    assert.deepEqual(failures, []);
    console.log(
      `${what}: ${
        answered - began
      } answers so far, no failure, the slowest in ${slowestMs.toFixed(0)} ms`,
    );
  };

  await t.step("all certificates are renewed at SIGHUP", async () => {
    for (let round = 0; round < ROUNDS; round++) {
      await identities.renewed(() => {
        for (const { agent } of agents) Deno.kill(agent.pid, "SIGHUP");
      });
    }
    await servedWell("renewed at SIGHUP");
  });

  /** Both ends of each connection between agents. */
  const connections = async () =>
    (await allDone(
      agents.flatMap((to) =>
        agents.map((from) => connectionsFrom({ to, from }))
      ),
    )).flat().map((line) => line.trim().split(/\s+/).slice(2).join(" "));
  /** Waits until connections are left: the next jump of the clock ends their certificates. */
  const areLeft = (former: readonly string[]) =>
    lab.waitFor("the former connections to be left", async () => {
      const now = await connections();
      return former.every((connection) => !now.includes(connection));
    });

  await t.step("all certificates are renewed in time", async () => {
    for (let round = 0; round < ROUNDS; round++) {
      const former = await connections();
      const tookMs = await identities
        .renewed(() => identities.moveHours(RENEWAL_HOURS));
      console.log(`all have renewed after ${(tookMs / 1000).toFixed(1)} s`);
      await areLeft(former);
      await load.answered(1);
    }
    await servedWell("renewed in time");
    // Connections with certificates that have ended since were left before.
    for (const host of agents) {
      assert.deepEqual(await cutsAt(host), []);
    }
  });

  await t.step("all go over to the next authority", async () => {
    await late.agent.stop();
    await identities.as("alice", [
      ...["identity", "rotate", "--announce", "3s"],
    ]);
    for (const host of busy) {
      await lab.waitFor(`${host.name} to be told`, async () => {
        const path = `${identityDir(host)}/trust.json`;
        const { authorities } = JSON.parse(await Deno.readTextFile(path));
        return authorities.length === 2;
      });
    }
    const startedMs = performance.now();
    await identities.moveHours(SPREAD_HOURS);
    await isOfGeneration(2, busy);
    const tookMs = performance.now() - startedMs;
    console.log(`authority 2 after ${(tookMs / 1000).toFixed(1)} s`);
    await lab.waitFor(
      "the operator's commands to go over to it",
      async () => await generationOf(identities.dirOf("alice")) === 2,
    );
    await servedWell("authority 2");
    for (const host of busy) {
      assert.deepEqual(await cutsAt(host), []);
    }
  });

  await t.step("routes were there all the time", async () => {
    const deleted = await deletions.stop();
    // The operator's come and go.
    assert.deepEqual(deleted.filter((line) => !line.includes(" 10.201.")), []);
  });

  await t.step("a token of the authority before is refused", async () => {
    const { code, stderr } = await identities.enrol("bob");
    assert.equal(code, 1);
    assert.match(
      stderr,
      /Cannot trust the server: .*the authority was rotated since .*make a new token/,
    );
  });

  await t.step("a host that missed it comes back with a token", async () => {
    await late.agent.start();
    await lab.waitFor("it to say why it is kept out", async () => {
      const { problem } = (await late.status()).registry;
      return problem?.includes("is no authority of this cluster");
    });
    await lab.admit(late, ["--name", late.name]);
    const startedMs = performance.now();
    await isBack(late);
    const tookMs = performance.now() - startedMs;
    console.log(`it is back after ${(tookMs / 1000).toFixed(1)} s`);
    await servedWell("with all of them");
    const { failures } = await load.stop();
    assert.deepEqual(failures, []);
  });

  const backup = `${first.dir}/backup`;
  const forged = `${desk.dir}/forged`;
  const ask = (dir: string) => callWith(desk, { dir, to: first, call: STATUS });
  const others = agents.filter((host) => host !== first);
  await t.step("a compromised authority is trusted no longer", async () => {
    await first.must("stellar-net", ["backup", backup]);
    const { nowMs } = identities;
    await forge(backup, forged, { role: "operator", name: "mallory", nowMs });
    assert.match(await ask(forged), /"node":"host1"/);
    await using allocations = new IdentityLoad({
      ...{ allocate: agents, forward: [] },
    });
    await allocations.answered(1);
    const startedMs = performance.now();
    await first.must("stellar-net", ["identity", "rotate", "--compromised"]);
    await allDone(others.map((from) =>
      lab.waitFor(
        `${from.name} to be cut off`,
        async () =>
          (await connectionsFrom({ to: first, from })).length === 0 ||
          (await from.status()).registry.state === "unreachable",
      )
    ));
    const tookMs = performance.now() - startedMs;
    console.log(`cut off after ${(tookMs / 1000).toFixed(1)} s`);
    await allocations.answered(5);
    const { failures } = await allocations.stop();
    assert.deepEqual(failures, []);
  });

  await t.step("nothing that it signed, or signs, is accepted", async () => {
    for (const dir of [forged, identities.dirOf("alice"), identityDir(third)]) {
      for (const call of [STATUS, "IdentityService/RenewCertificate"]) {
        const answer = await callWith(desk, { dir, to: first, call });
        assert.match(answer, /"unauthenticated".*is not trusted now/, dir);
      }
    }
    const { code, stderr } = await identities.atDesk([
      ...["--identity", identities.dirOf("alice"), "node", "list"],
    ]);
    assert.equal(code, 1);
    assert.match(stderr, /authority 3", which has signed it, is no authority/);
  });

  await t.step("one token brings all back, without a restart", async () => {
    const token = `${lab.dir}/all.token`;
    await first.must("stellar-net", [
      ...["token", "create", "--uses", "100", "--file", token],
    ]);
    const startedMs = performance.now();
    await allDone(others.map(async (host) => {
      await Deno.copyFile(token, tokenPath(host));
      await isBack(host);
    }));
    const tookMs = performance.now() - startedMs;
    console.log(`all are back after ${(tookMs / 1000).toFixed(1)} s`);
    await settled(identities.members);
    await isOfGeneration(3, agents);
  });
});
