/** Whether a network namespace exists; `gone` only when that is certain. */
export type NetnsState = "there" | "gone" | "unknown";

/** Looks up the network namespaces of containers. */
export interface NetnsLookup {
  /** Looks up the namespace at a path. Never fails. */
  look(path: string): Promise<NetnsState>;
}
