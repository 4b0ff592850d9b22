import assert from "node:assert/strict";
import { settled, strangersAmong } from "../lab/cluster.ts";
import { Lab } from "../lab/lab.ts";
import type { LabHost } from "../lab/lab_host.ts";
import { startLabEtcd } from "../lab/lab_etcd.ts";
import { must } from "../support/cni_plugin.ts";
import { asFor, ProcedureRunner, readProcedure } from "../lab/procedure.ts";

const PAGE = "docs/operations.md";
/** The store in the procedures that have one. */
const ETCD_IN_DOCS = "etcd://198.18.0.14:2379";

/** Reads a procedure of the page. */
function read(heading: string): ReturnType<typeof readProcedure> {
  return readProcedure(PAGE, heading);
}

/** Waits until a host's list of nodes has another as one that is silent. */
async function isMissed(lab: Lab, at: LabHost, name: string): Promise<void> {
  await lab.waitFor(`${at.name} to miss ${name}`, async () => {
    const list = await at.must("stellar-net", ["node", "list"]);
    return new RegExp(`^${name} +unreachable`, "m").test(list);
  }, { everyMs: 500 });
}

Deno.test("README.md: three real hosts", async () => {
  await using lab = await Lab.create({ hosts: 3, startAgents: false });
  const runner = new ProcedureRunner(lab.hosts);
  await runner.follow(await readProcedure("README.md", "Three real hosts"));
  const members = new Map<LabHost, readonly string[]>();
  for (const host of lab.hosts) members.set(host, await host.joined());
  await settled(members);
  const list = await lab.hosts[0]!.must("stellar-net", ["node", "list"]);
  assert.equal(list.match(/^host\d +ready/gm)?.length, 3, list);
  const containers = [];
  for (const host of lab.hosts) containers.push(await host.addContainer("c1"));
  assert.deepEqual(await strangersAmong(containers), []);
});

Deno.test("docs/operations.md: a cluster from its first host to its last", async (t) => {
  await using lab = await Lab.create({ hosts: 4, startAgents: false });
  const [host1, host2, host3, host4] = lab.hosts as [
    ...[LabHost, LabHost, LabHost, LabHost],
  ];
  const runner = new ProcedureRunner(lab.hosts);
  const members = new Map<LabHost, readonly string[]>();
  await t.step("installing, joining, upgrading", async () => {
    const joining = await read("Joining");
    await runner.follow(await read("Installing"));
    await runner.follow(joining);
    await runner.follow(asFor(joining, [host2, host3]));
    for (const host of [host1, host2, host3]) {
      members.set(host, await host.joined());
    }
    await settled(members);
    await runner.follow(await read("Upgrading"));
    await settled(members);
  });
  const first = await host1.addContainer("c1");
  let second = await host3.addContainer("c1");
  // It is missed only after a while, in which there is something else to do.
  await host2.agent.kill();
  await host2.unplug();
  await t.step("renaming a host", async () => {
    const steps = await read("Renaming a host");
    await assert.rejects(runner.follow(steps), /stop its containers first/);
    await host3.removeContainer("c1");
    await runner.follow(steps);
    members.set(host3, await host3.joined());
    await settled(members, [host1, host3]);
    const list = await host1.must("stellar-net", ["node", "list"]);
    assert.match(list, /^edge3 +ready/m);
    assert.doesNotMatch(list, /^host3 /m);
    second = await host3.addContainer("c2");
    assert.deepEqual(await strangersAmong([first, second]), []);
  });
  await t.step("replacing a host", async () => {
    await isMissed(lab, host1, host2.name);
    await runner.follow(await read("Replacing a host"));
    const subnets = members.get(host2)!;
    members.delete(host2);
    members.set(host4, await host4.joined());
    assert.deepEqual(members.get(host4), subnets);
    await settled(members);
  });
  await t.step("backing up, restoring", async () => {
    await runner.follow(await read("Backing up"));
    const printed = await runner.follow(await read("Restoring"));
    assert.match(printed, /^edge3 +/m);
    for (const [host, subnets] of members) {
      assert.deepEqual(await host.joined(), subnets);
    }
    assert.deepEqual(await strangersAmong([first, second]), []);
  });
  await t.step("uninstalling", async () => {
    await host3.removeContainer("c2");
    const steps = asFor(await read("Uninstalling"), [host2, host3]);
    await runner.follow(steps);
    members.delete(host3);
    await settled(members);
    assert.deepEqual(await host3.routes(), []);
    assert.equal(await host3.must("nft", ["list", "tables"]), "");
    assert.doesNotMatch(await host3.ip("-brief link"), /stellar0/);
  });
});

