/** The build of this program, and its sources. */
export interface BuildInfo {
  /**
   * `sources`: run from source, not built; `compiled`: made by `deno compile`;
   * `self-extracting`: a script that contains a runtime and the bundled sources
   * and unpacks them at its first start.
   */
  readonly kind: "sources" | "compiled" | "self-extracting";
  /** Commit of the sources, 40 hex digits; null when unknown. */
  readonly commit: string | null;
  /** Whether the sources differed from that commit. */
  readonly modified: boolean;
  /** Rust's name of the platform that it was built for; null for any. */
  readonly target: string | null;
}

/** This program's own. A build replaces this module. */
export const BUILD: BuildInfo = {
  kind: "sources",
  commit: null,
  modified: false,
  target: null,
};
