import assert from "node:assert/strict";
import { setTimeout as delay } from "node:timers/promises";
import { Lab } from "../lab/lab.ts";
import type { LabContainer } from "../lab/lab_container.ts";
import type { LabHost } from "../lab/lab_host.ts";
import { listNetns, pidsIn } from "../lab/netns.ts";
import { SourceServer } from "../lab/source_seen.ts";
import { run } from "../support/run.ts";

/** How many pings have to be answered before and after something happens. */
const SOME_PINGS = 20;

/** How long pings are lost. */
const OUTAGE_MS = 300;

/** What a lab has on this machine, whatever the lab says itself. */
async function traces(id: string): Promise<string[]> {
  const namespaces = await listNetns(`stn-${id}-`);
  const processes = await pidsIn(namespaces);
  const folders = (await Array.fromAsync(Deno.readDir("/run/stellar-net-lab")))
    .map(({ name }) => name).filter((name) => name === id);
  return [...namespaces, ...processes.map(String), ...folders];
}

/** This machine's own links, addresses, routes and firewall. */
async function ownNetwork(): Promise<string> {
  const outputs = await Promise.all([
    ["-brief", "link", "show"],
    ["-brief", "address", "show"],
    ["route", "show", "table", "all"],
    ["-6", "route", "show", "table", "all"],
  ].map((args) => run("ip", args)));
  const { stdout } = await run("nft", ["--stateless", "list", "ruleset"]);
  // What runs out by itself says when.
  return outputs.map(({ stdout }) => stdout.replace(/expires \S+/g, ""))
    .join("\n") + stdout;
}

async function routesThrough(host: LabHost, to: LabHost): Promise<boolean> {
  return (await host.ip("route show")).includes(`via ${to.address}`);
}

Deno.test("a lab of two hosts comes up, works and leaves nothing", async (t) => {
  const before = await ownNetwork();
  const lab = await Lab.create({ hosts: 2 });
  try {
    const [a, b] = [lab.host(1), lab.host(2)];
    await t.step("the hosts reach each other over both families", async () => {
      assert.ok(await a.ping(b.address));
      assert.ok(await b.ping(a.address6));
    });
    await t.step("and have no way out", async () => {
      const { code, stderr } = await a.exec("ping", ["-c1", "192.0.2.1"]);
      assert.notEqual(code, 0);
      assert.match(stderr, /Network is unreachable/);
    });
    let first: LabContainer | undefined;
    let second: LabContainer | undefined;
    await t.step("containers get addresses of their host's agent", async () => {
      first = await a.addContainer("c1");
      second = await a.addContainer("c2", { args: ["IP=172.16.0.9"] });
      assert.deepEqual(first.addresses, ["172.16.0.2"]);
      assert.deepEqual(second.addresses, ["172.16.0.9"]);
      assert.equal(a.container("c1"), first);
      const list = JSON.parse(
        await a.must("stellar-net", ["ip", "list", "--json"]),
      );
      assert.equal(list.allocations.length, 2);
    });
    await t.step("and reach their gateway and each other", async () => {
      assert.deepEqual(first!.gateways, ["172.16.0.1"]);
      assert.ok(await first!.ping("172.16.0.1"));
      assert.ok(await first!.ping(second!.address));
    });
    await t.step("containers are removed, addresses and all", async () => {
      await a.removeContainer("c2");
      assert.equal(await first!.ping("172.16.0.9"), false);
      assert.throws(
        () => a.container("c2"),
        /no container of host1: it has c1/,
      );
      const list = await a.must("stellar-net", ["ip", "list", "--json"]);
      assert.equal(JSON.parse(list).allocations.length, 1);
    });
    await t.step("a container that is refused leaves nothing", async () => {
      await assert.rejects(
        b.addContainer("c1", { args: ["IP=192.0.2.1"] }),
        /192\.0\.2\.1.*outside/s,
      );
      assert.deepEqual([...b.containers], []);
      assert.deepEqual(await listNetns(`${b.netns}-`), []);
    });
    await t.step("an agent is stopped, killed and started again", async () => {
      const { agent } = b;
      const { pid } = agent;
      assert.ok((await pidsIn([b.netns])).includes(pid));
      assert.equal(await agent.stop(), 0);
      assert.equal(agent.isRunning, false);
      await agent.start();
      assert.equal(await agent.kill(), 128 + 9);
      await agent.restart();
      assert.notEqual(agent.pid, pid);
      assert.match(await agent.log(), /Serving on(.|\n)*Serving on/);
    });
    await t.step("this machine's own network is as it was", async () => {
      assert.equal(await ownNetwork(), before);
    });
    assert.ok((await traces(lab.id)).length > 3);
  } finally {
    await lab[Symbol.asyncDispose]();
  }
  assert.deepEqual(await traces(lab.id), []);
  assert.equal(await ownNetwork(), before);
});

