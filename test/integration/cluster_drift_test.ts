import assert from "node:assert/strict";
import { routesOf, settled, startInOrder } from "../lab/cluster.ts";
import { allDone } from "../support/all_done.ts";
import { clusterFlags, Lab } from "../lab/lab.ts";
import type { LabHost } from "../lab/lab_host.ts";
import { type Mending, watchMending } from "../lab/mending.ts";

const NETWORKS = ["--network", "172.16.0.0/12", "--network", "fd00:1::/48"];
const BRIDGE = "stellar0";
/** The second address of host2, which it advertises later. */
const OTHER_ADDRESS = "198.18.0.112";
/** Where an extra route leads to. */
const EXTRA = { cidr: "198.19.7.0/24", target: "198.18.0.200" };

/** What makes a host forward nothing, as Docker does. */
const DROP_ALL = "add table ip filter; add chain ip filter FORWARD " +
  "{ type filter hook forward priority 0; policy drop; }";

/** What nothing announces is found by the next look, after 30 s at most. */
const LOOK_TIMEOUT_MS = 120_000;

/** What `route list` tells of the kernel's routes, as far as it is used. */
interface HostRoutes {
  readonly routes: readonly {
    readonly cidr: string;
    readonly state: string;
    readonly why: string | null;
  }[];
}

function startLab(): Promise<Lab> {
  return Lab.create({
    hosts: 3,
    startAgents: false,
    agentFlags: (host) => [
      ...clusterFlags(host),
      ...host.number === 1 ? NETWORKS : [],
      ...["--bridge", BRIDGE, "--masquerade"],
    ],
  });
}

/** The addresses of a host's bridge that are not link-local. */
async function bridgeAddresses(host: LabHost): Promise<string[]> {
  const shown = await host.ip(`-brief address show ${BRIDGE}`);
  return shown.trim().split(/\s+/).slice(2)
    .filter((address) => !address.startsWith("fe80:"));
}

/** The rules that masquerade on a host. */
async function masqueradeRules(host: LabHost): Promise<string> {
  const args = ["--stateless", "list", "table", "inet", "stellar-net"];
  return (await host.exec("nft", args)).stdout;
}

async function forwarding(host: LabHost): Promise<string> {
  return await host.must("sysctl", ["-n", "net.ipv4.ip_forward"]);
}

/** How it stands with the route to a destination, as the agent tells it. */
async function stateOf(host: LabHost, cidr: string): Promise<string> {
  const { routes } = await host.ask<HostRoutes>("route list");
  const route = routes.find((route) => route.cidr === cidr);
  return [route?.state, route?.why].join(": ");
}

