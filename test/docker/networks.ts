import {
  type DockerNetwork,
  parseNetwork,
} from "../../src/docker/plan/networks.ts";

/** A network as Docker's API describes it, with containers by name: addresses and MAC address. */
export function describeNetwork(
  name: string,
  containers: Readonly<
    Record<
      string,
      { readonly v4?: string; readonly v6?: string; readonly mac?: string }
    >
  >,
  aux: Readonly<Record<string, string>> = {},
): Readonly<Record<string, unknown>> {
  return {
    Name: name,
    Id: `id-${name}`,
    Driver: "bridge",
    EnableIPv6: false,
    IPAM: {
      Driver: "stellar-net",
      Options: {},
      Config: [{
        Subnet: "172.16.0.0/22",
        Gateway: "172.16.0.1",
        AuxiliaryAddresses: aux,
      }],
    },
    Containers: Object.fromEntries(
      Object.entries(containers).map(([container, { v4, v6, mac }]) => [
        `id-${container}`,
        {
          Name: container,
          EndpointID: `ep-${container}`,
          MacAddress: mac ?? "02:42:00:00:00:01",
          IPv4Address: v4 ? `${v4}/22` : "",
          IPv6Address: v6 ? `${v6}/64` : "",
        },
      ]),
    ),
    Options: { "com.docker.network.bridge.name": "stellar0" },
  };
}

/** The same, read. */
export function network(
  ...args: Parameters<typeof describeNetwork>
): DockerNetwork {
  return parseNetwork(describeNetwork(...args));
}
