import assert from "node:assert/strict";
import type { DockerNetwork } from "../../../src/docker/plan/networks.ts";
import { networkBody } from "../../../src/docker/plan/order.ts";
import { parsePrefix } from "../../../src/net/prefix.ts";
import { describeNetwork, network } from "../../docker/networks.ts";
import { parseNetwork } from "../../../src/docker/plan/networks.ts";
import { runFake } from "../fake_io.ts";

const STATUS = {
  getStatus: () => ({
    subnets: ["172.16.0.0/22", "10.0.0.0/24", "fd00::/64"].map((cidr) => ({
      cidr,
    })),
  }),
};

/** A Docker with networks, which records what happens to it. */
function fakeDocker(...networks: DockerNetwork[]) {
  const calls: unknown[] = [];
  const docker = (path: string) => ({
    find: (name: string) =>
      Promise.resolve(networks.find((each) => each.name === name)),
    create: (body: unknown) => Promise.resolve(void calls.push([path, body])),
    remove: (id: string) => Promise.resolve(void calls.push([path, id])),
  });
  return { docker, calls };
}

function ready(options: Readonly<Record<string, string>> = {}): DockerNetwork {
  const described = describeNetwork("stellar", {});
  return parseNetwork({
    ...described,
    Options: {
      "com.docker.network.bridge.name": "stellar0",
      "com.docker.network.bridge.enable_ip_masquerade": "false",
      ...options,
    },
  });
}

Deno.test("docker install makes a network with one subnet of each family", async () => {
  const { docker, calls } = fakeDocker();
  const run = await runFake(["docker", "install"], {
    ...{ docker, agent: STATUS, uplinkMtu: 1400 },
  });
  assert.deepEqual([run.code, run.stdout], [
    0,
    "Made network stellar on bridge stellar0 with 172.16.0.0/22 and fd00::/64, without masquerading\n",
  ]);
  assert.match(run.stderr, /docker run --network stellar IMAGE/);
  assert.deepEqual(calls, [["/run/docker.sock", {
    Name: "stellar",
    CheckDuplicate: true,
    Driver: "bridge",
    EnableIPv6: true,
    IPAM: {
      Driver: "stellar-net",
      Options: { "stellar-net.network": "stellar" },
      Config: [{ Subnet: "172.16.0.0/22" }, { Subnet: "fd00::/64" }],
    },
    Options: {
      "com.docker.network.bridge.name": "stellar0",
      "com.docker.network.bridge.enable_ip_masquerade": "false",
      "com.docker.network.driver.mtu": "1400",
    },
  }]]);
});

Deno.test("docker install leaves a network alone that is as it should be", async () => {
  const { docker, calls } = fakeDocker(ready());
  const run = await runFake(["docker", "install", "--json"], {
    ...{ docker, agent: STATUS },
  });
  assert.equal(run.code, 0);
  assert.equal(JSON.parse(run.stdout).created, false);
  assert.deepEqual(calls, []);
});

Deno.test("docker install refuses a network of that name with faults, and names them", async () => {
  const { docker, calls } = fakeDocker(ready({
    "com.docker.network.bridge.enable_ip_masquerade": "true",
    "com.docker.network.bridge.name": "br-1",
  }));
  const run = await runFake(["docker", "install"], { docker, agent: STATUS });
  assert.equal(run.code, 1);
  assert.match(
    run.stderr,
    /Docker has one of that name, and its bridge is br-1, not stellar0, it masquerades; stop its containers, run "docker network rm stellar"/,
  );
  assert.deepEqual(calls, []);
});

Deno.test("docker install waits for the subnet of a node that is joining", async () => {
  let looks = 0;
  const run = await runFake(["docker", "install"], {
    docker: fakeDocker().docker,
    waits: () => true,
    agent: { getStatus: () => ++looks < 3 ? {} : STATUS.getStatus() },
  });
  assert.equal(run.code, 0, run.stderr);
});

Deno.test("docker install needs a subnet", async () => {
  const run = await runFake(["docker", "install"], {
    docker: fakeDocker().docker,
    agent: { getStatus: () => ({}) },
  });
  assert.match(run.stderr, /this node has no subnet yet/);
  assert.equal(run.code, 1);
});

Deno.test("docker uninstall removes the network, and succeeds where there is none", async () => {
  const { docker, calls } = fakeDocker(ready());
  const args = ["docker", "uninstall", "--docker-api", "/d.sock"];
  const run = await runFake(args, { docker });
  assert.deepEqual([run.code, run.stdout], [0, "Removed network stellar\n"]);
  assert.deepEqual(calls, [["/d.sock", "id-stellar"]]);
  const none = await runFake([...args, "--network", "pods"], { docker });
  assert.deepEqual([none.code, none.stdout], [
    0,
    "There is no network pods\n",
  ]);
});

Deno.test("docker uninstall removes no network with containers, and none of another driver", async () => {
  const used = fakeDocker(network("stellar", { web1: { v4: "172.16.0.2" } }));
  const run = await runFake(["docker", "uninstall"], { docker: used.docker });
  assert.equal(run.code, 1);
  assert.match(run.stderr, /containers use it \(web1\); stop them first/);
  const other = fakeDocker({ ...ready(), ipamDriver: "default" });
  const foreign = await runFake(["docker", "uninstall"], {
    docker: other.docker,
  });
  assert.match(foreign.stderr, /its IPAM driver is default, so that it is not/);
  assert.deepEqual([...used.calls, ...other.calls], []);
});

Deno.test("networkBody() leaves IPv6 and the MTU out where there is none", () => {
  const body = networkBody({
    ...{ name: "a", bridge: "b", mtuBytes: undefined },
    subnets: [parsePrefix("172.16.0.0/22")],
  });
  assert.equal(body.EnableIPv6, false);
  assert.deepEqual(Object.keys(body.Options as object), [
    "com.docker.network.bridge.name",
    "com.docker.network.bridge.enable_ip_masquerade",
  ]);
});