Deno.test("containers on two hosts of a lab talk over routes, and stop when these are cut", async (t) => {
  await using lab = await Lab.create({ hosts: 2 });
  const [a, b] = [lab.host(1), lab.host(2)];
  const [first, second] = await Promise.all(
    [a, b].map((host) => host.addContainer("c1")),
  );
  await t.step("each sees the other's own address", async () => {
    await using server = await SourceServer.start(second!, second!.address);
    assert.equal(await server.sourceOf(first!), first!.address);
    assert.equal(await server.sourceOf(a), a.address);
  });
  await t.step("steady pings are all answered", async () => {
    await using pinger = first!.startPing(second!.address);
    await lab.waitFor("pings", () => pinger.received >= SOME_PINGS);
    const { sent, received, lost, lostInRow } = await pinger.stop();
    assert.ok(received >= SOME_PINGS);
    assert.deepEqual({ sent, lost, lostInRow }, {
      ...{ sent: received, lost: 0, lostInRow: 0 },
    });
  });
  /** Pings while something is broken and mended again: all that was lost was lost in a row. */
  async function losesWhile(
    cut: () => Promise<void>,
    mend: () => Promise<void>,
  ): Promise<void> {
    await using pinger = first!.startPing(second!.address);
    await lab.waitFor("pings", () => pinger.received >= SOME_PINGS);
    await cut();
    assert.equal(await first!.ping(second!.address), false);
    await delay(OUTAGE_MS);
    await mend();
    const mended = pinger.received;
    await lab.waitFor("pings", () => pinger.received >= mended + SOME_PINGS);
    const { sent, received, lost, lostInRow } = await pinger.stop();
    assert.ok(lost >= OUTAGE_MS / 20, `${lost} of ${sent} were lost`);
    assert.equal(lostInRow, lost);
    assert.equal(sent, received + lost);
  }
  await t.step("a partition drops both ways", async () => {
    await losesWhile(() => lab.partition(a, b), () => lab.heal());
  });
  await t.step("drop() drops one way", async () => {
    await losesWhile(() => lab.drop(b, a), () => lab.heal());
  });
  await t.step("an unplugged host keeps its routes", async () => {
    await losesWhile(async () => {
      await b.unplug();
      assert.ok(await routesThrough(b, a));
    }, () => b.plug());
  });
  await t.step("a link that is down takes the routes with it", async () => {
    await losesWhile(async () => {
      await a.linkDown();
      assert.equal(await routesThrough(a, b), false);
    }, async () => {
      await a.linkUp();
    });
    assert.ok(await b.ping(a.address6));
  });
});

Deno.test("a lab can be dual stack, with agents that start with other flags", async () => {
  await using lab = await Lab.create({
    hosts: 1,
    agentFlags:
      () => ["--network", "10.0.0.0/8", "--network", "fd00:5e11::/48"],
  });
  const host = lab.host(1);
  const [first, second] = await Promise.all(
    ["c1", "c2"].map((label) => host.addContainer(label)),
  );
  assert.equal(second!.addresses.length, 2);
  for (const address of second!.addresses) {
    assert.ok(await first!.ping(address), address);
  }
});

Deno.test("Lab.create() removes the remains of a killed lab", async () => {
  const program = new URL("lab_abandoned.ts", import.meta.url).pathname;
  const { code, stdout, stderr } = await run(Deno.execPath(), [
    ...["run", "-A", program],
  ]);
  assert.equal(code, 128 + 9, stderr);
  const id = stdout.trim();
  const left = await traces(id);
  assert.ok(left.includes(`stn-${id}-host1`) && left.includes(id), stdout);
  assert.notDeepEqual(await pidsIn([`stn-${id}-host1`]), []);
  await using lab = await Lab.create({ hosts: 1, startAgents: false });
  assert.deepEqual(await traces(id), []);
  assert.ok((await traces(lab.id)).includes(lab.host(1).netns));
});

Deno.test("Lab.create() that fails leaves nothing", async () => {
  const id = `${Deno.pid}-100`;
  await assert.rejects(
    Lab.create({ hosts: 2, id, agentFlags: () => ["--no-such-flag"] }),
    /Cannot run the agent of host1: it ended with 2\n(.|\n)*--no-such-flag/,
  );
  assert.deepEqual(await traces(id), []);
});

Deno.test("Lab.create() refuses sizes that it has no addresses for", async () => {
  for (const hosts of [0, 201, 1.5]) {
    await assert.rejects(Lab.create({ hosts }), /1 to 200 are possible/);
  }
});
