import assert from "node:assert/strict";
import type { Allocation } from "../../../src/addresses/plan/allocation.ts";
import { planNames } from "../../../src/docker/plan/names.ts";
import { formatAddress, parseAddress } from "../../../src/net/address.ts";
import { parsePrefix } from "../../../src/net/prefix.ts";
import { network } from "../networks.ts";

const SUBNETS = [parsePrefix("172.16.0.0/22"), parsePrefix("fd00::/64")];

function held(containerId: string, address: string, name = "web"): Allocation {
  const { family } = parseAddress(address);
  return {
    id: `id-${containerId}`,
    owner: { network: name, containerId, interfaceName: `ipv${family}` },
    addresses: [{
      address: parseAddress(address),
      subnet: SUBNETS[family === 4 ? 0 : 1]!,
    }],
    allocatedAtMs: 0,
    requested: false,
    attachment: {
      ...{ netns: "", netnsSeen: false, bootId: "b" },
      docker: { poolId: "p", macAddress: "02:42:00:00:00:01" },
    },
  };
}

function plan(
  allocations: readonly Allocation[],
  ...networks: ReturnType<typeof network>[]
) {
  const { rename, adopt } = planNames(allocations, {
    networks,
    subnets: SUBNETS,
  });
  return {
    rename: rename.map(({ held, owner }) =>
      `${held.owner.containerId} ${owner.network}/${owner.containerId}/${owner.interfaceName}`
    ),
    adopt: adopt.map(({ address, owner }) =>
      `${formatAddress(address)} ${owner.containerId}`
    ),
  };
}

Deno.test("planNames() names owners after the containers and the networks that Docker lists", () => {
  const web = network("web", { web1: { v4: "172.16.0.2", v6: "fd00::2" } });
  assert.deepEqual(
    plan(
      [held("02:42", "172.16.0.2", "docker"), held("02:42", "fd00::2")],
      web,
    ),
    { rename: ["02:42 web/web1/ipv4", "02:42 web/web1/ipv6"], adopt: [] },
  );
  assert.deepEqual(
    plan([held("web1", "172.16.0.2"), held("web1", "fd00::2")], web),
    { rename: [], adopt: [] },
  );
});

Deno.test("planNames() gives no name that another allocation has", () => {
  // A container that was started again, before its old address is collected.
  const web = network("web", { web1: { v4: "172.16.0.3" } });
  assert.deepEqual(
    plan([held("web1", "172.16.0.2"), held("02:42", "172.16.0.3")], web).rename,
    [],
  );
});

Deno.test("planNames() gives two allocations no common name", () => {
  const web = network("web", { web1: { v4: "172.16.0.2" } });
  const other = network("web", { web1: { v4: "172.16.0.3" } });
  assert.deepEqual(
    plan([held("a", "172.16.0.2"), held("b", "172.16.0.3")], web, other).rename,
    ["a web/web1/ipv4"],
  );
});

Deno.test("planNames() adopts what Docker has and the ledger lacks, inside the node's subnets", () => {
  const web = network("web", {
    web1: { v4: "172.16.0.2" },
    web2: { v4: "172.16.0.3", v6: "fd00::3" },
    far: { v4: "10.0.0.2" },
  }, { router: "172.16.0.9" });
  assert.deepEqual(plan([held("web1", "172.16.0.2")], web).adopt, [
    "172.16.0.9 kept-172.16.0.9",
    "172.16.0.3 web2",
    "fd00::3 web2",
  ]);
});

Deno.test("planNames() uses the MAC address where a name is no container id", () => {
  const web = network("web", { "a b": { v4: "172.16.0.2" } });
  assert.deepEqual(plan([held("x", "172.16.0.2")], web).rename, [
    "x web/02:42:00:00:00:01/ipv4",
  ]);
});
