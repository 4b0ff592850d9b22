import assert from "node:assert/strict";
import { join } from "node:path";
import { LinuxPathProbe } from "../../src/host/linux_path_probe.ts";
import { parseAddress } from "../../src/net/address.ts";
import { LinuxStations } from "../../src/station/linux_stations.ts";
import { DenoCommandRunner } from "../../src/system/deno_command.ts";
import { Lab, secureFlags } from "../lab/lab.ts";
import type { LabHost } from "../lab/lab_host.ts";

/** What `stellar-net test --json` tells. */
interface Tested {
  readonly peers: readonly {
    readonly node: string;
    readonly problem: string | null;
    readonly families: readonly {
      readonly family: number;
      readonly from: string;
      readonly to: string;
      readonly triedTcp: boolean;
      readonly problems: readonly string[];
    }[];
    readonly limits: readonly string[];
  }[];
}

/** Tests paths from a host. @returns the exit code, and what it tells */
async function test(
  host: LabHost,
  ...words: readonly string[]
): Promise<{ readonly code: number } & Tested> {
  const args = ["test", ...words, "--json"];
  const { code, stdout, stderr } = await host.exec("stellar-net", args);
  assert.notEqual(stdout, "", stderr);
  return { code, ...JSON.parse(stdout) };
}

/** The faults that a test has found, with B for the near end's address and C for the far end's. */
function faultsOf({ peers }: Tested): string[] {
  return peers.flatMap(({ families }) =>
    families.flatMap(({ family, from, to, problems }) =>
      problems.map((text) =>
        `${family} ` + text.replaceAll(`from ${from}`, "from B")
          .replaceAll(`to ${from}`, "to B")
          .replaceAll(`from ${to}`, "from C")
          .replaceAll(`to ${to}`, "to C")
      )
    )
  );
}

/** The ends of links to stations on a host. */
async function links(host: LabHost): Promise<string[]> {
  return (await host.ip("-br link")).match(/^stt\S*/gm) ?? [];
}

/** The addresses that stations hold on a host. */
async function held(host: LabHost): Promise<string[]> {
  const { allocations } = await host.ask<
    {
      readonly allocations: readonly {
        readonly owner: { readonly containerId: string };
      }[];
    }
  >("ip list");
  return allocations.map(({ owner }) => owner.containerId)
    .filter((id) => id.startsWith("stellar-test-"));
}

/**
 * Starts a test that takes a while, and waits until both ends have a station. A
 * test that is over before that was seen is started again.
 */
async function startTest(lab: Lab, from: LabHost, to: LabHost) {
  const pidPath = join(from.dir, "client.pid");
  const command = `echo $$ >'${pidPath}'; exec stellar-net test ${to.name}`;
  const start = () => {
    const run = { isOver: false };
    const ended = from.exec("sh", ["-c", command])
      .finally(() => run.isOver = true);
    return { run, ended };
  };
  let { run, ended } = start();
  await lab.waitFor("stations on both hosts", async () => {
    if (run.isOver) ({ run, ended } = start());
    // A quick look: a station gets its address before its link.
    const each = await Promise.all([links(from), links(to)]);
    return each.every(({ length }) => length === 1);
  });
  return { ended, pid: Number(await Deno.readTextFile(pidPath)) };
}

/** Packets from other hosts to containers that are larger than a link with a small MTU would pass. */
const LARGE = "iifname eth0 oifname stellar0 meta length > 1400";

/** Drops what a host forwards to or from its containers, until the result is disposed of. */
async function dropForwarded(
  host: LabHost,
  rule: string,
): Promise<AsyncDisposable> {
  await host.must("nft", ["-f", "-"], {
    stdin: `add table inet t
      add chain inet t f { type filter hook forward priority -5; }
      add rule inet t f ${rule} drop\n`,
  });
  return {
    async [Symbol.asyncDispose]() {
      await host.must("nft", ["delete", "table", "inet", "t"]);
    },
  };
}

Deno.test("an exchange of a station whose process has ended fails, and does not wait", async () => {
  const runner = new DenoCommandRunner();
  const stations = new LinuxStations({
    ...{ runner, probe: new LinuxPathProbe({ runner }) },
    program: ["sh", "-c", "echo '{\"port\":1}'; read -r _"],
  });
  await using station = await stations.start();
  const to = parseAddress("192.0.2.1");
  const waiting = station.exchange(to, 1);
  // The process reads the order, and ends.
  assert.equal(await waiting, "the network namespace is gone");
  assert.equal(await station.exchange(to, 1), "the network namespace is gone");
});

