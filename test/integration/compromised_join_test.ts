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
    return await this.#host.must("curl", [
      ...["--silent", "--show-error", "--insecure", "--max-time", "30"],
      ...["--cert", `${this.#identity}/chain.pem`],
      ...["--key", `${this.#identity}/key.pem`],
      ...["--header", "content-type: application/json", "--data", "@-"],
      this.#url(method),
    ], { stdin: JSON.stringify({ ...this.#own, ...request }) });
  }

  /** Joins with each request in turn, over one connection. @returns the answers in JSON */
  async joinEach(
    requests: readonly Readonly<Record<string, unknown>>[],
  ): Promise<string[]> {
    // curl(1), --config: a quoted text escapes as JSON does.
    const config = requests.map((request) => {
      const own = { ...this.#own, advertised: [this.#host.address] };
      const data = JSON.stringify({ ...own, ...request });
      return [
        ...["silent", "show-error", "insecure", "max-time = 30"],
        `cert = "${this.#identity}/chain.pem"`,
        `key = "${this.#identity}/key.pem"`,
        'header = "content-type: application/json"',
        `data = ${JSON.stringify(data)}`,
        `url = "${this.#url("Join")}"`,
        'write-out = "\\n"',
      ].join("\n");
    });
    const said = await this.#host.must("curl", ["--config", "-"], {
      stdin: config.join("\nnext\n"),
    });
    return said.trimEnd().split("\n");
  }

  get #identity(): string {
    return identityDir(this.#host);
  }

  #url(method: string): string {
    return `https://${this.#registry.address}:9000/stellar.net.v1.RegistryService/${method}`;
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

  await t.step("it changes its local prefixes all the time", async () => {
    const heard = async () =>
      Number(
        (await victim.ask<{ registry: { revision: string } }>("status"))
          .registry.revision,
      );
    const before = await heard();
    const fromMs = performance.now();
    // Each is another prefix: a repeated join changes nothing, and passes.
    const change = (from: number) =>
      attacker.joinEach(
        Array.from({ length: 100 }, (_, i) => ({
          localPrefixes: local(`172.31.${from + i}.0/30`),
        })),
      );
    const answers = await change(0);
    const [others] = await Promise.all([
      change(100),
      registry.must("stellar-net", [
        ...["route", "add", "203.0.113.0/24", victim.address],
      ]),
    ]);
    answers.push(...others);
    assert.equal(answers.length, 200);
    const passed = answers.filter((answer) => ACCEPTED.test(answer)).length;
    // 20 at once, and one every five seconds.
    const mostMs = performance.now() - fromMs + 5_000;
    const most = 20 + Math.ceil(mostMs / 5_000);
    assert.ok(passed > 0 && passed <= most, `${passed} of ${most}`);
    for (const answer of answers.filter((text) => !ACCEPTED.test(text))) {
      assert.match(
        answer,
        /"resource_exhausted".*node \\"host3\\".* try again in [1-5] s/,
      );
    }
    await lab.waitFor("the operator's route at another host", async () => {
      const { routes } = await victim.ask<{ routes: { cidr: string }[] }>(
        "route list",
      );
      return routes.some(({ cidr }) => cidr === "203.0.113.0/24");
    });
    const told = await heard() - before;
    assert.ok(told > 0 && told <= passed + 5, `${told} of ${passed}`);
  });

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
