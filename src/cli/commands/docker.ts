import { NetError } from "../../base/error.ts";
import { parseNetworkName } from "../../base/names.ts";
import type { DockerNetwork } from "../../docker/plan/networks.ts";
import {
  DRIVER,
  faultsOf,
  networkBody,
  subnetsForDocker,
} from "../../docker/plan/order.ts";
import { formatPrefix, parsePrefix, type Prefix } from "../../net/prefix.ts";
import type { Call, CommandSpec, GroupSpec } from "../framework/call.ts";
import type { Flag, FlagWithDefault } from "../framework/flag.ts";
import { parsePath } from "../framework/parsers.ts";
import { CLIENT_FLAGS, JSON_OUTPUT } from "../framework/target.ts";
import { DOCKER_API } from "./docker_flags.ts";
import { BRIDGE } from "./cni.ts";

/** The variable of that name holds the cluster's networks. */
export const DOCKER_NETWORK: FlagWithDefault<string> = {
  name: "network",
  value: "NAME",
  description: "name of the network in Docker",
  default: "stellar",
  isTypedOnly: true,
  parse: parseNetworkName,
};

const API: FlagWithDefault<string> = {
  ...DOCKER_API,
  value: "PATH",
  description: "Docker's socket",
  parse: parsePath,
};

/** An agent that joins has its subnets moments after its start. */
const SUBNET_LOOKS = 60;
const SUBNET_LOOK_MS = 500;

const API_FLAGS: readonly Flag<unknown>[] = [DOCKER_NETWORK, API];

const INSTALL: CommandSpec = {
  name: "install",
  summary: "Make a network in Docker whose addresses come from this node",
  action: "make the network in Docker",
  flags: [...API_FLAGS, BRIDGE, ...CLIENT_FLAGS],
  examples: [
    "stellar-net docker install",
    "stellar-net docker install --network pods --bridge br-pods",
  ],
  run: async (call) => {
    const docker = call.io.docker(call.value(API));
    const wanted = {
      name: call.value(DOCKER_NETWORK),
      bridge: call.value(BRIDGE),
      subnets: subnetsForDocker(await readSubnets(call)),
      mtuBytes: await call.io.cni.uplinkMtu(),
    };
    const { name, bridge, subnets } = wanted;
    const found = await docker.find(name);
    if (found) refuseFaults(found, wanted);
    else await docker.create(networkBody(wanted));
    const texts = subnets.map(formatPrefix);
    call.answer({ network: name, bridge, subnets: texts, created: !found }, [
      found
        ? `Network ${name} is there already, as this node needs it`
        : `Made network ${name} on bridge ${bridge} with ${
          texts.join(" and ")
        }, without masquerading`,
    ]);
    call.note(`Run a container in it: docker run --network ${name} IMAGE`);
  },
};

const UNINSTALL: CommandSpec = {
  name: "uninstall",
  summary: "Remove that network from Docker",
  action: "remove the network from Docker",
  flags: [...API_FLAGS, JSON_OUTPUT],
  examples: ["stellar-net docker uninstall"],
  run: async (call) => {
    const docker = call.io.docker(call.value(API));
    const name = call.value(DOCKER_NETWORK);
    const found = await docker.find(name);
    if (found) await remove(call, found);
    call.answer({ network: name, removed: found !== undefined }, [
      found ? `Removed network ${name}` : `There is no network ${name}`,
    ]);
  },
};

export const DOCKER: GroupSpec = {
  name: "docker",
  summary: "Set up the network of this node in Docker",
  commands: [INSTALL, UNINSTALL],
};

/** The node's subnets. An agent that has just started may have none yet. */
async function readSubnets(call: Call): Promise<Prefix[]> {
  for (let look = 1;; look++) {
    const { subnets } = await call.clients().agent.getStatus({});
    if (subnets.length > 0) return subnets.map(({ cidr }) => parsePrefix(cidr));
    if (look === SUBNET_LOOKS || !await call.io.wait(SUBNET_LOOK_MS)) break;
  }
  throw new NetError(
    "failed_precondition",
    "Cannot make the network in Docker: this node has no subnet yet; see: stellar-net status",
  );
}

function refuseFaults(
  network: DockerNetwork,
  wanted: Parameters<typeof faultsOf>[1],
): void {
  const faults = faultsOf(network, wanted).map(({ is }) => is);
  if (faults.length === 0) return;
  throw new NetError(
    "already_exists",
    `Cannot make network "${network.name}": Docker has one of that name, and ${
      faults.join(", ")
    }; stop its containers, run "docker network rm ${network.name}", then this again, ` +
      "or name another network with --network",
  );
}

async function remove(call: Call, network: DockerNetwork): Promise<void> {
  const { id, name, ipamDriver, endpoints } = network;
  if (ipamDriver !== DRIVER) {
    throw new NetError(
      "failed_precondition",
      `Cannot remove network "${name}": its IPAM driver is ${ipamDriver}, so that it is not ours; name another with --network`,
    );
  }
  if (endpoints.length > 0) {
    const names = endpoints.map((endpoint) => endpoint.name).join(", ");
    throw new NetError(
      "failed_precondition",
      `Cannot remove network "${name}": containers use it (${names}); stop them first`,
    );
  }
  await call.io.docker(call.value(API)).remove(id);
}
