import type { FoundNamespace } from "../net/namespace.ts";

/** Finds the network namespaces of containers. */
export interface NetnsLookup {
  /**
   * The namespace at an absolute path. Never throws. `gone` only when that is
   * certain.
   */
  find(path: string): Promise<FoundNamespace>;
}
