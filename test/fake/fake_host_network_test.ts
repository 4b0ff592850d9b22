import {
  type Mishap,
  SUITE_BRIDGE,
  type SuiteHost,
  testHostNetwork,
} from "../suite/host_network_suite.ts";
import { hostState } from "../host/plan/host_plans.ts";
import { FakeHostNetwork } from "./fake_host_network.ts";

const OPERATORS = "-A FORWARD -s 192.0.2.1/32 -j DROP";

function createHost(): Promise<SuiteHost> {
  const network = new FakeHostNetwork(hostState());
  network.setForward("-P FORWARD ACCEPT", OPERATORS);
  return Promise.resolve({
    network,
    suffer: (mishap) => Promise.resolve(suffer(network, mishap)),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  });
}

function suffer(network: FakeHostNetwork, mishap: Mishap): void {
  const { state } = network;
  const { links, defaultRoutes } = state.interfaces!;
  const setLinks = (change: (link: typeof links[0]) => typeof links) => {
    const changed = links.flatMap((link) =>
      link.name === SUITE_BRIDGE ? change(link) : [link]
    );
    network.state = { ...state, interfaces: { links: changed, defaultRoutes } };
  };
  switch (mishap) {
    case "bridge deleted":
      return setLinks(() => []);
    case "bridge down":
      return setLinks((link) => [{ ...link, isUp: false }]);
    case "address deleted":
      return setLinks((link) => [{ ...link, addresses: [] }]);
    case "forwarding off": {
      const sysctls = new Map([...state.sysctls, ["net/ipv4/ip_forward", "0"]]);
      network.state = { ...state, sysctls };
      return;
    }
    case "table deleted":
      network.state = { ...state, tables: [] };
      return;
    case "table flushed": {
      const tables = state.tables!.map((table) => ({
        ...table,
        chains: table.chains.map((chain) => ({ ...chain, rules: [] })),
      }));
      network.state = { ...state, tables };
      return;
    }
    case "rules lost": {
      const { policy } = state.filters![0]!.chain.base!;
      network.setForward(`-P FORWARD ${policy.toUpperCase()}`, OPERATORS);
      return;
    }
    case "policy of accept":
    case "policy of drop":
      return setPolicy(
        network,
        mishap === "policy of drop" ? "drop" : "accept",
      );
  }
}

function setPolicy(network: FakeHostNetwork, policy: "accept" | "drop"): void {
  const filters = network.state.filters!.map((filter) => {
    const chain = {
      ...filter.chain,
      base: { ...filter.chain.base!, policy },
    };
    return { ...filter, chain, chains: new Map([[chain.name, chain]]) };
  });
  network.state = { ...network.state, filters };
}

Deno.test("FakeHostNetwork: HostReconciler leads it from state to state", async () => {
  await testHostNetwork(createHost, { walks: 100 });
});