Deno.test("test sends packets between throw-away namespaces, finds faults of the path, and leaves nothing", async (t) => {
  await using lab = await Lab.create({
    ...{ hosts: 3, secure: true },
    agentFlags: (host) => [
      ...secureFlags(host),
      ...host.number === 1
        ? ["--network", "172.16.0.0/12", "--network", "fd00:5e11::/48"]
        : [],
    ],
  });
  const [a, b, c] = lab.hosts as [LabHost, LabHost, LabHost];
  const nothingLeft = (host: LabHost) =>
    lab.waitFor(
      `no station on ${host.name}`,
      async () =>
        (await links(host)).length === 0 && (await held(host)).length === 0,
    );

  await t.step("from host to host, where there is no bridge yet", async () => {
    const { code, peers } = await test(b, "host3");
    assert.equal(code, 0);
    assert.equal(peers[0]!.limits.length, 2);
    assert.deepEqual(
      peers[0]!.families.map(({ family, triedTcp }) => [family, triedTcp]),
      [[4, false], [6, false]],
    );
  });

  for (const host of lab.hosts) await host.addContainer("web");

  await t.step(
    "every path is sound, over both families, and nothing is left",
    async () => {
      const { code, peers } = await test(b, "--all");
      assert.deepEqual(peers.map(({ node }) => node), ["host1", "host3"]);
      for (const { families, limits, problem } of peers) {
        assert.deepEqual([problem, limits], [null, []]);
        assert.deepEqual(
          families.map((
            { family, triedTcp, problems },
          ) => [family, triedTcp, problems]),
          [[4, true, []], [6, true, []]],
        );
      }
      assert.equal(code, 0);
      // No wait: the command removes them before it answers, and peers notice its end.
      assert.deepEqual([await links(b), await held(b)], [[], []]);
      await nothingLeft(a);
      await nothingLeft(c);
    },
  );

  await t.step(
    "a drop in one direction is found in that direction",
    async () => {
      const rows = [
        ["iifname eth0 oifname stellar0", "no packet gets from B to C"],
        [
          "iifname stellar0 oifname eth0",
          "packets get from B to C, and no answer comes back: they are lost on the way from C to B",
        ],
      ] as const;
      for (const [rule, text] of rows) {
        await using _drop = await dropForwarded(c, rule);
        const found = await test(b, "host3");
        assert.deepEqual(faultsOf(found), [`4 ${text}`, `6 ${text}`]);
        assert.equal(found.code, 1);
      }
    },
  );

  await t.step(
    "a smaller MTU is found, and that TCP does not get through",
    async () => {
      await using _drop = await dropForwarded(c, LARGE);
      const found = await test(b, "host3");
      const large =
        "packets of 1500 bytes are lost on the way from B to C, and small ones are not: a link there has a smaller MTU";
      const tcp =
        "TCP from B to C: only 0 of 262144 bytes came back within 5 s";
      assert.deepEqual(
        faultsOf(found).map((text) => text.replace(/only \d+ of/, "only 0 of")),
        [`4 ${large}`, `4 ${tcp}`, `6 ${large}`, `6 ${tcp}`],
      );
      assert.equal(found.code, 1);
    },
  );

  await t.step(
    "a smaller MTU that a host on the way reports is named",
    async () => {
      await b.ip("link set eth0 mtu 1400");
      const text =
        "packets of 1500 bytes do not get from B to C: a host on the way passes at most 1400 bytes";
      const found = await test(b, "host3");
      await b.ip("link set eth0 mtu 1500");
      // TCP gets through: the report makes it send smaller packets.
      assert.deepEqual(faultsOf(found), [`4 ${text}`, `6 ${text}`]);
    },
  );

  await t.step("nothing is left when the command is killed", async () => {
    await using _drop = await dropForwarded(c, LARGE);
    const { ended, pid } = await startTest(lab, b, c);
    Deno.kill(pid, "SIGKILL");
    await ended;
    await nothingLeft(b);
    await nothingLeft(c);
  });

  await t.step("nothing is left when the own agent is killed", async () => {
    await using _drop = await dropForwarded(c, LARGE);
    const { ended } = await startTest(lab, b, c);
    await b.agent.kill();
    assert.equal((await ended).code, 1);
    await lab.waitFor("no link", async () => (await links(b)).length === 0);
    await b.agent.start();
    await nothingLeft(b);
    await nothingLeft(c);
  });

  await t.step(
    "nothing is left when the agent of the far end is killed",
    async () => {
      await using _drop = await dropForwarded(c, LARGE);
      const { ended } = await startTest(lab, b, c);
      await c.agent.kill();
      const { code, stdout } = await ended;
      assert.equal(code, 1, stdout);
      await nothingLeft(b);
      await lab.waitFor("no link", async () => (await links(c)).length === 0);
    },
  );

  await t.step(
    "an agent without CAP_SYS_ADMIN tests from its gateway, and says so",
    async () => {
      const { program } = c.agent;
      c.agent.program = ["setpriv", "--bounding-set=-sys_admin", ...program];
      await c.agent.start();
      await lab.waitFor("host3 to be tested again", async () => {
        const { code, peers } = await test(b, "host3");
        const [peer] = peers;
        if (peer?.problem !== null || code !== 0) return false;
        assert.deepEqual(peer.limits, [
          'node "host3" makes no network namespace: its gateway is the end (Cannot make a network namespace: the agent lacks CAP_SYS_ADMIN)',
        ]);
        assert.ok(peer.families.every(({ triedTcp }) => !triedTcp));
        return true;
      });
      await nothingLeft(c);
    },
  );
});
