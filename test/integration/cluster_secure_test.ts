import assert from "node:assert/strict";
import { settled, strangersAmong } from "../lab/cluster.ts";
import { Lab, labUrl, secureFlags, tokenPath } from "../lab/lab.ts";
import type { LabHost } from "../lab/lab_host.ts";
import { allDone } from "../support/all_done.ts";

const PLAIN = labUrl(1);
const REGISTRY = PLAIN.replace("http:", "https:");
const STATUS = "stellar.net.v1.AgentService/GetStatus";

/** What a host without a certificate gets from a URL. */
async function ask(host: LabHost, url: string): Promise<string> {
  const { stdout } = await host.exec("curl", [
    ...["--silent", "--insecure", "--http0.9", "--max-time", "10"],
    ...["--header", "content-type: application/json", "--data", "{}", url],
  ]);
  return stdout;
}

async function modeOf(path: string): Promise<string> {
  return ((await Deno.stat(path)).mode! & 0o777).toString(8);
}

Deno.test("hosts that were let in by tokens are a cluster, and others get nothing", async (t) => {
  await using lab = await Lab.create({
    ...{ hosts: 4, secure: true, startAgents: false },
    agentFlags: (host) => host.number === 4 ? [] : secureFlags(host),
  });
  const stranger = lab.host(4);
  const cluster = lab.hosts.filter((host) => host !== stranger);
  const [first, second, third] = cluster as [LabHost, LabHost, LabHost];

  const members = new Map<LabHost, readonly string[]>();
  await t.step("they join with tokens, and have their routes", async () => {
    for (const host of cluster) {
      if (host !== first) await lab.admit(host);
      await host.agent.start();
      members.set(host, await host.joined());
    }
    await settled(members);
    for (const host of cluster) {
      const { security, certificateUntil, warnings } = await host.status();
      assert.deepEqual([security, warnings], ["cluster", []]);
      const lastsMs = Date.parse(certificateUntil!) - Date.now();
      assert.ok(lastsMs > 23 * 3_600_000, certificateUntil!);
      assert.doesNotMatch(await host.agent.log(), /plain text/);
      const { stateDir } = host.agent;
      assert.equal(await modeOf(`${stateDir}/identity`), "700");
      assert.equal(await modeOf(`${stateDir}/identity/key.pem`), "600");
    }
  });

  await t.step("their containers reach each other", async () => {
    const containers = await allDone(
      cluster.map((host) => host.addContainer("c1")),
    );
    assert.deepEqual(await strangersAmong(containers), []);
  });

  await t.step("they answer the calls of nodes for each other", async () => {
    const nodes = await third.must("stellar-net", ["node", "list"]);
    for (const { name } of cluster) assert.match(nodes, new RegExp(name));
    const line = ["ip", "allocate", "x1", "--node", second.name];
    const refused = await third.exec("stellar-net", line);
    assert.match(refused.stderr, /node "host3" may for itself alone/);
  });

  await t.step("a client without a certificate gets nothing", async () => {
    const plain = await ask(stranger, `${PLAIN}/${STATUS}`);
    assert.doesNotMatch(plain, /HTTP|stellar|\{/);
    assert.match(
      await ask(stranger, `${REGISTRY}/${STATUS}`),
      /^\{"code":"unauthenticated",/,
    );
    assert.doesNotMatch(await ask(stranger, `${REGISTRY}/metrics`), /stellar_/);
  });

  const flags = secureFlags(stranger);
  const rows: readonly [
    what: string,
    flags: readonly string[],
    says: RegExp,
  ][] = [
    ["no token", flags.slice(0, -2), /no token to get one with/],
    ["a used token", flags, /it was good for one use and has had it/],
  ];
  for (const [what, flags, says] of rows) {
    await t.step(`a host with ${what} does not join, and says so`, async () => {
      await Deno.copyFile(tokenPath(second), tokenPath(stranger));
      stranger.agent.flags = flags;
      await stranger.agent.start();
      await lab.waitFor("it to say why", async () => {
        const { warnings } = await stranger.status();
        return warnings.some((line) => says.test(line));
      });
      const { warnings, subnets } = await stranger.status();
      assert.match(warnings.join(), /this host has no certificate yet/);
      assert.deepEqual(subnets, []);
      await stranger.agent.stop();
    });
  }

  await t.step("they come back without a token", async () => {
    for (const host of cluster.slice(1)) await Deno.remove(tokenPath(host));
    for (const host of cluster) {
      await host.agent.restart();
      assert.deepEqual(await host.joined(), members.get(host));
    }
    await settled(members);
  });
});

Deno.test("Lab.create() lets its hosts in by tokens", async () => {
  await using lab = await Lab.create({ hosts: 2, secure: true });
  const urls = await lab.host(2).ask<{ nodes: { apiUrl: string }[] }>(
    "node list",
  );
  assert.deepEqual(
    urls.nodes.map(({ apiUrl }) => apiUrl),
    lab.hosts.map(({ address }) => `https://${address}:9000`),
  );
});
