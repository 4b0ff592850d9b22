import type { DockerNetwork } from "../docker/plan/networks.ts";
import { faultsOf, sharedBridges } from "../docker/plan/order.ts";
import { type Check, command, passed, shell } from "../host/checks/check.ts";
import type { Prefix } from "../net/prefix.ts";

const NAME = "docker";

/** What an agent with `--docker` knows of Docker. */
export interface DockerFacts {
  /** Path of Docker's socket. */
  readonly apiPath: string;
  /** The networks of this driver, and those on the bridge, or why they cannot be read. */
  readonly networks: readonly DockerNetwork[] | { readonly problem: string };
  /** The bridge that the agent manages; undefined for none. */
  readonly bridge: string | undefined;
  /** The node's subnets: one of each family. */
  readonly subnets: readonly Prefix[];
  /** Addresses that Docker has and somebody else holds. */
  readonly conflicts: readonly string[];
}

/** Whether Docker's networks are as this node needs them. */
export function checkDocker(facts: DockerFacts): Check[] {
  const { networks, conflicts } = facts;
  if ("problem" in networks) {
    return [{
      name: NAME,
      status: "warning",
      found: networks.problem,
      means:
        "containers have no names in the ledger, and addresses that Docker forgot stay held",
      fix: "start Docker, or run the agent without --docker",
    }];
  }
  const findings = [
    ...networks.flatMap((network) => checkNetwork(network, facts)),
    ...[...sharedBridges(networks)].map(([bridge, names]): Check => ({
      name: NAME,
      status: "failed",
      found: `networks ${names.join(" and ")} share the bridge ${bridge}`,
      means: "Docker lets only one of them work",
      fix: "remove one of them from Docker",
    })),
    ...conflicts.map((found): Check => ({
      name: NAME,
      status: "failed",
      found,
      means: "two containers may use one address",
      fix: "restart the container of Docker, which then gets another address",
    })),
  ];
  if (findings.length > 0) return findings;
  const names = networks.map(({ name }) => name).join(" and ");
  return [
    passed(
      NAME,
      names === ""
        ? "Docker has no network of this node yet: stellar-net docker install"
        : `network ${names} is as this node needs it`,
    ),
  ];
}

function checkNetwork(
  network: DockerNetwork,
  { apiPath, bridge, subnets }: DockerFacts,
): Check[] {
  const { name, endpoints } = network;
  const used = endpoints.map((endpoint) => endpoint.name);
  const lines = [
    shell`docker network rm ${name}`,
    bridge === undefined
      ? shell`stellar-net docker install --network ${name} --docker-api ${apiPath}`
      : shell`stellar-net docker install --network ${name} --bridge ${bridge} --docker-api ${apiPath}`,
  ];
  return faultsOf(network, { bridge, subnets }).map(({ is, means }): Check => ({
    name: NAME,
    status: "failed",
    found: `network ${name}: ${is}`,
    means,
    fix: used.length === 0
      ? command(lines)
      : `stop its containers (${
        used.join(", ")
      }), remove the network, and make it again with stellar-net docker install`,
  }));
}
