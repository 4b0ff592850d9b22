import { callSocket } from "../support/call_socket.ts";
import { allDone } from "../support/all_done.ts";
import { Lab, secureFlags } from "./lab.ts";
import type { LabHost } from "./lab_host.ts";

/** Addresses for containers in a subnet of such a lab: a /26. */
export const SUBNET_CAPACITY = 61;

/** A lab to look at: hosts with small subnets, which can be filled, and a container each. */
export async function createMapLab(hosts: number): Promise<Lab> {
  const lab = await Lab.create({
    ...{ hosts, secure: true },
    agentFlags: (host) => [
      ...secureFlags(host),
      ...host.number === 1
        ? ["--network", "172.16.0.0/20", "--subnet-prefix", "26"]
        : [],
    ],
  });
  try {
    await allDone(lab.hosts.map((host) => host.addContainer("web-1")));
    return lab;
  } catch (error) {
    await lab[Symbol.asyncDispose]();
    throw error;
  }
}

/** Allocates a number of addresses on a host, to owners without a container. */
export async function allocate(
  { agent }: LabHost,
  { count, name }: { readonly count: number; readonly name: string },
): Promise<void> {
  const items = Array.from({ length: count }, (_, i) => ({
    owner: {
      network: "default",
      containerId: `${name}-${i + 1}`,
      interfaceName: "eth0",
    },
  }));
  await callSocket(agent.socketPath, {
    call: "IpamService/BatchAllocate",
    body: { items },
  });
}
