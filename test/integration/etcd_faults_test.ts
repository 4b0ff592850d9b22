import assert from "node:assert/strict";
import { setTimeout as delay } from "node:timers/promises";
import { EtcdRegistryLab } from "../lab/etcd_registry_lab.ts";
import { type Fault, FaultWatch } from "../lab/fault_watch.ts";
import type { LabEtcdMember } from "../lab/lab_etcd.ts";

/** Enough for the load, and soon full. */
const QUOTA_BYTES = 16 * 1024 * 1024;
const NETWORK = ["--network", "10.0.0.0/20", "--subnet-prefix", "26"];

/** An hour on, for all that asks for the time of day; libfaketime(1). */
const HOUR_OFF = {
  LD_PRELOAD: "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1",
  FAKETIME: "+3600s",
  FAKETIME_DONT_FAKE_MONOTONIC: "1",
  NO_FAKE_STAT: "1",
};

/** What may befall etcd, in turn. */
function faultsOf({ lab, etcd, registries }: EtcdRegistryLab): Fault[] {
  /** A member, once it is known which; the others. */
  let member: LabEtcdMember;
  const others = () => lab.hosts.filter((host) => host !== member.host);
  const back = async () => {
    member.start();
    await etcd.ready();
  };
  const heal = async () => {
    await lab.heal();
    await etcd.ready();
  };
  return [
    {
      what: "a follower killed",
      breakIt: async () => await (member = await etcd.follower()).kill(),
      mend: back,
    },
    {
      what: "the leader killed",
      breakIt: async () => await (member = await etcd.leader()).kill(),
      mend: back,
    },
    {
      what: "a member's data removed, the member replaced",
      breakIt: async () => {
        member = await etcd.leader();
        await member.kill();
        await member.removeData();
      },
      mend: async () => {
        await etcd.replace(member);
        await etcd.ready();
      },
    },
    {
      what: "the leader's network cut, outwards",
      breakIt: async () => {
        member = await etcd.leader();
        for (const other of others()) await lab.drop(member.host, other);
      },
      mend: heal,
    },
    {
      what: "the leader's network cut, inwards",
      breakIt: async () => {
        member = await etcd.leader();
        for (const other of others()) await lab.drop(other, member.host);
      },
      mend: heal,
    },
    {
      what: "the leader's network cut, both ways",
      breakIt: async () => {
        member = await etcd.leader();
        for (const other of others()) await lab.partition(other, member.host);
      },
      mend: heal,
    },
    {
      what: "compacted 20 times, each member defragmented twice",
      breakIt: async () => {
        const [first] = etcd.members;
        for (let i = 0; i < 20; i++) {
          await first!.compact(await first!.revision());
          await delay(50);
        }
        for (const each of [...etcd.members, ...etcd.members]) {
          await each.ctl(["defrag"]);
        }
      },
      meanwhile: () => Promise.resolve(),
      mend: () => Promise.resolve(),
    },
    {
      what: "the clock of a host an hour on, and right again",
      breakIt: async () => {
        const { agent } = registries[1]!;
        agent.env = HOUR_OFF;
        await agent.restart();
      },
      mend: async () => {
        const { agent } = registries[1]!;
        agent.env = {};
        await agent.restart();
      },
    },
    {
      what: "ENOSPC raised, and cleared",
      breakIt: () => etcd.fill(),
      meanwhile: async () => {
        const [host] = registries;
        const { code, stdout } = await host!.exec("stellar-net", ["doctor"]);
        assert.equal(code, 1, stdout);
        assert.match(
          stdout,
          /^FAILED +registry store: etcd:\/\/.*alarm NOSPACE.*etcdctl alarm disarm/m,
        );
        assert.match(stdout, /^ok +store: /m);
      },
      mend: () => etcd.makeRoom(),
    },
  ];
}

Deno.test("while joins, leaves and routes change through three agents, nothing that befalls etcd loses or doubles anything", async (t) => {
  await using cluster = await EtcdRegistryLab.create({
    etcdArgs: ["--quota-backend-bytes", String(QUOTA_BYTES)],
    registryArgs: NETWORK,
  });
  const watch = new FaultWatch(cluster);
  for (const fault of faultsOf(cluster)) {
    await t.step(fault.what, () => watch.cause(fault));
  }
});
