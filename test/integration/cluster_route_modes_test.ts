import assert from "node:assert/strict";
import { routesOf, settled, startInOrder } from "../lab/cluster.ts";
import { clusterFlags, Lab } from "../lab/lab.ts";
import type { LabHost } from "../lab/lab_host.ts";
import { watchMending } from "../lab/mending.ts";

/** What `--routes` says, by the number of the host. */
const MODES = ["apply", "plan", "off", "apply"];

/** The cluster's network: addresses of it without a route are unreachable. */
const NETWORK = "172.16.0.0/12";

/** A route that is nobody's but the operator's. */
const OPERATORS = "198.19.9.0/24";

interface RoutePlan {
  readonly mode: string;
  readonly commands: readonly string[];
}

/** Everything of a host's kernel that an agent may change. */
async function kernelOf(host: LabHost): Promise<string> {
  const commands = [
    "ip -oneline address show",
    "ip route show table all",
    "ip -6 route show table all",
    "sysctl net.ipv4.ip_forward net.ipv6.conf.all.forwarding",
    "nft --stateless list ruleset",
  ];
  const shown = await host.must("sh", ["-ec", commands.join("\n")]);
  // What runs out by itself says when.
  return shown.replace(/expires \S+/g, "");
}

/** The route to a destination as the kernel shows it, behind the destination. */
async function shown(host: LabHost, cidr: string): Promise<string> {
  return (await host.ip(`route show ${cidr}`)).trim().replace(/^\S+ /, "");
}

Deno.test("hosts of one cluster treat routes as --routes says", async (t) => {
  await using lab = await Lab.create({
    hosts: MODES.length,
    startAgents: false,
    agentFlags: (host) => [
      ...clusterFlags(host).filter((flag) => !/^(--routes|apply)$/.test(flag)),
      ...["--routes", MODES[host.number - 1]!],
    ],
  });
  const [first, planning, off, last] = lab.hosts as [
    LabHost,
    LabHost,
    LabHost,
    LabHost,
  ];
  const before = new Map<LabHost, string>();
  for (const host of [planning, off]) {
    await lab.waitFor(
      "addresses that are no longer tentative",
      async () => await host.ip("-6 address show tentative") === "",
    );
    before.set(host, await kernelOf(host));
  }
  const members = await startInOrder(lab);
  await settled(members, [first, last]);

  await t.step("plan: the commands are told, and nothing is done", async () => {
    const wanted = [
      ...routesOf(planning, members).map((route) => `add ${route}`),
      ...[...members.get(planning)!, NETWORK]
        .map((cidr) => `add unreachable ${cidr}`),
    ].sort();
    let plan: string[] = [];
    await lab.waitFor("a plan for all peers", async () => {
      const { mode, commands } = await planning.ask<RoutePlan>("route plan");
      plan = commands.map((text) =>
        text.replace(
          /^ip route (.*?)(?: dev eth0)? proto 83(?: metric \d+)?$/,
          "$1",
        )
      ).sort();
      return mode === "plan" && plan.length === wanted.length;
    });
    assert.deepEqual(plan, wanted);
    assert.equal(await kernelOf(planning), before.get(planning));
    assert.match(
      await planning.must("stellar-net", ["status"]),
      /^Routes +plan: 3 wanted, 0 installed,/m,
    );
  });
  await t.step("plan: the commands do what is wanted", async () => {
    const commands = await planning.must("stellar-net", ["route", "plan"]);
    await planning.must("sh", ["-exc", commands]);
    assert.deepEqual(await planning.routes(), routesOf(planning, members));
    const { stdout, stderr } = await planning.exec("stellar-net", [
      ...["route", "plan"],
    ]);
    assert.deepEqual({ stdout, stderr }, {
      stdout: "",
      stderr: "Nothing to change\n",
    });
  });
  await t.step("off: the kernel is left alone, and that is told", async () => {
    const { stderr } = await off.exec("stellar-net", ["route", "list"]);
    assert.match(stderr, /^Routes are off:/m);
    assert.match(
      await off.must("stellar-net", ["status"]),
      /^Routes +off: 3 wanted;/m,
    );
    assert.equal(await kernelOf(off), before.get(off));
  });
  await t.step(
    "off: a bridge that is asked for is kept all the same",
    async () => {
      const { agent } = off;
      agent.flags = [...agent.flags, "--bridge", "stellar0"];
      await agent.restart();
      const isThere = async () =>
        (await off.ip("-4 address show")).includes(" 172.16.8.1/22 ");
      await lab.waitFor("the bridge", isThere);
      // The first look after its start may be the one that mends.
      for (const time of ["", ", again"]) {
        await watchMending(lab, {
          what: `the bridge is deleted where routes are off${time}`,
          breakIt: () => off.ip("link del stellar0"),
          isMended: isThere,
        });
      }
      assert.deepEqual(await off.routes(), []);
    },
  );
  await t.step(
    "apply: what went stale without the agent goes at its start",
    async () => {
      const stale = members.get(off)![0]!;
      const stays = `route add ${OPERATORS} via ${first.address} proto static`;
      await last.ip(stays);
      await last.agent.stop();
      await off.must("stellar-net", ["node", "leave"]);
      const rest = new Map([...members].filter(([host]) => host !== off));
      await settled(rest, [first]);
      assert.match(await shown(last, stale), /^via 198\.18\.0\.13 .*proto 83/);
      await last.agent.start();
      await settled(rest, [last]);
      assert.equal(await shown(last, stale), "");
      assert.match(await shown(last, OPERATORS), /proto static$/);
    },
  );
});
