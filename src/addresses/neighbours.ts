import type { Prefix } from "../net/prefix.ts";

/** Finds the addresses that are in use on this host, whoever gave them out. */
export interface NeighbourLookup {
  /**
   * The addresses of some subnets that an interface behind the host's bridge
   * uses: the text of each, and who that is, such as
   * `02:42:ac:10:00:09 on "stellar0"`. Never throws: what it cannot read is not
   * among them.
   *
   * @param maxAgeMs how old the answer may be
   */
  find(
    subnets: readonly Prefix[],
    maxAgeMs: number,
  ): Promise<ReadonlyMap<string, string>>;
}
