import type { HostNetwork } from "./network.ts";
import type { KernelRoutes } from "../routes/kernel_routes.ts";
import type { Address } from "../net/address.ts";
import type { Store } from "../store/store.ts";
import type { AgentConfig } from "../config/config.ts";
import type { Home } from "../member/member.ts";
import type { HostFactsOptions } from "./facts.ts";
import type { RouteMode } from "../routes/report.ts";

/** What a host is kept with. */
export interface HostKeeperOptions extends HostFactsOptions {
  readonly node: string;
  readonly home: Home;
  readonly config: Pick<
    AgentConfig,
    | ("advertise" | "join" | "security")
    | ("routeProtocol" | "bridge" | "masquerade")
  >;
  /** The agent's own store. */
  readonly store: Store;
  /** What is done about routes. */
  readonly mode: RouteMode;
  readonly routes: KernelRoutes;
  readonly network: HostNetwork;
  /** The time in ms since 1970. */
  readonly now: () => number;
  /** Hears at which addresses other hosts reach this one, as it is looked. */
  readonly onReached?: (addresses: readonly Address[]) => void;
}
