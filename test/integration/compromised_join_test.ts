import assert from "node:assert/strict";
import { Lab } from "../lab/lab.ts";
import { identityDir } from "../lab/lab_certificates.ts";
import type { LabHost } from "../lab/lab_host.ts";

/** The length of the registry's grace period after the restore. */
const SETTLE = "25s";
/** Subnets of the network. */
const SLICES = 1024;

/** A compromised host: it calls the registry with the key and the id of its agent, which is stopped. */
class Attacker {
  readonly #host: LabHost;
  readonly #registry: LabHost;
  readonly #own: Readonly<Record<string, unknown>>;

  constructor(host: LabHost, registry: LabHost, instanceId: string) {
    this.#host = host;
    this.#registry = registry;
    this.#own = { node: host.name, instanceId };
  }

  join(request: Readonly<Record<string, unknown>>): Promise<string> {
    const advertised = [this.#host.address];
    return this.call("Join", { advertised, ...request });
  }

  /** Calls the registry. @returns its answer in JSON */
  async call(
    method: string,
    request: Readonly<Record<string, unknown>>,
  ): Promise<string> {
    const dir = identityDir(this.#host);
    return await this.#host.must("curl", [
      ...["--silent", "--show-error", "--insecure", "--max-time", "30"],
      ...["--cert", `${dir}/chain.pem`, "--key", `${dir}/key.pem`],
      ...["--header", "content-type: application/json", "--data", "@-"],
      `https://${this.#registry.address}:9000/stellar.net.v1.RegistryService/${method}`,
    ], { stdin: JSON.stringify({ ...this.#own, ...request }) });
  }
}

/** The subnet of a number, such as 172.16.4.0/22 of 1. */
function slice(index: number): string {
  return `172.${16 + (index >> 6)}.${(index & 63) * 4}.0/22`;
}

/** Prefixes on interfaces of a host, spread over the whole network. */
function spread(count: number): { cidr: string; device: string }[] {
  return Array.from({ length: count }, (_, i) => ({
    cidr: `172.${16 + (i >> 4) % 16}.${(i & 15) * 16 + (i >> 8)}.0/30`,
    device: `eth${i}`,
  }));
}

function local(...texts: readonly string[]) {
  return texts.map((cidr) => ({ cidr, device: "eth0" }));
}

const ACCEPTED = /"clusterId":/;
const FENCED = /"failed_precondition".*node \\"host3\\" is fenced/;

/** What the compromised host sends, and how the registry answers. */
const JOINS: readonly [
  what: string,
  request: Readonly<Record<string, unknown>>,
  says: RegExp,
][] = [
  ["everything as local", { localPrefixes: local("0.0.0.0/0") }, ACCEPTED],
  [
    "both halves of the network as local",
    { localPrefixes: local("172.16.0.0/13", "172.24.0.0/13") },
    ACCEPTED,
  ],
  ["1,600 local prefixes", { localPrefixes: spread(1_600) }, ACCEPTED],
  ["3,500 local prefixes", { localPrefixes: spread(3_500) }, ACCEPTED],
  [
    "300 advertised addresses",
    {
      advertised: Array.from(
        { length: 300 },
        (_, i) => `198.18.${1 + (i >> 8)}.${i & 255}`,
      ),
    },
    /"invalid_argument".*advertised: 300 addresses of IPv4/,
  ],
  ...["127.0.0.1", "0.0.0.0", "224.0.0.1", "255.255.255.255", "::1", "ff02::1"]
    .map((address): [string, { advertised: string[] }, RegExp] => [
      `the advertised address ${address}`,
      { advertised: [address] },
      /"invalid_argument".* cannot be advertised: it is in /,
    ]),
  [
    "an address of a host that is about to join",
    { advertised: ["198.18.0.15"] },
    /"unavailable".*advertise 198\.18\.0\.15: its certificate is not for/,
  ],
  [
    "a subnet that it never had",
    { heldSubnets: ["172.20.0.0/22"] },
    FENCED,
  ],
  [
    "a subnet in conflict with docker0",
    { heldSubnets: ["172.17.0.0/22"] },
    FENCED,
  ],
  ["a subnet of host2", { heldSubnets: [slice(1)] }, FENCED],
  [
    "a subnet outside the network",
    { heldSubnets: ["198.18.0.0/22"] },
    FENCED,
  ],
];

/** The kernel's routes of a host, of all tables. */
async function routesOf(host: LabHost): Promise<string> {
  return await host.must("ip", ["route", "show", "table", "all"]);
}

Deno.test("a compromised host stops no joins, and gets no traffic of others", async (t) => {
  await using lab = await Lab.create({
    ...{ hosts: 5, secure: true, startAgents: false },
  });
  const [registry, victim, stolen, next, last] = lab.hosts as [
    ...[LabHost, LabHost, LabHost, LabHost, LabHost],
  ];
  await victim.must("ip", ["link", "add", "docker0", "type", "bridge"]);
  await victim.must("ip", [
    ...["address", "add", "172.17.0.1/16", "dev", "docker0"],
  ]);
  await victim.must("ip", ["link", "set", "docker0", "up"]);
  const held: string[] = [];
  for (const host of [registry, victim, stolen]) {
    if (host !== registry) await lab.admit(host);
    await host.agent.start();
    held.push(...await host.joined());
  }
  assert.deepEqual(held, [slice(0), slice(1), slice(2)]);
  const { instanceId } = await stolen.ask<{ instanceId: string }>("status");
  await stolen.agent.kill();
  const attacker = new Attacker(stolen, registry, instanceId);

  for (const [what, request, says] of JOINS) {
    await t.step(`it joins with ${what}`, async () => {
      const answer = await attacker.join(request);
      assert.match(answer, says);
      assert.doesNotMatch(answer, /internal/);
    });
  }

  await t.step(
    "another host joins, and everyone sees what was cut",
    async () => {
      assert.match(
        await attacker.join({ localPrefixes: spread(3_500) }),
        ACCEPTED,
      );
      await lab.admit(next);
      await next.agent.start();
      const [subnet] = await next.joined();
      assert.ok(subnet !== undefined && !held.includes(subnet), `${subnet}`);
      await lab.waitFor("the warning", async () => {
        const { warnings } = await registry.status();
        return /the prefixes of node "host3" block .* blocks? nobody/
          .test(warnings.join("\n"));
      });
    },
  );

  await t.step(
    "it reports owners for every subnet after a restore",
    async () => {
      const file = `${registry.dir}/backup.jsonl`;
      await registry.must("stellar-net", ["backup", file]);
      await registry.agent.kill();
      await Deno.remove(registry.agent.stateDir, { recursive: true });
      await registry.must("stellar-net", [
        ...["restore", file, "--state", registry.agent.stateDir],
        ...["--settle", SETTLE],
      ]);
      await registry.agent.start();
      await lab.waitFor("an answer that asks for owners", async () => {
        // It closes connections until it has its certificate.
        const joined = await attacker.join({ heldSubnets: [slice(2)] })
          .catch(String);
        return /"settling":true/.test(joined);
      });
      assert.match(
        await attacker.join({ heldSubnets: ["172.17.0.0/22"] }),
        FENCED,
      );
      const owners = Array.from({ length: SLICES - 2 }, (_, i) => ({
        node: i % 2 === 0 ? "host3" : `ghost${i}`,
        cidr: slice(i + 2),
      }));
      assert.equal(await attacker.call("ReportOwners", { owners }), "{}");
    },
  );

  await t.step("another host joins all the same", async () => {
    await lab.admit(last);
    await last.agent.start();
    const [subnet] = await last.joined();
    assert.ok(subnet !== undefined && !held.includes(subnet), `${subnet}`);
  });

  await t.step("no kernel has a route that it asked for", async () => {
    const [own] = await last.joined();
    await lab.waitFor(
      "the route to the last host",
      async () => (await routesOf(victim)).includes(`${own} via`),
    );
    for (const host of [registry, victim, next, last]) {
      const through = (await routesOf(host)).split("\n")
        .filter((line) => line.includes(`via ${stolen.address}`))
        .map((line) => line.split(" ")[0]);
      assert.deepEqual(through, [slice(2)], host.name);
    }
    assert.match(await routesOf(victim), /^172\.17\.0\.0\/16 dev docker0/m);
  });

  await t.step("nothing was an internal error", async () => {
    for (const host of [registry, victim, next, last]) {
      assert.doesNotMatch(await host.agent.log(), /internal error/i, host.name);
    }
  });
});
