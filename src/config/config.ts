import type { Address } from "../net/address.ts";
import type { Carve } from "../net/carve.ts";

/** The parsed flags of an agent. */
export interface AgentConfig {
  /** Name of this node. */
  readonly node: string;
  /** Networks to create the cluster with. Empty: those that it has, or the default. */
  readonly networks: readonly Carve[];
  /** Folder of the state; made when it is missing. */
  readonly stateDir: string;
  /** Path of the unix socket. */
  readonly socketPath: string;
  /** Group that may use the socket besides its owner: a name or a number. Undefined: nobody. */
  readonly socketGroup: string | undefined;
  /** TCP addresses to listen on. Empty: the socket alone. */
  readonly listen: readonly ListenAddress[];
  /** TCP addresses to serve metrics and health on, and nothing else. */
  readonly metrics: readonly ListenAddress[];
  /** The means by which this agent and others authenticate each other. */
  readonly security: AgentSecurity;
  /** Where cluster and node state are kept. */
  readonly store: StoreChoice;
  /** URLs of agents that host the registry, in the order to try them in. Empty: this one does. */
  readonly join: readonly string[];
  /** Addresses that other hosts route through, at most one of each family. Empty: found. */
  readonly advertise: readonly Address[];
  /** `auto`: `apply` where the agent may change the network, else `off`. */
  readonly routes: RouteMode | "auto";
  /** The mark by which the agent knows its own kernel routes, 5 to 255 (rtnetlink(7)). */
  readonly routeProtocol: number;
  /** Name of the bridge to make and address; undefined leaves that to others. */
  readonly bridge: string | undefined;
  /** Whether traffic that leaves the cluster's networks gets the host's address. */
  readonly masquerade: boolean;
  /** Whether addresses of the networks that nobody has are `unreachable` (ip-route(8)). */
  readonly blackhole: boolean;
  /** Whether the agent may add accept rules to packet filters of other programs. */
  readonly forwardRules: boolean;
  /** Whether the agent probes the paths to its peers, and answers their probes. */
  readonly probe: boolean;
  /** The IPAM driver for Docker; undefined: none. */
  readonly docker: DockerChoice | undefined;
  /** Silence after which a node is removed, in ms; undefined: never. */
  readonly reclaimAfterMs: number | undefined;
  /** Time for which a released address is not given again while others are free, in ms. */
  readonly coolDownMs: number;
  /** Time for which the history is kept, in ms. */
  readonly keepHistoryMs: number;
  /** Interval between looks for leaked addresses, in ms. */
  readonly leakIntervalMs: number;
  /** Time for which an address that seems to be leaked is kept after the first look, in ms. */
  readonly leakGraceMs: number;
}

/** How an agent serves Docker. */
export interface DockerChoice {
  /** Path of the driver's socket: `NAME.sock` in a folder where Docker looks for plugins. */
  readonly pluginPath: string;
  /** Path of Docker's own socket; undefined: the agent does not ask Docker. */
  readonly apiPath: string | undefined;
}

/** A TCP address. Port 0 takes a free one. */
export interface ListenAddress {
  /** An IPv4 or IPv6 address, without brackets. */
  readonly hostname: string;
  readonly port: number;
}

/** The means by which agents authenticate each other. */
export type AgentSecurity =
  /** Certificates of the cluster's own authority. */
  | PlainTextToo & {
    readonly kind: "cluster";
    /** Path of the file with the token to join with; undefined where there is none. */
    readonly tokenPath?: string;
  }
  /** Certificates of an operator's own authority. */
  | PlainTextToo & { readonly kind: "given"; readonly paths: TlsPaths }
  /** They do not, and speak plain text: for labs. */
  | { readonly kind: "none" };

/** While a cluster moves to or from TLS, host by host. */
export interface PlainTextToo {
  /** Whether the agent also serves and calls other hosts in plain text. Default: no. */
  readonly acceptsPlainText?: boolean;
}

/** Whether an agent serves and calls other hosts in plain text. */
export function speaksPlainText(security: AgentSecurity): boolean {
  return security.kind === "none" || (security.acceptsPlainText ?? false);
}

/** Paths of files in PEM. */
export interface TlsPaths {
  /** The certificate, and those between it and its authority. */
  readonly certPath: string;
  readonly keyPath: string;
  /** The authorities that have signed the certificates of the others. */
  readonly caPath: string;
}

/** `file`: Deno KV in the state folder. `memory`: Deno KV in memory, lost at the end. */
export type StoreChoice = "file" | "memory" | EtcdChoice;

/** An etcd cluster. */
export interface EtcdChoice {
  readonly kind: "etcd";
  /** Where its members serve clients: `h1:2379`, in the order to try them in. */
  readonly endpoints: readonly string[];
  /** The prefix of all keys: `/stellar-net`. */
  readonly prefix: string;
  /** Paths of files in PEM; undefined: plain text. */
  readonly tls?: {
    /** The authorities that are trusted; undefined: public ones. */
    readonly caPath?: string | undefined;
    readonly certPath?: string | undefined;
    readonly keyPath?: string | undefined;
  };
  /** Whose credentials to use; undefined: none, or those that the certificate names. */
  readonly user?: {
    readonly name: string;
    /** Path of the file whose first line is the password. */
    readonly passwordPath: string;
  };
}

/** `apply`: changes the kernel. `plan`: only says what it would change. `off`: does not even look. */
export type RouteMode = "apply" | "plan" | "off";
