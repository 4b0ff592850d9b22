import assert from "node:assert/strict";
import { settled, strangersAmong } from "../lab/cluster.ts";
import { Lab, tokenPath } from "../lab/lab.ts";
import { startLabEtcd } from "../lab/lab_etcd.ts";
import type { LabHost } from "../lab/lab_host.ts";
import { allDone } from "../support/all_done.ts";

const KINDS = [
  { name: "plain text, into etcd", secure: false, inEtcd: true },
  { name: "TLS", secure: true, inEtcd: false },
];

/** Checks that a member goes on when someone makes a new cluster in place of the lost registry, and gives the member a token of that. */
async function missesNothing(
  lab: Lab,
  { fresh, member }: { readonly fresh: LabHost; readonly member: LabHost },
): Promise<void> {
  await Deno.remove(fresh.agent.stateDir, { recursive: true });
  await fresh.agent.start();
  await lab.admit(member, ["--name", member.name]);
  await lab.waitFor("the refusal", async () => {
    const { registry: { state, problem } } = await member.status();
    return state === "unreachable" && /belongs to cluster/.test(`${problem}`);
  }, { everyMs: 500 });
  await member.must("stellar-net", ["ip", "allocate", "meanwhile"]);
  await fresh.agent.kill();
}

for (const { name, secure, inEtcd } of KINDS) {
  Deno.test(`registry rebuild brings the registry back on a member, and containers keep their addresses (${name})`, async () => {
    await using lab = await Lab.create({
      hosts: 3,
      secure,
      startAgents: false,
    });
    const [lost, next, member] = lab.hosts;
    await lost!.agent.start();
    if (secure) {
      for (const host of [next!, member!]) await lab.admit(host);
    }
    const others = [next!, member!];
    for (const host of others) {
      await host.agent.start();
      await host.joined();
    }
    const members = new Map(
      await allDone(
        lab.hosts.map(async (host) => [host, await host.joined()] as const),
      ),
    );
    await settled(members);
    const containers = await allDone(
      others.map((host) => host.addContainer("c1")),
    );
    await lost!.agent.kill();
    if (secure) await missesNothing(lab, { fresh: lost!, member: member! });
    await next!.agent.stop();
    await using etcd = inEtcd ? await startLabEtcd([next!]) : undefined;
    const store = etcd ? ["--store", etcd.url] : [];
    const rebuild = ["registry", "rebuild", "--state", next!.agent.stateDir]
      .concat(store);
    assert.match(await next!.must("stellar-net", rebuild), /can be rebuilt/);
    await next!.must("stellar-net", [...rebuild, "--yes", "--settle", "5s"]);
    next!.agent.flags = lost!.agent.flags.map((flag) =>
      flag.replace(lost!.address, next!.address)
        .replace(lost!.address6, next!.address6)
    ).concat(store);
    await next!.agent.start();
    assert.deepEqual(await next!.joined(), members.get(next!));
    const url = `http${secure ? "s" : ""}://${next!.address}:9000`;
    member!.agent.flags = member!.agent.flags.map((flag) =>
      /^https?:/.test(flag) ? url : flag
    );
    if (secure) {
      const token = await next!.must("stellar-net", [
        ...["token", "create", "--name", member!.name],
      ]);
      await Deno.writeTextFile(tokenPath(member!), token);
    }
    await member!.agent.stop();
    // Its identity is of the authority that was lost.
    if (secure) {
      await Deno.remove(`${member!.agent.stateDir}/identity`, {
        recursive: true,
      });
    }
    await member!.agent.start();
    assert.deepEqual(await member!.joined(), members.get(member!));
    const left = new Map([...members].filter(([host]) => host !== lost));
    await settled(left);
    assert.deepEqual(await strangersAmong(containers), []);
    // The addresses that they hold are not given out again.
    const more = await allDone(others.map((host) => host.addContainer("c2")));
    const addresses = [...containers, ...more].flatMap((c) => c.addresses);
    assert.equal(new Set(addresses).size, addresses.length);
  });
}