Deno.test("a cluster repairs its hosts", async (t) => {
  await using lab = await startLab();
  const members = await startInOrder(lab);
  await settled(members);
  const [a, b, c] = lab.hosts as [LabHost, LabHost, LabHost];
  const [subnet] = members.get(b)!;
  const hasRoutes = (host: LabHost) => async () =>
    `${await host.routes()}` === `${routesOf(host, members)}`;

  await lab.waitFor(
    "bridges, forwarding and rules",
    async () =>
      (await bridgeAddresses(a)).length === 2 &&
      (await masqueradeRules(a)) !== "" && (await forwarding(b)) === "1\n",
  );
  const addresses = await bridgeAddresses(a);
  const rules = await masqueradeRules(a);
  const isBridged = async () =>
    `${await bridgeAddresses(a)}` === `${addresses}`;
  const isMasqueraded = async () => await masqueradeRules(a) === rules;
  assert.deepEqual(addresses, ["172.16.0.1/22", "fd00:1::1/64"]);
  assert.match(rules, /masquerade/);

  const faults: readonly Mending[] = [
    {
      what: "a route is deleted by hand",
      breakIt: () => a.ip(`route del ${subnet}`),
      isMended: hasRoutes(a),
    },
    {
      what: "an IPv6 route is deleted by hand",
      breakIt: () => a.ip(`-6 route del ${members.get(b)![1]}`),
      isMended: hasRoutes(a),
    },
    {
      what: "ip route flush proto 83",
      breakIt: async () => {
        await a.ip("route flush proto 83");
        await a.ip("-6 route flush proto 83");
      },
      isMended: hasRoutes(a),
    },
    {
      what: "a route of the same mark that nobody wants",
      breakIt: () => a.ip(`route add ${EXTRA.cidr} via ${b.address} proto 83`),
      isMended: hasRoutes(a),
    },
    {
      what: "the link goes down, and up again",
      breakIt: async () => {
        await a.linkDown();
        assert.deepEqual(await a.routes(), []);
        await a.linkUp();
      },
      isMended: hasRoutes(a),
    },
    {
      what: "another host's link goes down, and up again",
      breakIt: async () => {
        await c.linkDown();
        await c.linkUp();
      },
      isMended: hasRoutes(c),
    },
    {
      what: "the bridge's address is removed",
      breakIt: () => a.ip(`address del ${addresses[0]} dev ${BRIDGE}`),
      isMended: isBridged,
    },
    {
      what: "the bridge is taken down",
      breakIt: () => a.ip(`link set ${BRIDGE} down`),
      isMended: async () =>
        /[<,]UP[,>]/.test(await a.ip(`-o link show ${BRIDGE}`)) &&
        await isBridged(),
    },
    {
      what: "the bridge is deleted",
      breakIt: () => a.ip(`link del ${BRIDGE}`),
      isMended: isBridged,
    },
    {
      what: "nft flush table inet stellar-net",
      breakIt: () => a.must("nft", ["flush table inet stellar-net"]),
      isMended: isMasqueraded,
    },
    {
      what: "nft delete table inet stellar-net",
      breakIt: () => a.must("nft", ["delete table inet stellar-net"]),
      isMended: isMasqueraded,
    },
    {
      what: "nft flush ruleset",
      breakIt: () => a.must("nft", ["flush ruleset"]),
      isMended: isMasqueraded,
    },
    {
      what: "forwarding is switched off",
      breakIt: () => b.must("sysctl", ["-qw", "net.ipv4.ip_forward=0"]),
      isMended: async () => await forwarding(b) === "1\n",
      timeoutMs: LOOK_TIMEOUT_MS,
    },
    {
      what: "a FORWARD policy of drop",
      breakIt: () => c.must("nft", [DROP_ALL]),
      isMended: async () => {
        const chain = await c.must("nft", ["list chain ip filter FORWARD"]);
        return chain.match(/ accept\b/g)?.length === 3;
      },
    },
  ];
  for (const fault of faults) {
    await t.step(fault.what, () => watchMending(lab, fault));
  }

  await t.step("a FORWARD policy in the way is reported", async () => {
    const { notes } = await c.status();
    assert.match(notes.join("\n"), /"ip filter FORWARD".*met with 3 rules/);
  });
  await t.step("containers reach each other all the same", async () => {
    const [from, to] = await allDone(
      [c, b].map((host) => host.addContainer("c1")),
    );
    assert.ok(await from!.ping(to!.address));
    assert.ok(await to!.ping(from!.address));
    for (const host of [b, c]) await host.removeContainer("c1");
  });
  await t.step("an operator's own route stays, and is reported", async () => {
    await a.ip(`route replace ${subnet} via ${c.address} proto static`);
    await lab.waitFor(
      "a conflict",
      async () => (await stateOf(a, subnet!)).startsWith("conflict: "),
    );
    const shown = await a.ip(`route show ${subnet}`);
    assert.match(shown, new RegExp(`via ${c.address} .*proto static *\n$`));
    assert.match(await a.must("stellar-net", ["status"]), /, 1 in conflict,/);
    await watchMending(lab, {
      what: "an operator's route in the way is removed",
      breakIt: () => a.ip(`route del ${subnet} proto static`),
      isMended: hasRoutes(a),
    });
    assert.equal(await stateOf(a, subnet!), "installed: it is in the kernel");
  });
  await t.step("an extra route reaches all kernels, and goes", async () => {
    const { cidr, target } = EXTRA;
    const line = `${cidr} via ${target}`;
    const count = async () => {
      const found = await Promise.all(lab.hosts.map((host) => host.routes()));
      return found.filter((routes) => routes.includes(line)).length;
    };
    await watchMending(lab, {
      what: "an extra route is added on one host",
      breakIt: () => b.must("stellar-net", ["route", "add", cidr, target]),
      isMended: async () => await count() === 3,
    });
    await watchMending(lab, {
      what: "an extra route is deleted on another",
      breakIt: () => c.must("stellar-net", ["route", "delete", cidr, target]),
      isMended: async () => await count() === 0,
    });
  });
  await t.step("a node's other address is the one next hop", async () => {
    await b.ip(`address add ${OTHER_ADDRESS}/24 dev eth0`);
    await b.agent.stop();
    b.agent.flags = b.agent.flags.map((flag) =>
      flag === b.address ? OTHER_ADDRESS : flag
    );
    for (const host of [a, c]) {
      assert.match(
        await host.ip(`route show ${subnet}`),
        /via 198\.18\.0\.12 /,
      );
    }
    await watchMending(lab, {
      what: "a peer starts and advertises another address",
      breakIt: () => b.agent.start(),
      isMended: async () => {
        const shown = await Promise.all(
          [a, c].map((host) => host.ip(`route show ${subnet}`)),
        );
        return shown.every((text) =>
          text.startsWith(`${subnet} via ${OTHER_ADDRESS} `) &&
          text.trim().split("\n").length === 1
        );
      },
    });
  });
  await t.step("a node that leaves takes all of its own with it", async () => {
    await c.must("stellar-net", ["node", "leave"]);
    await lab.waitFor(
      "a host without routes, addresses and rules",
      async () => {
        const chain = await c.must("nft", ["list chain ip filter FORWARD"]);
        return (await c.routes()).length === 0 &&
          (await bridgeAddresses(c)).length === 0 &&
          await masqueradeRules(c) === "" && !/ accept\b/.test(chain);
      },
    );
  });
});
