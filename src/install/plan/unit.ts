import { CACHE_DIR, ENV_PATH, folderOf } from "./layout.ts";

/** What the unit of the agent is made of. Paths are absolute. */
export interface UnitOptions {
  readonly program: string;
  /** Folder of the state. */
  readonly stateDir: string;
  readonly socketPath: string;
  /** Group that the socket is given to. Undefined: none. */
  readonly socketGroup: string | undefined;
  /** TCP ports that it listens on. */
  readonly ports: readonly number[];
}

/** Ports below need a capability (capabilities(7)). */
const FIRST_FREE_PORT = 1024;

/**
 * Freed buffers go back to the system, rather than stay with malloc
 * (mallopt(3)): sizes in bytes, no more than those of reads from sockets.
 */
export const MALLOC_VARIABLES: Readonly<Record<string, string>> = {
  MALLOC_MMAP_THRESHOLD_: "65536",
  MALLOC_TRIM_THRESHOLD_: "131072",
};

/** What the agent, and the programs that it runs, may do as root. */
export function neededCapabilities(ports: readonly number[]): string[] {
  return [
    // ip, nft, iptables, and the files below /proc/sys/net.
    "CAP_NET_ADMIN",
    // ping, for the doctor; iptables-legacy, where a host has it.
    "CAP_NET_RAW",
    ...ports.some((port) => port > 0 && port < FIRST_FREE_PORT)
      ? ["CAP_NET_BIND_SERVICE"]
      : [],
  ];
}

/** The folders outside of those that systemd makes, which the agent writes to. */
export function extraFolders(
  { stateDir, socketPath }: Pick<UnitOptions, "stateDir" | "socketPath">,
): string[] {
  const folders = [
    ...below("/var/lib", stateDir) === undefined ? [stateDir] : [],
    ...below("/run", folderOf(socketPath)) === undefined
      ? [folderOf(socketPath)]
      : [],
  ];
  return [...new Set(folders)];
}

/** The unit of systemd that runs the agent (systemd.service(5), systemd.exec(5)). */
export function formatUnit(options: UnitOptions): string {
  const { program, stateDir, socketPath, socketGroup, ports } = options;
  const state = below("/var/lib", stateDir);
  const runtime = below("/run", folderOf(socketPath));
  const extra = extraFolders(options);
  const malloc = Object.entries(MALLOC_VARIABLES)
    .map(([name, value]) => `${name}=${value}`).join(" ");
  return `# Written by "stellar-net install", which changes it when it is run again.
# What is to differ belongs into a drop-in: systemctl edit stellar-net

[Unit]
Description=Subnets, addresses and routes for the containers of a cluster
After=network.target nftables.service
# Container runtimes find their network there.
Before=containerd.service crio.service
# A start that fails at once is tried a hundred times, one that takes longer for ever.
StartLimitIntervalSec=10min
StartLimitBurst=100

[Service]
# It counts as started when it serves, and is started anew when it hangs.
Type=notify
NotifyAccess=main
WatchdogSec=30s
EnvironmentFile=-${escape(ENV_PATH)}
# The lock of iptables-legacy has to be there to be let through below.
ExecStartPre=-+touch /run/xtables.lock
ExecStart=${escape(program)} agent
Restart=always
RestartSec=1s
# A wrong flag stays wrong.
RestartPreventExitStatus=2
# It finishes what is under way, 10 s at most. Its programs are left to it.
KillMode=mixed
TimeoutStopSec=20s

# 4,096 hosts on each of three listeners, and 128 for itself.
LimitNOFILE=16384
TasksMax=512
# Four times what a full /16 and a hundred thousand requests leave.
MemoryMax=1G
# Buffers that are freed go back to the system: that halves the memory of a busy agent.
Environment=${malloc}

${
    [
      ...state === undefined
        ? []
        : [`StateDirectory=${escape(state)}`, "StateDirectoryMode=0700"],
      ...runtime === undefined ? [] : [
        `RuntimeDirectory=${escape(runtime)}`,
        "RuntimeDirectoryMode=0755",
        "# Plugins find the queue of releases there while it is stopped.",
        "RuntimeDirectoryPreserve=yes",
      ],
      // Where root's first start of a self-extracting executable unpacks it.
      `CacheDirectory=${escape(below("/var/cache", CACHE_DIR)!)}`,
      "CacheDirectoryMode=0700",
      ...extra.map((folder) => `ReadWritePaths=${escape(folder)}`),
      "ReadWritePaths=-/run/xtables.lock",
    ].join("\n")
  }
UMask=0077
${
    socketGroup === undefined
      ? ""
      : `# Who is in a group may give it files, without a capability.
SupplementaryGroups=${escape(socketGroup)}
`
  }
# Root without root's powers: it reads and writes what is root's, and may change
# the network.
CapabilityBoundingSet=${neededCapabilities(ports).join(" ")}
NoNewPrivileges=yes
ProtectSystem=strict
# Not "yes", and no PrivateTmp: containers' network namespaces may be mounted
# anywhere, and one that is not seen would count as gone. Nor is ProtectProc set.
ProtectHome=read-only
PrivateDevices=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
# It switches forwarding on, below /proc/sys/net.
ProtectKernelTunables=no
LockPersonality=yes
# The runtime compiles JavaScript to machine code while it runs.
MemoryDenyWriteExecute=no
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
# ping sets its user and capabilities: @privileged stays.
SystemCallFilter=@system-service @pkey
SystemCallFilter=~@resources
SystemCallErrorNumber=EPERM

[Install]
WantedBy=multi-user.target
`;
}

/** A path relative to a folder that it is below of; undefined when it is not. */
function below(folder: string, path: string): string | undefined {
  return path.startsWith(`${folder}/`)
    ? path.slice(folder.length + 1)
    : undefined;
}

/** A word of a unit file: `%` and `\\` are special, and spaces part words (systemd.syntax(7)). */
function escape(word: string): string {
  return word.replaceAll("%", "%%").replaceAll("\\", "\\\\")
    .replaceAll(" ", "\\x20");
}
