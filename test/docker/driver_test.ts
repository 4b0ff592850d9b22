import assert from "node:assert/strict";
import type { Allocation } from "../../src/addresses/plan/allocation.ts";
import type { Presence } from "../../src/addresses/plan/attachment.ts";
import { DockerAddresses } from "../../src/agent/docker_addresses.ts";
import type { Agent } from "../../src/agent/agent.ts";
import { IpamDriver } from "../../src/docker/driver.ts";
import { DockerEndpoints } from "../../src/docker/endpoints.ts";
import type { DockerNetwork } from "../../src/docker/plan/networks.ts";
import { type Address, parseAddress } from "../../src/net/address.ts";
import {
  allocate,
  held,
  networks,
  startAgent,
  type TestAgent,
} from "../agent/agents.ts";
import { network } from "./networks.ts";

const MAC_OPTION = "com.docker.network.endpoint.macaddress";
const MAC = "02:42:00:00:00:01";
const DUAL = networks(["172.16.0.0/16", 22], ["fd00::/48", 64]);
const SETTLE_MS = 50;

/** A Docker as the agent sees it. */
class FakeDocker {
  readonly agent: Agent;
  readonly endpoints: DockerEndpoints;
  readonly driver: IpamDriver;
  /** What Docker lists; undefined: it does not answer. */
  listed: readonly DockerNetwork[] | undefined = [];

  constructor(t: TestAgent, agent = t.agent, bootId = "boot-1") {
    this.agent = agent;
    const isInUse = (address: Address) =>
      Promise.resolve(
        [...t.inUse.keys()].some((text) =>
          parseAddress(text).value === address.value
        ),
      );
    const addresses = new DockerAddresses(agent, {
      ...{ neighbours: { isInUse }, bootId },
    });
    const randomId = () => crypto.randomUUID();
    this.endpoints = new DockerEndpoints({
      ...{ addresses, randomId, settleMs: SETTLE_MS },
      uptimeMs: () => t.clock.nowMs,
      now: () => t.clock.nowMs,
      list: {
        networks: () =>
          this.listed
            ? Promise.resolve(this.listed)
            : Promise.reject(new Error("no answer")),
      },
    });
    this.driver = new IpamDriver({
      ...{ addresses, randomId },
      isForgotten: (allocation) => this.endpoints.isForgotten(allocation),
      // Looks come when a test asks for them.
      onChange: () => {},
    });
  }

  async call(
    name: string,
    body: unknown = {},
  ): Promise<Record<string, string>> {
    const answer = await this.driver.answer(name, JSON.stringify(body));
    return answer.body as Record<string, string>;
  }

  async pool(options: { V6?: boolean; network?: string } = {}) {
    const { V6 = false, network: name = "web" } = options;
    const Pool = V6 ? "fd00::/64" : "172.16.0.0/22";
    const { PoolID } = await this.call("/IpamDriver.RequestPool", {
      ...{ Pool, SubPool: "", V6 },
      Options: { "stellar-net.network": name },
    });
    return PoolID!;
  }

  async run(PoolID: string, Address = "", mac = MAC): Promise<string> {
    const { Address: given } = await this.call("/IpamDriver.RequestAddress", {
      ...{ PoolID, Address, Options: { [MAC_OPTION]: mac } },
    });
    return given!;
  }

  async replay(PoolID: string, Address: string): Promise<string> {
    const { Address: given } = await this.call("/IpamDriver.RequestAddress", {
      ...{ PoolID, Address, Options: null },
    });
    return given!;
  }

  async release(PoolID: string, Address: string): Promise<void> {
    await this.call("/IpamDriver.ReleaseAddress", { PoolID, Address });
  }
}

async function start(options: Parameters<typeof startAgent>[0] = {}) {
  const dockerEndpoints = {
    presenceOf: (allocation: Allocation): Promise<Presence> =>
      docker.endpoints.presenceOf(allocation),
  };
  const t = await startAgent({ networks: DUAL, dockerEndpoints, ...options });
  const docker: FakeDocker = new FakeDocker(t);
  return { t, docker, [Symbol.asyncDispose]: () => t[Symbol.asyncDispose]() };
}

