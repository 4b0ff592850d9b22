import assert from "node:assert/strict";
import type { TlsPaths } from "../../src/config/config.ts";
import { routesOf, settled } from "../lab/cluster.ts";
import { Lab, labUrl, secureFlags } from "../lab/lab.ts";
import type { LabHost } from "../lab/lab_host.ts";
import { curlTlsArgs } from "../support/stellar_clients.ts";
import { withTempDir } from "../support/temp_dir.ts";
import { TestAuthority } from "../support/test_authority.ts";

const CERTIFIED = 3;
const REGISTRY = labUrl(1).replace("http:", "https:");

/** The flags of a host that has certificates. */
function tlsFlags({ certPath, keyPath, caPath }: TlsPaths): string[] {
  return ["--tls-cert", certPath, "--tls-key", keyPath, "--tls-ca", caPath];
}

/** The flags of a secure cluster, without a token. */
function joinFlags(host: LabHost): string[] {
  const flags = secureFlags(host);
  return flags.includes("--token-file") ? flags.slice(0, -2) : flags;
}

function issue(authority: TestAuthority, host: LabHost): Promise<TlsPaths> {
  return authority.issue(host.name, { names: `IP:${host.address}` });
}

Deno.test("hosts with certificates are a cluster, and others get nothing", (t) =>
  withTempDir(async (dir) => {
    await using lab = await Lab.create({ hosts: 4, startAgents: false });
    const authority = await TestAuthority.create(dir);
    const other = await TestAuthority.create(dir, "other");
    const certified = lab.hosts.slice(0, CERTIFIED);
    const [first, second, third] = certified as [LabHost, LabHost, LabHost];
    const stranger = lab.host(4);
    const members = new Map<LabHost, readonly string[]>();
    const subject = "/OU=readonly/CN=metrics";
    const reader = await authority.issue("metrics", { subject });

    await t.step("they join, and have their routes", async () => {
      for (const host of certified) {
        const paths = await issue(authority, host);
        host.agent.flags = [...joinFlags(host), ...tlsFlags(paths)];
        await host.agent.start();
        members.set(host, await host.joined());
      }
      await settled(members);
      for (const host of certified) {
        const { security, warnings } = await host.status();
        assert.deepEqual([security, warnings], ["given", []]);
        assert.doesNotMatch(await host.agent.log(), /plain text/);
      }
    });

    await t.step("they answer the calls of nodes for each other", async () => {
      const nodes = await third.must("stellar-net", ["node", "list"]);
      for (const { name } of certified) assert.match(nodes, new RegExp(name));
      const line = ["ip", "allocate", "c1", "--node", second.name];
      const { stderr } = await third.exec("stellar-net", line);
      assert.match(stderr, /node "host3" may for itself alone/);
    });

    await t.step("doctor finds its way to the others", async () => {
      const { stdout } = await third.exec("stellar-net", ["doctor", "--json"]);
      const { checks } = JSON.parse(stdout) as {
        checks: readonly { name: string; status: string }[];
      };
      const statuses = ["registry", "clock"].map((name) =>
        checks.find((check) => check.name === name)?.status
      );
      assert.deepEqual(statuses, ["ok", "ok"]);
    });

    await t.step("a client without a certificate gets nothing", async () => {
      const { caPath } = authority;
      const page = `${REGISTRY}/metrics`;
      const good = ["--silent", ...curlTlsArgs(reader)];
      assert.match(await second.must("curl", [...good, page]), /stellar_net_/);
      for (
        const args of [
          ["--cacert", caPath, page],
          ["--insecure", page],
          ["--http0.9", page.replace("https", "http")],
        ]
      ) {
        const { stdout } = await stranger.exec("curl", ["--silent", ...args]);
        assert.doesNotMatch(stdout, /stellar|HTTP/, args.join(" "));
      }
      assert.match(
        await first.agent.log(),
        new RegExp(`Refused a client at .*${stranger.address}`),
      );
    });

    const rows: readonly [
      what: string,
      flags: () => Promise<readonly string[]>,
      says: RegExp,
    ][] = [
      [
        "no certificate",
        () => Promise.resolve(["--join", REGISTRY]),
        /this agent has no certificate yet/,
      ],
      [
        "a foreign certificate",
        async () => [
          ...["--join", REGISTRY],
          ...tlsFlags({
            ...await issue(other, stranger),
            caPath: authority.caPath,
          }),
        ],
        /"CN=other", which has signed it, is no authority in --tls-ca/,
      ],
    ];
    for (const [what, flags, says] of rows) {
      await t.step(`a host with ${what} does not join`, async () => {
        stranger.agent.flags = [...await flags(), "--routes", "apply"];
        await stranger.agent.start();
        await lab.waitFor("it to say why", async () => {
          const { registry, subnets } = await stranger.status();
          assert.deepEqual(subnets, []);
          return says.test(registry.problem ?? "");
        });
        await stranger.agent.stop();
        assert.deepEqual(await stranger.routes(), []);
      });
    }

    await t.step("a new certificate is taken up, and all goes on", async () => {
      await issue(authority, second);
      Deno.kill(second.agent.pid, "SIGHUP");
      await lab.waitFor(
        "it to say so",
        async () => /Using the new certificate/.test(await second.agent.log()),
      );
      await issue(authority, first);
      await lab.waitFor(
        "the next to notice it by itself",
        async () => /Using the new certificate/.test(await first.agent.log()),
      );
      await first.must("stellar-net", [
        ...["route", "add", "10.9.0.0/16", second.address],
      ]);
      await lab.waitFor(
        "the route to be everywhere",
        async () =>
          (await first.routes()).includes(`10.9.0.0/16 via ${second.address}`),
      );
      const owned = (await third.routes()).filter((route) =>
        !route.startsWith("10.9.0.0/16")
      );
      assert.deepEqual(owned, routesOf(third, members));
    });

    await t.step(
      "a host that was removed is let in with a later certificate alone",
      async () => {
        const cut = ["node", "remove", second.name, "--force"];
        await first.must("stellar-net", cut);
        const saysRevoked = async () => {
          const { problem } = (await second.status()).registry;
          return /revoked/.test(problem ?? "");
        };
        await lab.waitFor("it to be refused", saysRevoked);
        // Certificates tell whole seconds.
        await lab.waitFor("a later certificate to be taken up", async () => {
          await issue(authority, second);
          Deno.kill(second.agent.pid, "SIGHUP");
          return !await saysRevoked();
        }, { everyMs: 1_500 });
        assert.deepEqual(await second.joined(), members.get(second));
      },
    );
  }));
