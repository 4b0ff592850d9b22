/** How this program came about, and out of what. */
export interface BuildInfo {
  /**
   * `sources`: no build, the sources as they are; `compiled`: one executable of
   * `deno compile`; `self-extracting`: a script with a runtime and the bundled
   * sources inside, which unpacks them at its first start.
   */
  readonly kind: "sources" | "compiled" | "self-extracting";
  /** Commit of the sources, 40 hex digits; null when it is not known. */
  readonly commit: string | null;
  /** Whether the sources differed from that commit. */
  readonly modified: boolean;
  /** The platform that it was built for, as Rust names it; null for any. */
  readonly target: string | null;
}

/** This program's own. The build puts another in its place. */
export const BUILD: BuildInfo = {
  kind: "sources",
  commit: null,
  modified: false,
  target: null,
};
