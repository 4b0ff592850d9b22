/** What is known of a network namespace; `gone` only when that is sure. */
export type NetnsState = "there" | "gone" | "unknown";

/** Looks for the network namespaces of containers. */
export interface NetnsLookup {
  /** Looks for the namespace at a path. Never fails. */
  look(path: string): Promise<NetnsState>;
}
