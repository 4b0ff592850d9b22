import assert from "node:assert/strict";
import { Lab } from "../lab/lab.ts";
import { waitFor } from "../support/wait_for.ts";

interface Check {
  readonly name: string;
  readonly status: string;
  readonly found: string;
}

/** A default gateway, which must not see packets for the cluster's networks. */
const GATEWAY = "198.18.0.254";

Deno.test("packets to addresses that nobody has get an ICMP error, and leave by no default gateway", async (t) => {
  await using lab = await Lab.create({ hosts: 2 });
  const host = lab.host(2);
  await host.must("ip", ["route", "add", "default", "via", GATEWAY]);
  const container = await host.addContainer("c1");
  const [subnet] = (await host.joined()).filter((cidr) => cidr.includes("."));
  const free = subnet!.replace(/\.\d+\/\d+$/, ".200");
  const unreachable = async () =>
    (await host.must("sh", [
      "-c",
      "ip route show proto 83; ip -6 route show proto 83",
    ])).match(/^unreachable \S+/gm) ?? [];

  await t.step("an address that no node has", async () => {
    const { stdout } = await container.exec("ping", [
      ...["-c", "1", "-W", "2", "172.31.255.9"],
    ]);
    assert.match(stdout, /Destination Host Unreachable/);
    assert.match(
      (await host.exec("ip", ["route", "get", "172.31.255.9"])).stderr,
      /No route to host/,
    );
  });

  await t.step("an address of this node, without the bridge", async () => {
    await host.removeContainer("c1");
    await host.must("ip", ["link", "delete", "stellar0"]);
    const { stderr } = await host.exec("ip", ["route", "get", free]);
    assert.match(stderr, /No route to host/);
  });

  await t.step("flushed routes come back", async () => {
    const before = await unreachable();
    assert.deepEqual(before.length, 2);
    await host.must("ip", ["route", "flush", "proto", "83"]);
    await waitFor(
      "the routes",
      async () => (await unreachable()).length === before.length,
    );
  });

  await t.step(
    "--no-blackhole removes them, and leaves the others",
    async () => {
      await host.agent.kill("SIGTERM");
      host.agent.flags = [...host.agent.flags, "--no-blackhole"];
      await host.agent.start();
      await host.joined();
      await waitFor(
        "no unreachable route",
        async () => (await unreachable()).length === 0,
      );
      assert.equal((await host.routes()).length, 1);
    },
  );

  await t.step(
    "--no-blackhole: the other host's doctor finds no fault where the gateway gets the packets",
    async () => {
      const other = lab.host(1);
      await other.addContainer("c2");
      // A gateway that drops them: no error tells where they are lost.
      await host.must("ip", [
        ...["neighbour", "replace", GATEWAY, "dev", "eth0"],
        ...["lladdr", "02:00:00:00:00:fe", "nud", "permanent"],
      ]);
      const packets = async () => {
        const { stdout } = await other.exec("stellar-net", [
          ...["doctor", host.name, "--json"],
        ]);
        const { checks } = JSON.parse(stdout) as { checks: readonly Check[] };
        return checks.filter(({ name }) => name === "packets")
          .map(({ status, found }) => `${status}: ${found}`);
      };
      assert.deepEqual(await packets(), [
        `ok: packets get from 172.16.0.1 to "${host.name}", which has no bridge with 172.16.4.1 now`,
      ]);
      // Packets that do not even get to the host are a fault.
      await host.must("iptables", [
        ...[
          "-t",
          "raw",
          "-I",
          "PREROUTING",
          "-s",
          "172.16.0.0/22",
          "-j",
          "DROP",
        ],
      ]);
      assert.deepEqual(await packets(), [
        `failed: no packet gets from 172.16.0.1 to 172.16.4.1, the gateway of "${host.name}"`,
      ]);
    },
  );
});
