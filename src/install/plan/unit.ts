import { CACHE_DIR, ENV_PATH, folderOf } from "./layout.ts";

/** The options of the agent's unit. Paths are absolute. */
export interface UnitOptions {
  readonly program: string;
  /** Folder of the state. */
  readonly stateDir: string;
  readonly socketPath: string;
  /** Group of the socket. Undefined: none. */
  readonly socketGroup: string | undefined;
  /** Folder of the socket of the IPAM driver for Docker. Undefined: none. */
  readonly pluginDir?: string | undefined;
  /** TCP ports that the agent listens on. */
  readonly ports: readonly number[];
}

/** Ports below this one need a capability (capabilities(7)). */
const FIRST_FREE_PORT = 1024;

/**
 * Thresholds in bytes that make malloc return freed buffers to the system
 * (mallopt(3)): no larger than a read from a socket.
 */
export const MALLOC_VARIABLES: Readonly<Record<string, string>> = {
  MALLOC_MMAP_THRESHOLD_: "65536",
  MALLOC_TRIM_THRESHOLD_: "131072",
};

/** The capabilities of the agent and of the programs that it runs. */
export function neededCapabilities(ports: readonly number[]): string[] {
  return [
    // For ip, nft, iptables, and the files below /proc/sys/net.
    "CAP_NET_ADMIN",
    // For ping, which doctor runs, and iptables-legacy.
    "CAP_NET_RAW",
    ...ports.some((port) => port > 0 && port < FIRST_FREE_PORT)
      ? ["CAP_NET_BIND_SERVICE"]
      : [],
  ];
}

/** The folders that the agent writes to and systemd does not create. */
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
  const { pluginDir } = options;
  const state = below("/var/lib", stateDir);
  const runtime = below("/run", folderOf(socketPath));
  const extra = extraFolders(options);
  const malloc = Object.entries(MALLOC_VARIABLES)
    .map(([name, value]) => `${name}=${value}`).join(" ");
  return `# Written by "stellar-net install", which updates it each time it runs.
# Put changes to the unit in a drop-in: systemctl edit stellar-net

[Unit]
Description=Subnets, addresses and routes for the containers of a cluster
After=network.target nftables.service
# The network is there before container runtimes start.
Before=containerd.service crio.service docker.service
# systemd retries a start that fails at once a hundred times, a slow one forever.
StartLimitIntervalSec=10min
StartLimitBurst=100

[Service]
# It counts as started when it serves, and restarts when it hangs.
Type=notify
NotifyAccess=main
WatchdogSec=30s
EnvironmentFile=-${escape(ENV_PATH)}
# The lock of iptables-legacy has to exist for ReadWritePaths below.
ExecStartPre=-+touch /run/xtables.lock
${
    pluginDir === undefined
      ? ""
      : `# So has the folder where Docker looks for plugins.
ExecStartPre=-+mkdir -p -m 0700 ${escape(pluginDir)}
`
  }ExecStart=${escape(program)} agent
Restart=always
RestartSec=1s
# Restarting does not help against a wrong flag.
RestartPreventExitStatus=2
# The agent finishes in-flight calls, for at most 10 s, and ends its programs itself.
KillMode=mixed
TimeoutStopSec=20s

# 4,096 hosts on each of three listeners, and 128 for the agent itself.
LimitNOFILE=16384
TasksMax=512
# Four times the memory after a full /16 and a hundred thousand requests.
MemoryMax=1G
# malloc returns freed buffers to the system: that halves the memory of a busy agent.
Environment=${malloc}

${
    [
      ...state === undefined
        ? []
        : [`StateDirectory=${escape(state)}`, "StateDirectoryMode=0700"],
      ...runtime === undefined ? [] : [
        `RuntimeDirectory=${escape(runtime)}`,
        "RuntimeDirectoryMode=0755",
        "# Plugins find the queue of releases there while the agent is stopped.",
        "RuntimeDirectoryPreserve=yes",
      ],
      // Root's first start of a self-extracting executable unpacks it here.
      `CacheDirectory=${escape(below("/var/cache", CACHE_DIR)!)}`,
      "CacheDirectoryMode=0700",
      ...extra.map((folder) => `ReadWritePaths=${escape(folder)}`),
      "ReadWritePaths=-/run/xtables.lock",
      ...pluginDir === undefined
        ? []
        : [`ReadWritePaths=-${escape(pluginDir)}`],
    ].join("\n")
  }
UMask=0077
${
    socketGroup === undefined
      ? ""
      : `# A member of the group may give the socket to it without a capability.
SupplementaryGroups=${escape(socketGroup)}
`
  }
# Root with few capabilities: it reads and writes root's files, and changes the
# network.
CapabilityBoundingSet=${neededCapabilities(ports).join(" ")}
NoNewPrivileges=yes
ProtectSystem=strict
# Not "yes", and no PrivateTmp or ProtectProc: containers' network namespaces may be
# mounted anywhere, and a hidden one would count as gone.
ProtectHome=read-only
PrivateDevices=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
# The agent enables forwarding below /proc/sys/net.
ProtectKernelTunables=no
LockPersonality=yes
# The runtime compiles JavaScript to machine code while it runs.
MemoryDenyWriteExecute=no
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
# ping sets its user and capabilities, so @privileged stays allowed.
SystemCallFilter=@system-service @pkey
SystemCallFilter=~@resources
SystemCallErrorNumber=EPERM

[Install]
WantedBy=multi-user.target
`;
}

/** A path relative to a folder; undefined when it is not below it. */
function below(folder: string, path: string): string | undefined {
  return path.startsWith(`${folder}/`)
    ? path.slice(folder.length + 1)
    : undefined;
}

/** A word of a unit file: `%` and `\\` are special, and spaces separate words (systemd.syntax(7)). */
function escape(word: string): string {
  return word.replaceAll("%", "%%").replaceAll("\\", "\\\\")
    .replaceAll(" ", "\\x20");
}