Deno.test("IpamDriver gives each endpoint one address of its pool, beside CNI's", async () => {
  await using t = await start();
  const { docker } = t;
  const pool = await docker.pool();
  assert.equal(await docker.run(pool), "172.16.0.2/22");
  assert.equal(await allocate(docker.agent, "cni"), "172.16.0.3 fd00::2");
  assert.equal(
    await docker.run(pool, "", "02:42:00:00:00:02"),
    "172.16.0.4/22",
  );
  const six = await docker.pool({ V6: true });
  assert.equal(await docker.run(six), "fd00::3/64");
  assert.equal(
    (await docker.agent.addresses.list("a", { limit: 9 })).length,
    4,
  );
  await docker.release(pool, "172.16.0.2");
  await docker.release(six, "fd00::3");
  assert.deepEqual(await held(docker.agent), {
    cni: "172.16.0.3 fd00::2",
    "02:42:00:00:00:02": "172.16.0.4",
  });
});

Deno.test("IpamDriver gives two endpoints with one MAC address two addresses", async () => {
  await using t = await start();
  const pool = await t.docker.pool();
  const given = await Promise.all(
    Array.from({ length: 20 }, () => t.docker.run(pool)),
  );
  assert.equal(new Set(given).size, 20);
  assert.deepEqual(
    Object.keys(await held(t.docker.agent)).sort().slice(0, 3),
    [MAC, `${MAC}~10`, `${MAC}~11`],
  );
});

Deno.test("IpamDriver gives a requested address once, and names its holder", async () => {
  await using t = await start();
  const { docker } = t;
  const pool = await docker.pool();
  assert.equal(await docker.run(pool, "172.16.0.9"), "172.16.0.9/22");
  docker.listed = undefined;
  await assert.rejects(docker.run(pool, "172.16.0.9"), {
    code: "already_exists",
    message: /it is held by "02:42:00:00:00:01" \(ipv4 in web\)/,
  });
  await allocate(docker.agent, "cni", { addresses: ["172.16.0.8"] });
  await assert.rejects(docker.run(pool, "172.16.0.8"), /held by "cni"/);
});

Deno.test("IpamDriver never gives the gateway, and keeps it when Docker releases it", async () => {
  await using t = await start();
  const { docker } = t;
  const pool = await docker.pool();
  const gateway = await docker.call("/IpamDriver.RequestAddress", {
    PoolID: pool,
    Options: { RequestAddressType: "com.docker.network.gateway" },
  });
  assert.equal(gateway.Address, "172.16.0.1/22");
  await assert.rejects(docker.run(pool, "172.16.0.1"), /it is the gateway/);
  await docker.release(pool, "172.16.0.1");
  await docker.call("/IpamDriver.ReleasePool", { PoolID: pool });
});

Deno.test("IpamDriver ends Docker's search for a subnet that the host does not use, and says which to name", async () => {
  await using t = await start();
  const { docker } = t;
  const ask = () => docker.call("/IpamDriver.RequestPool", { Pool: "" });
  const gateway = (PoolID: string) =>
    docker.call("/IpamDriver.RequestAddress", {
      ...{ PoolID },
      Options: { RequestAddressType: "com.docker.network.gateway" },
    });
  assert.equal((await ask()).Pool, "172.16.0.0/22");
  await assert.rejects(ask(), {
    code: "failed_precondition",
    message: /give --subnet 172\.16\.0\.0\/22$/,
  });
  for (let network = 0; network < 3; network++) {
    const { PoolID } = await ask();
    await gateway(PoolID!);
  }
  const { PoolID: last } = await ask();
  await docker.call("/IpamDriver.ReleasePool", { PoolID: last });
  await ask();
});

Deno.test("IpamDriver: the end of a failed network takes nothing from the live one", async () => {
  await using t = await start();
  const { docker } = t;
  const [live, failed] = [await docker.pool(), await docker.pool()];
  assert.notEqual(live, failed);
  await docker.run(live, "172.16.0.9");
  // As for `--aux-address`.
  await assert.rejects(docker.replay(failed, "172.16.0.9"), {
    code: "already_exists",
  });
  await docker.release(failed, "172.16.0.9");
  await docker.call("/IpamDriver.ReleasePool", { PoolID: failed });
  assert.deepEqual(await held(docker.agent), { [MAC]: "172.16.0.9" });
});

Deno.test("IpamDriver: what Docker names again after its start is the same allocation", async () => {
  await using t = await start();
  const { docker } = t;
  const before = await docker.pool();
  await docker.run(before, "172.16.0.9");
  await docker.call("/Plugin.Activate");
  const after = await docker.pool();
  assert.equal(await docker.replay(after, "172.16.0.9"), "172.16.0.9/22");
  await assert.rejects(docker.replay(await docker.pool(), "172.16.0.9"));
  await docker.release(before, "172.16.0.9");
  assert.deepEqual(await held(docker.agent), { [MAC]: "172.16.0.9" });
  await docker.release(after, "172.16.0.9");
  assert.deepEqual(await held(docker.agent), {});
});

