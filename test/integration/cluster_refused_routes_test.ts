import assert from "node:assert/strict";
import { Lab } from "../lab/lab.ts";
import { openDenoKv } from "../../src/store/deno_kv/deno_kv.ts";
import { waitFor } from "../support/wait_for.ts";

/** Routes that a registry could send to take over a host's traffic. */
const STOLEN = ["0.0.0.0/1", "127.0.0.53/32", "172.17.0.0/22", "10.0.0.0/22"]
  .concat("198.18.0.12/32", "172.16.0.0/12");

/** A slice of the network that nobody owns: a registry decides about it. */
const ROUTED = "172.16.40.0/22";

interface RouteList {
  readonly routes: readonly {
    readonly cidr: string;
    readonly state: string;
    readonly why: string;
  }[];
}

Deno.test("a compromised registry routes the cluster's networks, and an agent refuses everything else", async () => {
  await using lab = await Lab.create({ hosts: 2 });
  const [registry, victim] = [lab.host(1), lab.host(2)];
  await victim.must("ip", [
    ...["link", "add", "docker0", "type", "bridge"],
  ]);
  await victim.must("ip", [
    "address",
    "add",
    "172.17.0.1/16",
    "dev",
    "docker0",
  ]);
  await victim.must("ip", ["link", "set", "docker0", "up"]);
  const [own] = await victim.joined();

  // The attacker writes what a registry would refuse.
  await registry.agent.kill();
  const store = await openDenoKv({
    path: `${registry.agent.stateDir}/state.db`,
  });
  try {
    const node = await store.get(["cluster", "node", "host1"]);
    const revision = await store.get(["cluster", "revision"]);
    await store.commit({
      puts: [{
        key: ["cluster", "node", "evil"],
        value: {
          ...node!.value as Record<string, never>,
          instanceId: "0123456789abcdef",
          apiUrl: "",
          subnets: [...STOLEN, own!, ROUTED],
          advertised: ["198.18.0.66"],
        },
      }, {
        key: ["cluster", "revision"],
        value: Number(revision!.value) + 1,
      }],
    });
  } finally {
    await store.close();
  }
  await registry.agent.start();

  const seen = await waitFor("the routes of the attacker", async () => {
    const { routes } = await victim.ask<RouteList>("route list");
    return routes.some(({ cidr }) => cidr === STOLEN[0]) ? routes : false;
  });
  const shown = (seen || []).filter(({ cidr }) => STOLEN.includes(cidr));
  assert.deepEqual(
    shown.map(({ state }) => state),
    STOLEN.map(() => "failed"),
    JSON.stringify(seen),
  );
  for (const { why } of shown) assert.match(why, /^this host refuses it: /);
  const routes = await victim.must("ip", ["route", "show", "table", "all"]);
  const taken = routes.split("\n").filter((line) =>
    line.includes("via 198.18.0.66")
  );
  assert.deepEqual(taken.map((line) => line.split(" ")[0]), [ROUTED]);
  const doctor = await victim.exec("stellar-net", ["doctor"]);
  assert.match(doctor.stdout, /127\.0\.0\.53\/32 .*this host refuses it/);
});