Deno.test("docs/operations.md: a cloned machine", async (t) => {
  await using lab = await Lab.create({ hosts: 4, startAgents: false });
  const [host1, host2, host3, host4] = lab.hosts as [
    ...[LabHost, LabHost, LabHost, LabHost],
  ];
  const runner = new ProcedureRunner(lab.hosts);
  const joining = await read("Joining");
  await runner.follow(await read("Installing"));
  await runner.follow(joining);
  const [install] = joining.filter(({ where, line }) =>
    where === host2.name && / install /.test(line)
  );
  const subnets = await host2.joined();
  await host2.must("stellar-net", ["ip", "allocate", "c1"]);
  const held = await host2.must("stellar-net", ["ip", "list"]);
  /** Gives a machine the disk of the second host, and starts it. */
  const copyTo = async (host: LabHost) => {
    await runner.type(host2, "systemctl stop stellar-net");
    await must("cp", ["-a", host2.agent.stateDir, host.agent.stateDir]);
    const line = install!.line.replace(host2.address, host.address)
      .replace(" install ", ` install --node ${host2.name} `);
    await runner.type(host, line);
  };
  await t.step("giving a clone a state of its own", async () => {
    await copyTo(host3);
    await runner.type(host2, "systemctl start stellar-net");
    const { stderr } = await host3.exec("stellar-net", ["ip", "allocate", "x"]);
    assert.match(stderr, /made on another machine/);
    await runner.follow(await read("Giving a clone a state of its own"));
    const members = new Map<LabHost, readonly string[]>();
    for (const host of [host1, host2, host3]) {
      members.set(host, await host.joined());
    }
    assert.deepEqual(members.get(host2), subnets);
    assert.equal(new Set([...members.values()].flat()).size, 3);
    await settled(members);
  });
  await t.step("moving a state to another machine", async () => {
    await copyTo(host4);
    await isMissed(lab, host1, host2.name);
    await runner.follow(await read("Moving a state to another machine"));
    assert.deepEqual(await host4.joined(), subnets);
    const now = await host4.must("stellar-net", ["ip", "list"]);
    const rows = (list: string) => /^\S+ +c1\b/gm.exec(list)?.[0];
    assert.ok(rows(held));
    assert.equal(rows(now), rows(held));
  });
});

Deno.test("docs/operations.md: a cluster that is too small, and gets another network", async (t) => {
  await using lab = await Lab.create({ hosts: 5, startAgents: false });
  const [host1, host2, host3, host4, host5] = lab.hosts as [
    ...[LabHost, LabHost, LabHost, LabHost, LabHost],
  ];
  const runner = new ProcedureRunner(lab.hosts);
  const members = new Map<LabHost, readonly string[]>();
  const [install, ...look] = await read("Installing");
  const joining = await read("Joining");
  const small = " --network 172.16.0.0/27 --subnet-prefix 29";
  await runner.follow([{ ...install!, line: install!.line + small }, ...look]);
  members.set(host1, await host1.joined());
  for (const host of [host2, host3, host4]) {
    await runner.follow(asFor(joining, [host2, host]));
    members.set(host, await host.joined());
  }
  await host4.agent.kill();
  await host4.unplug();
  await t.step("running out of addresses", async () => {
    for (let i = 1; i <= 5; i++) {
      await runner.type(host2, `stellar-net ip allocate web${i}`);
    }
    const full = await runner.type(host2, "stellar-net ip allocate web6");
    assert.equal(full.code, 1);
    assert.match(full.stderr, /IP allocation exhausted: all 5 addresses of/);
    const printed = await runner.follow(await read("Running out of addresses"));
    assert.match(printed, /web5/);
    const { code } = await runner.type(host2, "stellar-net ip allocate web6");
    assert.equal(code, 0);
    for (let i = 2; i <= 6; i++) {
      await runner.type(host2, `stellar-net ip release web${i}`);
    }
  });
  await t.step("running out of subnets", async () => {
    await runner.follow(asFor(joining.slice(0, 2), [host2, host5]));
    await lab.waitFor("the refusal", async () => {
      const { problem } = (await host5.status()).registry;
      return /no available subnets in network configuration/.test(
        problem ?? "",
      );
    });
    await isMissed(lab, host1, host4.name);
    const printed = await runner.follow(await read("Running out of subnets"));
    assert.match(printed, /^host4 +unreachable/m);
    assert.deepEqual(await host5.joined(), members.get(host4));
    members.delete(host4);
    members.set(host5, ["172.16.0.24/29"]);
    await settled(members);
  });
  await t.step("changing the network", async () => {
    const here = [...members.keys()];
    await runner.follow(await read("Changing the network"), here);
    for (const host of here) members.set(host, await host.joined());
    assert.deepEqual(
      [...members.values()].flat().filter((cidr) => !/^10\./.test(cidr)),
      [],
    );
    await settled(members);
    const containers = [
      await host2.addContainer("c1"),
      await host5.addContainer("c1"),
    ];
    assert.deepEqual(await strangersAmong(containers), []);
    await host2.removeContainer("c1");
    await host5.removeContainer("c1");
  });
  await t.step("losing the registry without a backup", async () => {
    await host1.agent.kill();
    members.delete(host1);
    const before = new Map(members);
    await runner.follow(
      await read("Losing the registry without a backup"),
      [host2, ...[...members.keys()].filter((host) => host !== host2)],
    );
    for (const host of before.keys()) members.set(host, await host.joined());
    assert.deepEqual(members, before);
    await settled(members);
    const containers = [
      await host2.addContainer("c2"),
      await host5.addContainer("c2"),
    ];
    assert.deepEqual(await strangersAmong(containers), []);
  });
});