Deno.test("IpamDriver: what Docker names again is recorded where the ledger lost it, even while its container answers", async () => {
  await using t = await start();
  const { docker } = t;
  const user = { macAddress: MAC, device: "stellar0", port: "veth1" };
  t.t.inUse.set("172.16.0.9", user);
  const pool = await docker.pool();
  assert.equal(await docker.replay(pool, "172.16.0.9"), "172.16.0.9/22");
  assert.deepEqual(await held(docker.agent), { "172.16.0.9": "172.16.0.9" });
});

Deno.test("IpamDriver does not give a new endpoint an address that answers", async () => {
  await using t = await start();
  const user = { macAddress: MAC, device: "stellar0", port: "veth1" };
  t.t.inUse.set("172.16.0.2", user);
  assert.equal(await t.docker.run(await t.docker.pool()), "172.16.0.3/22");
});

Deno.test("IpamDriver: an address that Docker forgot goes at once to the endpoint that requests it", async () => {
  await using t = await start();
  const { docker } = t;
  const pool = await docker.pool();
  await docker.run(pool, "172.16.0.9");
  docker.listed = [];
  // Docker had no time yet to list it, which a start of the agent does not change.
  await assert.rejects(docker.run(pool, "172.16.0.9"), {
    code: "already_exists",
  });
  t.t.clock.nowMs += SETTLE_MS;
  assert.equal(await docker.run(pool, "172.16.0.9"), "172.16.0.9/22");
  const { addresses, node } = docker.agent;
  const [, former] = await addresses.history({ node, limit: 2 });
  assert.match(former!.reason, /^Docker has no endpoint with its address/);
});

Deno.test("IpamDriver takes back what Docker did not wait for", async () => {
  await using t = await start();
  const { docker } = t;
  const PoolID = await docker.pool();
  const { undo } = await docker.driver.answer(
    "/IpamDriver.RequestAddress",
    JSON.stringify({ PoolID, Options: { [MAC_OPTION]: MAC } }),
  );
  await undo!();
  assert.deepEqual(await held(docker.agent), {});
});

Deno.test("NodeAddresses: CNI gets nothing of a name that an endpoint of Docker has, and its GC spares it", async () => {
  await using t = await start();
  const { docker } = t;
  const { addresses, node } = docker.agent;
  await docker.run(await docker.pool(), "172.16.0.9");
  const owner = { network: "web", containerId: MAC, interfaceName: "ipv4" };
  await assert.rejects(
    addresses.allocate(node, { owner, addresses: [], netns: "/n" }),
    { code: "already_exists", message: /it holds 172\.16\.0\.9 already/ },
  );
  await addresses.releaseOthers(node, "web", []);
  assert.deepEqual(await held(docker.agent), { [MAC]: "172.16.0.9" });
});

Deno.test("DockerEndpoints.look() names owners, for find and after a restart", async () => {
  await using t = await start();
  const { docker } = t;
  const pool = await docker.pool();
  await docker.run(pool, "172.16.0.9");
  docker.listed = [network("web", { web1: { v4: "172.16.0.9" } })];
  assert.equal(await docker.endpoints.look(), true);
  assert.deepEqual(await held(docker.agent), { web1: "172.16.0.9" });
  assert.deepEqual(await held(await t.t.restart()), { web1: "172.16.0.9" });
  await docker.release(pool, "172.16.0.9");
  assert.deepEqual(await held(docker.agent), {});
  assert.deepEqual(await held(await t.t.restart()), {});
});

Deno.test("DockerEndpoints.look() records what Docker has, and says where somebody else holds it", async () => {
  await using t = await start();
  const { docker } = t;
  await allocate(docker.agent, "cni", { addresses: ["172.16.0.8"] });
  docker.listed = [
    network("web", { web1: { v4: "172.16.0.9" }, web2: { v4: "172.16.0.8" } }),
  ];
  await docker.endpoints.look();
  assert.deepEqual(await held(docker.agent), {
    cni: "172.16.0.8 fd00::2",
    web1: "172.16.0.9",
  });
  assert.match(
    docker.endpoints.warnings.join(),
    /172\.16\.0\.8 .*held by "cni"/,
  );
  // The agent does not know the pool of what it found: only Docker's list counts.
  const pool = await docker.pool();
  await docker.release(pool, "172.16.0.9");
  assert.equal("web1" in await held(docker.agent), true);
  docker.listed = [];
  t.t.clock.nowMs += SETTLE_MS;
  await docker.release(pool, "172.16.0.9");
  await docker.endpoints.look();
  assert.deepEqual(docker.endpoints.warnings, []);
  assert.deepEqual(Object.keys(await held(docker.agent)), ["cni"]);
});

