/** The values of a network configuration list. */
export interface ConflistOptions {
  /** Name of the container network. */
  readonly name: string;
  /** Name of the bridge that the containers are attached to. */
  readonly bridge: string;
  /** MTU of the uplink, in bytes; undefined leaves it to the bridge plugin. */
  readonly mtuBytes: number | undefined;
  /** Socket of the agent. */
  readonly socketPath: string;
  /** Whether the containers get a default route for each family. */
  readonly families: readonly (4 | 6)[];
  /** Whether the `portmap` plugin is installed. */
  readonly hasPortmap: boolean;
}

/**
 * A network configuration list (CNI specification 1.0.0, section 1): the
 * `bridge` plugin with this IPAM, then `portmap`. It does not masquerade
 * (`ipMasq`), so that containers see each other's own addresses.
 */
export function formatConflist(options: ConflistOptions): string {
  const { name, bridge, mtuBytes, socketPath, families, hasPortmap } = options;
  const conflist = {
    // The newest version that the plugins of current distributions support.
    cniVersion: "1.0.0",
    name,
    plugins: [
      {
        type: "bridge",
        bridge,
        isGateway: true,
        ipMasq: false,
        ...(mtuBytes !== undefined && { mtu: mtuBytes }),
        ipam: {
          type: "stellar-net",
          socket: socketPath,
          routes: families.map((family) => ({
            dst: family === 4 ? "0.0.0.0/0" : "::/0",
          })),
        },
      },
      ...hasPortmap
        ? [{ type: "portmap", capabilities: { portMappings: true } }]
        : [],
    ],
  };
  return `${JSON.stringify(conflist, undefined, 2)}\n`;
}
