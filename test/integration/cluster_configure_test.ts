import assert from "node:assert/strict";
import { startInOrder } from "../lab/cluster.ts";
import { clusterFlags, Lab } from "../lab/lab.ts";
import type { LabHost } from "../lab/lab_host.ts";

const SUBNET = { cidr: "172.16.4.0/22", gateway: "172.16.4.1" };

/** The bridge that is made where none is named. */
const BRIDGE = "stellar0";

interface Answer {
  /** The code of the error; undefined when all is well. */
  readonly code?: string;
  readonly message?: string;
}

/** Calls Stellar's Configure on a host, as Connect JSON. */
async function configure(host: LabHost, subnet: unknown): Promise<Answer> {
  const answer = await host.must("curl", [
    ...["--silent", "--show-error", "--max-time", "10"],
    ...["--header", "content-type: application/json"],
    ...["--data", JSON.stringify({ subnet })],
    `http://${host.address}:9000/stellar.services.network.v1.Network/Configure`,
  ]);
  return JSON.parse(answer);
}

/** The IPv4 addresses of the bridge, and the error when there is none. */
async function bridge(host: LabHost): Promise<string> {
  const args = ["-brief", "-4", "address", "show", BRIDGE];
  const { stdout, stderr } = await host.exec("ip", args);
  return (stdout + stderr).trim().split(/\s+/).slice(2).join(" ");
}

Deno.test("Configure makes the bridge of a host's own subnet", async (t) => {
  await using lab = await Lab.create({
    hosts: 3,
    startAgents: false,
    agentFlags: (host) => [
      ...clusterFlags(host),
      ...host.number === 3 ? ["--routes", "plan"] : [],
    ],
  });
  await startInOrder(lab);
  const [, host, planning] = lab.hosts as [LabHost, LabHost, LabHost];
  assert.match(await bridge(host), /does not exist/);

  const refused: readonly (readonly [
    what: string,
    subnet: unknown,
    message: RegExp,
  ])[] = [
    [
      "another node's subnet",
      { cidr: "172.16.0.0/22", gateway: "172.16.0.1" },
      /"subnet\.cidr".*"172\.16\.0\.0\/22".*"172\.16\.4\.0\/22"/,
    ],
    [
      "a subnet of another length",
      { cidr: "172.16.4.0/24", gateway: "172.16.4.1" },
      /"subnet\.cidr".*"172\.16\.4\.0\/24"/,
    ],
    [
      "another gateway",
      { ...SUBNET, gateway: "172.16.4.2" },
      /"subnet\.gateway".*"172\.16\.4\.2".*"172\.16\.4\.1"/,
    ],
    ["no gateway", { cidr: SUBNET.cidr }, /"subnet\.gateway"/],
    ["an invalid gateway", { ...SUBNET, gateway: "x" }, /"x"/],
    ["an invalid subnet", { ...SUBNET, cidr: "172.16.4.9/22" }, /cidr/],
    ["no subnet", undefined, /"subnet/],
  ];
  for (const [what, subnet, message] of refused) {
    await t.step(`${what}: INVALID_ARGUMENT, and no bridge`, async () => {
      const answer = await configure(host, subnet);
      assert.equal(answer.code, "invalid_argument");
      assert.match(answer.message!, message);
      assert.match(await bridge(host), /does not exist/);
    });
  }
  await t.step(
    "its own subnet: a bridge with the gateway's address",
    async () => {
      assert.deepEqual(await configure(host, SUBNET), {});
      assert.equal(await bridge(host), "172.16.4.1/22");
      assert.deepEqual(await configure(host, SUBNET), {});
      assert.equal(await bridge(host), "172.16.4.1/22");
    },
  );
  await t.step("it is kept, and containers are attached to it", async () => {
    await host.ip(`link del ${BRIDGE}`);
    await lab.waitFor(
      "a new bridge",
      async () => await bridge(host) === "172.16.4.1/22",
    );
    const container = await host.addContainer("c1");
    assert.deepEqual(container.gateways, ["172.16.4.1"]);
    assert.ok(await container.ping(lab.host(1).address));
  });
  await t.step("where the agent may not: FAILED_PRECONDITION", async () => {
    const own = { cidr: "172.16.8.0/22", gateway: "172.16.8.1" };
    const { code, message } = await configure(planning, own);
    assert.equal(code, "failed_precondition");
    assert.match(message!, /leaves it alone; start it with "--bridge NAME"/);
    assert.match(await bridge(planning), /does not exist/);
  });
});
