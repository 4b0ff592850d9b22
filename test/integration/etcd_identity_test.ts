import assert from "node:assert/strict";
import { EtcdRegistryLab } from "../lab/etcd_registry_lab.ts";
import { tokenPath } from "../lab/lab.ts";
import { certificateIn, identityDir } from "../lab/lab_certificates.ts";
import type { LabHost } from "../lab/lab_host.ts";
import { allDone } from "../support/all_done.ts";

/** Enough to meet at the store. */
const RACERS = 6;

Deno.test("agents that share a registry in etcd are one authority", async (t) => {
  await using cluster = await EtcdRegistryLab.create({
    ...{ registries: 2, joiners: 2, secure: true },
  });
  const { lab, hosts } = cluster;
  const [one, other] = cluster.registries as [LabHost, LabHost];
  const [first, second] = cluster.joiners as [LabHost, LabHost];
  await cluster.agreed();

  const createToken = async (at: LabHost, name: string) => {
    const path = `${lab.dir}/${name}.token`;
    await at.must("stellar-net", [
      ...["token", "create", "--role", "operator", "--name", name],
      ...["--file", path],
    ]);
    return path;
  };
  /** Has an operator's identity made at an agent, in a folder of its own. */
  const enrol = (
    { at, name, token, dir }: {
      readonly at: LabHost;
      readonly name: string;
      readonly token: string;
      readonly dir: string;
    },
  ) =>
    first.exec("stellar-net", [
      ...["identity", "create", `${lab.dir}/${dir}`, "--name", name],
      ...["--join", `https://${at.address}:9000`, "--token-file", token],
    ]);
  const generations = async () =>
    await Promise.all(
      hosts.map(async (host) =>
        (await certificateIn(identityDir(host))).generation
      ),
    );

  await t.step("a token of one is good at the other", async () => {
    const rows: readonly (readonly [LabHost, LabHost, string])[] = [
      [one, other, "alice"],
      [other, one, "bob"],
    ];
    for (const [made, at, name] of rows) {
      const token = await createToken(made, name);
      const { code, stderr } = await enrol({ at, name, token, dir: name });
      assert.equal(code, 0, stderr);
    }
  });

  await t.step("a token is used once, however many race at both", async () => {
    const token = await createToken(one, "carol");
    const results = await allDone(
      Array.from({ length: RACERS }, (_, i) =>
        enrol({
          ...{ at: i % 2 ? one : other, name: "carol", token },
          dir: `carol${i}`,
        })),
    );
    const refused = results.filter(({ code }) => code !== 0);
    assert.equal(refused.length, RACERS - 1);
    for (const { stderr } of refused) {
      assert.match(stderr, /it was good for one use and has had it/);
    }
  });

  await t.step("with one killed, the other renews and admits", async () => {
    await one.agent.kill();
    const before = await certificateIn(identityDir(first));
    Deno.kill(first.agent.pid, "SIGHUP");
    await lab.waitFor("a host to renew", async () => {
      const { serial } = await certificateIn(identityDir(first));
      return serial !== before.serial;
    });
    await second.agent.stop();
    await other.must("stellar-net", ["node", "remove", second.name, "--force"]);
    await other.must("stellar-net", [
      ...["token", "create", "--file", tokenPath(second)],
    ]);
    await second.agent.start();
    await second.joined();
    await one.agent.start();
    await cluster.agreed();
  });

  await t.step("an announced rotation at one is one at both", async () => {
    await other.must("stellar-net", [
      ...["identity", "rotate", "--announce", "2s"],
    ]);
    await lab.waitFor(
      "all to go over when they are told to renew",
      async () => {
        for (const { agent } of hosts) Deno.kill(agent.pid, "SIGHUP");
        return (await generations()).every((generation) => generation === 2);
      },
      { everyMs: 1000 },
    );
    await cluster.agreed();
  });

  await t.step(
    "an authority that is compromised at one is at both",
    async () => {
      const startedMs = performance.now();
      await one.must("stellar-net", ["identity", "rotate", "--compromised"]);
      await lab.waitFor("both to be certified by it", async () => {
        const [atOne, atOther] = await generations();
        return atOne === 3 && atOther === 3;
      });
      const tookMs = performance.now() - startedMs;
      console.log(`both have gone over after ${(tookMs / 1000).toFixed(1)} s`);
      await other.must("stellar-net", [
        ...["token", "create", "--uses", "2", "--file", tokenPath(first)],
      ]);
      await Deno.copyFile(tokenPath(first), tokenPath(second));
      await lab.waitFor(
        "the others to be certified by it",
        async () =>
          (await generations()).every((generation) => generation === 3),
      );
      await cluster.agreed();
    },
  );
});
