/** What a built program may do, as the runtime names it (`deno run --help`). */
export interface Grant {
  readonly kind: "env" | "net" | "read" | "run" | "sys" | "write";
  /** Programs, paths, variables, or names of calls. None: no bounds. */
  readonly values: readonly string[];
  /** What for. */
  readonly why: string;
}

/**
 * Everything that a built program may do. What is not here, the runtime
 * refuses: other programs, libraries of machine code, code from elsewhere.
 *
 * A program is granted where it is found in the PATH at the start; one that is
 * installed later is found by the next start.
 */
export const GRANTS: readonly Grant[] = [
  { kind: "run", values: ["ip"], why: "routes, links, addresses, events" },
  { kind: "run", values: ["bridge"], why: "which port of a bridge has what" },
  { kind: "run", values: ["nft"], why: "packet filters and source NAT" },
  {
    kind: "run",
    values: ["iptables-nft", "ip6tables-nft"]
      .concat("iptables-legacy", "ip6tables-legacy"),
    why: "packet filters of hosts that have them from iptables",
  },
  {
    kind: "run",
    values: ["iptables-save", "ip6tables-save"],
    why: "the same as a whole, for a support bundle",
  },
  { kind: "run", values: ["ping"], why: "paths to peers, and their MTU" },
  {
    kind: "run",
    values: ["grep", "stat"],
    why: "to look below /proc, which the runtime itself may not",
  },
  { kind: "run", values: ["tee"], why: "to write settings below /proc/sys" },
  {
    kind: "run",
    values: ["sh"],
    why: "ends ip and nft, where they watch, when the agent is killed",
  },
  {
    kind: "run",
    values: ["systemctl"],
    why: "to start the service that was installed, and to stop it",
  },
  {
    kind: "run",
    values: ["ln"],
    why: "symbolic links, which the runtime makes only without bounds",
  },
  {
    kind: "read",
    values: ["/"],
    why: "flags name files; an agent gives up all others: keepFolders()",
  },
  {
    kind: "write",
    values: ["/"],
    why: "flags name files; an agent gives up all others: keepFolders()",
  },
  {
    kind: "net",
    values: [],
    why: "flags and the registry name sockets, listeners and peers",
  },
  {
    kind: "env",
    values: ["STELLAR_NET_*"],
    why: "twins of flags, and where this program is",
  },
  { kind: "env", values: ["CNI_*"], why: "the call of a CNI plugin" },
  {
    kind: "env",
    values: ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"],
    why: "where systemd hears how the service is doing",
  },
  { kind: "env", values: ["NO_COLOR"], why: "help without colours" },
  {
    kind: "sys",
    values: [],
    why: "the host's name, and umask, which cannot be granted alone",
  },
];

/** Folders and files of which an agent reads, besides those that its flags name. */
export const AGENT_READS: readonly {
  readonly path: string;
  readonly why: string;
}[] = [
  { path: "/run", why: "network namespaces of containers" },
  { path: "/var/run", why: "the same by their old name" },
  { path: "/etc/group", why: "the group that --socket-group names" },
];

/** The grants as flags of `deno run` and `deno compile`. Nothing is ever asked for. */
export function permissionFlags(): string[] {
  const kinds = [...new Set(GRANTS.map(({ kind }) => kind))];
  return [
    ...["--no-prompt", "--deny-ffi", "--deny-import"],
    // What is not granted of it looks unset: libraries ask for much.
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
