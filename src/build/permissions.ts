/** A permission of a built program, in the runtime's terms (`deno run --help`). */
export interface Grant {
  readonly kind: "env" | "net" | "read" | "run" | "sys" | "write";
  /** Programs, paths, variables or names of calls; empty for all. */
  readonly values: readonly string[];
  /** Purpose. */
  readonly why: string;
}

/**
 * All permissions of a built program. The runtime refuses everything else:
 * other programs, native libraries, code from elsewhere.
 *
 * The runtime looks programs up in the PATH at its start: one that is installed
 * later is found by the next start.
 */
export const GRANTS: readonly Grant[] = [
  { kind: "run", values: ["ip"], why: "routes, links, addresses, events" },
  { kind: "run", values: ["bridge"], why: "ports of bridges" },
  { kind: "run", values: ["nft"], why: "packet filters and source NAT" },
  {
    kind: "run",
    values: ["iptables-nft", "ip6tables-nft"]
      .concat("iptables-legacy", "ip6tables-legacy"),
    why: "packet filters of hosts that use iptables",
  },
  {
    kind: "run",
    values: ["iptables-save", "ip6tables-save"],
    why: "all packet filters, for a support bundle",
  },
  { kind: "run", values: ["ping"], why: "paths to peers, and the MTU of each" },
  {
    kind: "run",
    values: ["nsenter"],
    why: "to check a container's network from inside",
  },
  {
    kind: "run",
    values: ["unshare"],
    why: "network namespaces of path tests, which the agent removes",
  },
  {
    kind: "run",
    values: ["grep", "stat"],
    why: "to read /proc, which the runtime refuses to read itself",
  },
  { kind: "run", values: ["tee"], why: "to write /proc/sys" },
  {
    kind: "run",
    values: ["sh"],
    why: "stops ip and nft monitors when the agent is killed",
  },
  {
    kind: "run",
    values: ["systemctl"],
    why: "to start and stop the installed service",
  },
  {
    kind: "run",
    values: ["ln"],
    why: "symbolic links, which the runtime makes only with all permissions",
  },
  {
    kind: "read",
    values: ["/"],
    why: "flags name files; an agent gives up the rest: keepFolders()",
  },
  {
    kind: "write",
    values: ["/"],
    why: "flags name files; an agent gives up the rest: keepFolders()",
  },
  {
    kind: "net",
    values: [],
    why: "flags and the registry name sockets, listeners and peers",
  },
  {
    kind: "env",
    values: ["STELLAR_NET_*"],
    why: "variables of flags, and the path of this program",
  },
  { kind: "env", values: ["CNI_*"], why: "the call of a CNI plugin" },
  {
    kind: "env",
    values: ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"],
    why: "notifications to systemd",
  },
  { kind: "env", values: ["NO_COLOR"], why: "help without colours" },
  { kind: "env", values: ["PATH"], why: "the programs above look for others" },
  {
    kind: "sys",
    values: [],
    why: "the host's name and umask; the runtime cannot grant umask alone",
  },
];

/** Folders and files that an agent reads, besides those that its flags name. */
export const AGENT_READS: readonly {
  readonly path: string;
  readonly why: string;
}[] = [
  { path: "/run", why: "network namespaces of containers" },
  { path: "/var/run", why: "the same under their old path" },
  { path: "/etc/group", why: "the group that --socket-group names" },
];

/** The grants as flags of `deno run` and `deno compile`. The runtime never prompts. */
export function permissionFlags(): string[] {
  const kinds = [...new Set(GRANTS.map(({ kind }) => kind))];
  return [
    ...["--no-prompt", "--deny-ffi", "--deny-import"],
    // Other variables look unset: libraries ask for many.
    "--ignore-env",
    ...kinds.map((kind) => {
      const values = GRANTS.filter((grant) => grant.kind === kind)
        .flatMap((grant) => grant.values);
      return values.length === 0
        ? `--allow-${kind}`
        : `--allow-${kind}=${values.join(",")}`;
    }),
  ];
}

/** Files and folders that a process still needs, each with all files below it. */
export interface KeptFolders {
  /** Paths to read. */
  readonly read: readonly string[];
  /** Paths to read and write. */
  readonly write: readonly string[];
}

/**
 * Gives up this process's right to read and write files, except below the
 * given paths. A process cannot get the right back. One with all permissions,
 * such as one that runs from source, keeps them.
 */
export async function keepFolders(folders: KeptFolders): Promise<void> {
  const { write } = folders;
  const kept = { read: [...folders.read, ...write], write };
  for (const name of ["read", "write"] as const) {
    // A permission requested by path outlives the revocation of the others.
    for (const path of kept[name]) {
      await Deno.permissions.request({ name, path });
    }
    await Deno.permissions.revoke({ name, path: "/" });
  }
}

/** Gives up this process's right to run programs and to read facts of the host. */
export async function dropPrograms(): Promise<void> {
  await Deno.permissions.revoke({ name: "run" });
  await Deno.permissions.revoke({ name: "sys" });
}
