import assert from "node:assert/strict";
import {
  type DockerNetwork,
  parseNetwork,
} from "../../../src/docker/plan/networks.ts";
import {
  faultsOf,
  sharedBridges,
  subnetsForDocker,
} from "../../../src/docker/plan/order.ts";
import { parsePrefix } from "../../../src/net/prefix.ts";
import { describeNetwork } from "../networks.ts";

const WANTED = {
  bridge: "stellar0",
  subnets: [parsePrefix("172.16.0.0/22"), parsePrefix("fd00::/64")],
};

const GOOD: DockerNetwork = {
  ...parseNetwork(describeNetwork("web", {})),
  options: {
    "com.docker.network.bridge.name": "stellar0",
    "com.docker.network.bridge.enable_ip_masquerade": "false",
  },
};

const FAULTS: readonly [
  name: string,
  change: Partial<DockerNetwork>,
  is: readonly string[],
][] = [
  ["none", {}, []],
  ["no gateway named", {
    pools: [{ subnet: "172.16.0.0/22", gateway: "" }],
  }, []],
  ["another IPAM driver", { ipamDriver: "default" }, [
    "its IPAM driver is default",
  ]],
  ["another driver", { driver: "macvlan" }, ["its driver is macvlan"]],
  ["no options", { options: {} }, [
    "its bridge is a bridge of its own, not stellar0",
    "it masquerades",
  ]],
  ["the subnet of another node", {
    pools: [{ subnet: "172.16.4.0/22", gateway: "172.16.4.1" }],
  }, [
    "its subnet is 172.16.4.0/22, and this node's is 172.16.0.0/22 and fd00::/64",
  ]],
  ["another gateway", {
    pools: [{ subnet: "172.16.0.0/22", gateway: "172.16.0.9/22" }],
  }, ["its gateway is 172.16.0.9/22"]],
];

for (const [name, change, is] of FAULTS) {
  Deno.test(`faultsOf() finds ${name}`, () => {
    const faults = faultsOf({ ...GOOD, ...change }, WANTED);
    assert.deepEqual(faults.map((fault) => fault.is), is);
  });
}

Deno.test("sharedBridges() finds two networks on one bridge", () => {
  const other = { ...GOOD, name: "db" };
  const alone = { ...GOOD, name: "x", options: {} };
  assert.deepEqual([...sharedBridges([GOOD, other, alone])], [
    ["stellar0", ["web", "db"]],
  ]);
  assert.equal(sharedBridges([GOOD, alone]).size, 0);
});

Deno.test("subnetsForDocker() takes the first subnet of each family", () => {
  const [six, four, second] = ["fd00::/64", "10.0.0.0/24", "10.0.1.0/24"]
    .map((text) => parsePrefix(text));
  assert.deepEqual(subnetsForDocker([six!, four!, second!]), [four, six]);
});