Deno.test("DockerEndpoints.look() records an address once when two look at once", async () => {
  await using t = await start();
  const { docker } = t;
  docker.listed = [network("web", { web1: { v4: "172.16.0.9" } })];
  await Promise.all([docker.endpoints.look(), docker.endpoints.look()]);
  assert.deepEqual(docker.endpoints.warnings, []);
  assert.deepEqual(await held(docker.agent), { web1: "172.16.0.9" });
});

Deno.test("DockerAddresses.isInUse() counts what cannot be probed as in use", async () => {
  await using t = await startAgent({ networks: DUAL });
  const neighbours = { isInUse: () => Promise.resolve(false) };
  const addresses = new DockerAddresses(t.agent, {
    ...{ neighbours, bootId: "boot-1" },
  });
  assert.equal(await addresses.isInUse(parseAddress("192.0.2.9")), true);
  await allocate(t.agent, "c1");
  assert.equal(await addresses.isInUse(parseAddress("172.16.0.9")), false);
});

/** Evidence, and whether the address is released in the end. */
const EVIDENCE: readonly {
  readonly name: string;
  readonly listed: readonly DockerNetwork[] | undefined;
  readonly answers?: boolean;
  readonly isReleased: boolean;
}[] = [
  { name: "Docker lists it no more", listed: [], isReleased: true },
  {
    name: "Docker lists it",
    listed: [network("web", { web1: { v4: "172.16.0.9" } })],
    isReleased: false,
  },
  { name: "Docker does not answer", listed: undefined, isReleased: false },
  {
    name: "a container outlived Docker's state",
    listed: [],
    answers: true,
    isReleased: false,
  },
];

for (const { name, listed, answers = false, isReleased } of EVIDENCE) {
  Deno.test(`Containers.collectLeaks() ${isReleased ? "releases" : "keeps"} an address of Docker when ${name}`, async () => {
    await using t = await start();
    const { docker } = t;
    await docker.run(await docker.pool(), "172.16.0.9");
    docker.listed = listed;
    const user = { macAddress: MAC, device: "stellar0", port: "veth1" };
    if (answers) t.t.inUse.set("172.16.0.9", user);
    for (let look = 0; look < 3; look++) {
      t.t.clock.nowMs += 2_000;
      await docker.agent.addresses.collectLeaks();
      const isThere = "172.16.0.9" in invert(await held(docker.agent));
      // Never at the first look.
      assert.equal(isThere, look === 0 || !isReleased, `look ${look}`);
    }
  });
}

Deno.test("DockerEndpoints.presenceOf() does not count Docker's list until it had time to list an endpoint", async () => {
  await using t = await start();
  const { docker } = t;
  await docker.run(await docker.pool(), "172.16.0.9");
  const [allocation] = await docker.agent.addresses.list("a", { limit: 1 });
  docker.endpoints.asked(allocation!);
  docker.endpoints.stop();
  assert.equal(await docker.endpoints.presenceOf(allocation!), "unknown");
  t.t.clock.nowMs += SETTLE_MS;
  assert.equal(await docker.endpoints.presenceOf(allocation!), "gone");
});

Deno.test("Containers.collectLeaks() releases at once what Docker had before the host was booted again", async () => {
  await using t = await start();
  const { docker } = t;
  await docker.run(await docker.pool(), "172.16.0.9");
  const agent = await t.t.restart({ bootId: "boot-2" });
  await agent.addresses.collectLeaks();
  assert.deepEqual(await held(agent), {});
});

Deno.test("IpamDriver: what Docker names again after a reboot belongs to the new boot", async () => {
  await using t = await start();
  await t.docker.run(await t.docker.pool(), "172.16.0.9");
  const agent = await t.t.restart({ bootId: "boot-2" });
  const docker = new FakeDocker(t.t, agent, "boot-2");
  await docker.call("/Plugin.Activate");
  await docker.replay(await docker.pool(), "172.16.0.9");
  await agent.addresses.collectLeaks();
  assert.deepEqual(await held(agent), { [MAC]: "172.16.0.9" });
});

function invert(record: Readonly<Record<string, string>>) {
  return Object.fromEntries(Object.entries(record).map(([a, b]) => [b, a]));
}
