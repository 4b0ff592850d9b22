import assert from "node:assert/strict";
import { settled, strangersAmong } from "../lab/cluster.ts";
import { Lab, tokenPath } from "../lab/lab.ts";
import {
  callWith,
  certificateIn,
  connectionsFrom,
  identityDir,
} from "../lab/lab_certificates.ts";
import { LabClock } from "../lab/lab_clock.ts";
import type { LabHost, LabStatus } from "../lab/lab_host.ts";
import { allDone } from "../support/all_done.ts";

/** More than a node's certificate lasts. */
const DAY_HOURS = 25;
/** More than the 30 days in which an expired one can be renewed. */
const AWAY_HOURS = 40 * 24;
const STATUS = "AgentService/GetStatus";
/** What `status` advises a host whose certificate can no longer be renewed, with the command. */
const HINT =
  /do not accept this one: .*was valid.* run "stellar-net (token create [^"]+)"/;

Deno.test("expired certificates cut off their holders, and nobody's containers", async (t) => {
  await using lab = await Lab.create({
    ...{ hosts: 3, secure: true, startAgents: false },
  });
  const [first, stopped, away] = lab.hosts as [LabHost, LabHost, LabHost];
  const others = [stopped, away];
  const clocks = await allDone(lab.hosts.map((host) => LabClock.giveTo(host)));
  const { env } = clocks[0]!;
  const moveHours = (hours: number) =>
    allDone(clocks.map((clock) => clock.moveHours(hours)));
  /** Runs the command line by the hosts' clock. */
  const cli = (host: LabHost, args: readonly string[]) =>
    host.exec("stellar-net", [...args, "--timeout", "60s"], { env });
  const operator = `${lab.dir}/alice`;
  const asOperator = (args: readonly string[]) =>
    cli(first, ["--identity", operator, ...args]);
  /** Waits for a status of a host; the error tells the last one. */
  const tells = (
    host: LabHost,
    what: string,
    is: (status: LabStatus) => boolean,
  ) =>
    lab.waitFor(`${host.name} ${what}`, async () => {
      const status = await host.status();
      if (is(status)) return true;
      throw new Error(`its status is ${JSON.stringify(status)}`);
    });
  const isBack = (host: LabHost) =>
    tells(
      host,
      "to be back",
      ({ registry, warnings, certificateUntil }) =>
        registry.state === "joined" && warnings.length === 0 &&
        Date.parse(certificateUntil!) > clocks[0]!.nowMs,
    );
  const warns = (host: LabHost, says: RegExp) =>
    tells(
      host,
      "to warn",
      ({ warnings }) => warnings.some((line) => says.test(line)),
    );

  const members = new Map<LabHost, readonly string[]>();
  for (const host of lab.hosts) {
    if (host !== first) await lab.admit(host);
    await host.agent.start();
    members.set(host, await host.joined());
  }
  await settled(members);
  for (const host of others) await Deno.remove(tokenPath(host));
  for (
    const args of [
      [
        ...["token", "create", "--role", "operator", "--name", "alice"],
        ...["--file", `${lab.dir}/alice.token`],
      ],
      [
        ...["identity", "create", operator, "--name", "alice"],
        ...["--join", `https://${first.address}:9000`],
        ...["--token-file", `${lab.dir}/alice.token`],
      ],
    ]
  ) {
    const { code, stderr } = await cli(first, args);
    assert.equal(code, 0, stderr);
  }
  const containers = await allDone(
    lab.hosts.map((host) => host.addContainer("c1")),
  );
  const before = await certificateIn(identityDir(stopped));

  await t.step(
    "a host that cannot renew in time loses its connections",
    async () => {
      await lab.partition(first, away);
      Deno.kill(stopped.agent.pid, "SIGSTOP");
      assert.ok(
        (await connectionsFrom({ to: first, from: stopped })).length > 0,
      );
      await moveHours(DAY_HOURS);
      const startedMs = performance.now();
      await lab.waitFor(
        "the connections of the stopped host to end",
        async () =>
          (await connectionsFrom({ to: first, from: stopped })).length === 0,
      );
      const tookMs = performance.now() - startedMs;
      console.log(`cut off after ${(tookMs / 1000).toFixed(1)} s`);
    },
  );

  await t.step(
    "its calls are refused, with the end of its validity",
    async () => {
      const dir = identityDir(stopped);
      const until = new Date(before.notAfterMs).toISOString();
      const answer = await callWith(stopped, { dir, to: first, call: STATUS });
      const { code, message } = JSON.parse(answer);
      assert.equal(code, "unauthenticated");
      assert.ok(message.includes('the certificate of node "host2"'), message);
      assert.ok(message.includes(`it was valid until ${until}`), message);
    },
  );

  await t.step("an agent out of reach says so, and goes on", async () => {
    await warns(
      away,
      /do not accept this one: .*it was valid until [^;]+; it is renewed as soon as/,
    );
    const line = ["ip", "allocate", "x1"];
    assert.equal((await cli(away, line)).code, 0);
    await away.addContainer("c2");
    assert.equal((await away.routes()).length, 2);
  });

  await t.step("containers reach each other", async () => {
    Deno.kill(away.agent.pid, "SIGSTOP");
    await lab.heal();
    assert.deepEqual(await strangersAmong(containers), []);
    Deno.kill(away.agent.pid, "SIGCONT");
  });

  await t.step("they renew by themselves as soon as they can", async () => {
    const startedMs = performance.now();
    Deno.kill(stopped.agent.pid, "SIGCONT");
    for (const host of others) await isBack(host);
    const tookMs = performance.now() - startedMs;
    console.log(`both are back after ${(tookMs / 1000).toFixed(1)} s`);
    await settled(members);
    const now = await certificateIn(identityDir(stopped));
    assert.notEqual(now.serial, before.serial);
  });

  await t.step("a host that was off for two days comes back", async () => {
    await stopped.agent.stop();
    await moveHours(2 * DAY_HOURS);
    await isBack(away);
    const startedMs = performance.now();
    await stopped.agent.start();
    await isBack(stopped);
    const tookMs = performance.now() - startedMs;
    console.log(`back after ${(tookMs / 1000).toFixed(1)} s`);
    await settled(members);
    const { code, stderr } = await asOperator(["node", "list"]);
    assert.equal(code, 0, stderr);
  });

  await t.step(
    "those that were off for 40 days say which token they need, and come back with it",
    async () => {
      for (const host of others) await host.agent.stop();
      await moveHours(AWAY_HOURS);
      await allDone(others.map(async (host) => {
        await host.agent.start();
        await warns(host, HINT);
        const { subnets } = await host.status();
        assert.deepEqual(subnets.map(({ cidr }) => cidr), members.get(host));
      }));
      const startedMs = performance.now();
      await allDone(others.map(async (host) => {
        const { warnings } = await host.status();
        const [, command] = HINT.exec(warnings.join("\n"))!;
        const { code, stdout, stderr } = await cli(first, command!.split(" "));
        assert.equal(code, 0, stderr);
        await Deno.writeTextFile(tokenPath(host), stdout, { mode: 0o600 });
        await isBack(host);
      }));
      const tookMs = performance.now() - startedMs;
      console.log(`back with tokens after ${(tookMs / 1000).toFixed(1)} s`);
      await settled(members);
    },
  );

  await t.step(
    "an operator's expired certificate names the way out",
    async () => {
      const { code, stderr } = await asOperator(["node", "list"]);
      assert.equal(code, 1);
      assert.match(
        stderr,
        /identity of operator "alice" .*it was valid until \S+Z; make another one: stellar-net token create --role operator --name alice, then stellar-net identity create/,
      );
      // Without the command line in between.
      const answer = await callWith(first, {
        ...{ dir: operator, to: first, call: STATUS },
      });
      const { code: answered, message } = JSON.parse(answer);
      assert.equal(answered, "unauthenticated");
      assert.match(message, /of operator "alice": it was valid until/);
    },
  );
});