Deno.test("docs/operations.md: losing the registry without a backup, on a new host", async () => {
  await using lab = await Lab.create({ hosts: 4, startAgents: false });
  const [host1, host2, host3, host4] = lab.hosts as [
    ...[LabHost, LabHost, LabHost, LabHost],
  ];
  const runner = new ProcedureRunner(lab.hosts);
  const joining = await read("Joining");
  await runner.follow(await read("Installing"));
  await runner.follow(joining);
  // The last line asks the other host's agent.
  await runner.follow(asFor(joining, [host2, host3]));
  const members = new Map<LabHost, readonly string[]>();
  for (const host of lab.hosts.slice(0, 3)) {
    members.set(host, await host.joined());
  }
  await settled(members);
  const containers = [
    await host2.addContainer("c1"),
    await host3.addContainer("c1"),
  ];
  await host1.agent.kill();
  const steps = (await read("On a new host")).map((step) =>
    step.line.endsWith(" --yes")
      ? { ...step, line: `${step.line} --settle 5s` }
      : step
  );
  const printed = await runner.follow(steps, [host4, host2, host3]);
  assert.match(
    printed,
    /can be rebuilt .*\n(.*\n)*.*Reports +host\d \(\d+\) host\d/,
  );
  assert.doesNotMatch(printed, /Conflict/);
  const lost = members.get(host1)!;
  members.delete(host1);
  for (const [host, subnets] of members) {
    assert.deepEqual(await host.joined(), subnets);
  }
  assert.deepEqual(await strangersAmong(containers), []);
  await lab.waitFor("the end of the grace period", async () => {
    const { code } = await runner.type(host4, "stellar-net ip allocate probe");
    return code === 0;
  });
  members.set(host4, await host4.joined());
  assert.notDeepEqual(members.get(host4), lost);
  await settled(members);
  for (const host of members.keys()) {
    containers.push(await host.addContainer("c2"));
  }
  const addresses = containers.flatMap((c) => c.addresses);
  assert.equal(new Set(addresses).size, addresses.length);
  assert.deepEqual(await strangersAmong(containers), []);
});

Deno.test("docs/operations.md: losing all of etcd without a snapshot", async () => {
  await using lab = await Lab.create({ hosts: 4, startAgents: false });
  const [host1, host2, host3, host4] = lab.hosts as [
    ...[LabHost, LabHost, LabHost, LabHost],
  ];
  await using etcd = await startLabEtcd([host4]);
  const [etcdMember] = etcd.members;
  const runner = new ProcedureRunner(lab.hosts);
  const [install, ...look] = await read("Installing");
  const hosting = [
    { ...install!, line: `${install!.line} --store ${ETCD_IN_DOCS}` },
    ...look,
  ];
  await runner.follow(hosting);
  await runner.follow(asFor(hosting, [host1, host2]));
  await runner.follow(asFor(await read("Joining"), [host2, host3]));
  const members = new Map<LabHost, readonly string[]>();
  for (const host of [host1, host2, host3]) {
    members.set(host, await host.joined());
  }
  await settled(members);
  const containers = [
    await host1.addContainer("c1"),
    await host2.addContainer("c1"),
    await host3.addContainer("c1"),
  ];
  await etcdMember!.kill();
  await etcdMember!.removeData();
  etcdMember!.start();
  await etcd.ready();
  const printed = await runner.follow(
    await read("In etcd"),
    [host1, host2, host3],
  );
  assert.match(printed, /can be rebuilt in etcd:\/\/198\.18\.0\.14:2379\//);
  for (const [host, subnets] of members) {
    assert.deepEqual(await host.joined(), subnets);
  }
  await settled(members);
  assert.deepEqual(await strangersAmong(containers), []);
  for (const host of members.keys()) {
    containers.push(await host.addContainer("c2"));
  }
  const addresses = containers.flatMap((c) => c.addresses);
  assert.equal(new Set(addresses).size, addresses.length);
  assert.deepEqual(await strangersAmong(containers), []);
});
