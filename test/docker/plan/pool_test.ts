import assert from "node:assert/strict";
import { planPool } from "../../../src/docker/plan/pool.ts";
import { parsePrefix } from "../../../src/net/prefix.ts";

const SUBNETS = ["172.16.4.0/22", "10.0.0.0/24", "fd00::/64"].map((text) =>
  parsePrefix(text)
);

function plan(family: 4 | 6, subnet?: string, network = "web") {
  const wanted = {
    ...{ family, network },
    subnet: subnet === undefined ? undefined : parsePrefix(subnet),
  };
  return planPool(SUBNETS, wanted, "n").subnet;
}

Deno.test("planPool() takes the node's first subnet of the family, or the named one", () => {
  assert.equal(plan(4), SUBNETS[0]);
  assert.equal(plan(4, "10.0.0.0/24"), SUBNETS[1]);
  assert.equal(plan(6), SUBNETS[2]);
});

Deno.test("planPool() refuses a subnet that is not the node's, and names those that are", () => {
  for (const other of ["172.16.8.0/22", "172.16.4.0/24"]) {
    assert.throws(() => plan(4, other), {
      code: "invalid_argument",
      message:
        `Cannot use the subnet "${other}": this node's is 172.16.4.0/22 or 10.0.0.0/24; ` +
        "give --subnet 172.16.4.0/22 or 10.0.0.0/24, or leave it out",
    });
  }
});

Deno.test("planPool() refuses a family that the node has no subnet of", () => {
  const wanted = { subnet: undefined, family: 6 as const, network: "web" };
  assert.throws(() => planPool(SUBNETS.slice(0, 2), wanted, "n"), {
    code: "failed_precondition",
    message: /this node has no IPv6 subnet; leave --ipv6 out/,
  });
});

Deno.test("planPool() refuses a name that no owner can have", () => {
  assert.throws(() => plan(4, undefined, "a b"), {
    code: "invalid_argument",
    message: /the name in --ipam-opt "a b" is not valid/,
  });
});
