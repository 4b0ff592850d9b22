import { NetError } from "../base/error.ts";
import { parseFileLines } from "../routes/plan/ip_json.ts";
import {
  type CommandFollower,
  type CommandRunner,
  type FollowOptions,
  readOutput,
} from "../system/command.ts";
import { followEvents } from "../system/follow_events.ts";
import type { FilterTool, ForwardFilter } from "./plan/forward_plan.ts";
import type { HostProblem } from "./plan/host_plan.ts";
import {
  mergeRules,
  parseIptablesConditions,
  parseIptablesRules,
} from "./plan/iptables_rules.ts";
import { type NftTable, parseNftTables } from "./plan/nft_json.ts";
import type { PacketChain } from "./plan/packet_chain.ts";

const MONITOR = { program: "nft", args: ["monitor"] };
/** The line that ends the events of one transaction. */
const GENERATION = /^# new generation \d+(?: by process (\d+) )?/;

/**
 * The changes of packet filters (nft(8), MONITOR): each event has the ids of
 * the processes that made them, undefined where it is not known.
 */
export function monitorFilters(
  follower: CommandFollower,
  { signal }: FollowOptions,
): AsyncGenerator<readonly (number | undefined)[]> {
  return followEvents<readonly (number | undefined)[]>(follower, {
    command: MONITOR,
    signal,
    read(line) {
      const match = GENERATION.exec(line);
      return match ? [match[1] ? Number(match[1]) : undefined] : undefined;
    },
    missed: () => [undefined],
    merge: (a, b) => [...new Set([...a, ...b])],
  });
}

const HOOK = "forward";
/** The names that iptables gives its table and chain. */
const IPTABLES = { table: "filter", chain: "FORWARD" } as const;
const FAMILIES = ["ip", "ip6", "inet"] as const;
type FilterFamily = typeof FAMILIES[number];

/** The files that list the tables of iptables-legacy; running it would create them. */
const LEGACY = [
  ["/proc/net/ip_tables_names", "ip", "iptables-legacy"],
  ["/proc/net/ip6_tables_names", "ip6", "ip6tables-legacy"],
] as const;

/** The files that {@linkcode readForwardFilters} needs. */
export const LEGACY_FILES: readonly string[] = LEGACY.map(([path]) => path);

/**
 * Reads the chains that decide which packets this host forwards, of nftables,
 * iptables-nft and iptables-legacy.
 *
 * @param tables all chains of nftables, without their rules: there may be a
 * hundred thousand
 * @param files the lines of `LEGACY_FILES`
 * @returns `problems`: the tables of iptables-legacy that cannot be read
 * @throws {NetError} `unavailable` when nft is missing or fails
 */
export async function readForwardFilters(
  runner: CommandRunner,
  { tables, files }: {
    readonly tables: readonly NftTable[];
    readonly files: ReadonlyMap<string, readonly string[]>;
  },
): Promise<{ filters: ForwardFilter[]; problems: HostProblem[] }> {
  const filters: ForwardFilter[] = [];
  const problems: HostProblem[] = [];
  for (const { family, name, chains } of tables) {
    if (!isFilterFamily(family)) continue;
    const forward = chains.filter(({ base }) =>
      base?.hook === HOOK && base.type === "filter"
    );
    if (forward.length === 0) continue;
    const table = { family, name };
    filters.push(
      ...await readTable(runner, table, forward.map((chain) => chain.name)),
    );
  }
  for (const { family, tool, name } of legacyTables(files)) {
    if (name !== IPTABLES.table) continue;
    const chains = await tryIptables(runner, tool);
    if (chains) {
      filters.push(
        ...toFilters({ tool, family, chains }, [IPTABLES.chain]),
      );
    } else {
      problems.push({
        tool,
        message:
          `Cannot read the rules of ${tool}, which this host uses: it is not installed, or fails`,
      });
    }
  }
  return { filters, problems };
}

async function readTable(
  runner: CommandRunner,
  { family, name }: { readonly family: FilterFamily; readonly name: string },
  names: readonly string[],
): Promise<ForwardFilter[]> {
  const [table] = await listNft(runner, ["table", family, name]);
  const chains = table?.chains ?? [];
  if (
    family !== "inet" && name === IPTABLES.table &&
    names.includes(IPTABLES.chain)
  ) {
    const tool = family === "ip" ? "iptables-nft" : "ip6tables-nft";
    const merged = mergeRules(chains, await tryIptables(runner, tool) ?? []);
    // nft does no harm to a table that iptables cannot read.
    if (merged) return toFilters({ tool, family, chains: merged }, names);
  }
  return toFilters({ tool: "nft", family, table: name, chains }, names);
}

function toFilters(
  { tool, family, table = IPTABLES.table, chains }: {
    readonly tool: FilterTool;
    readonly family: FilterFamily;
    readonly table?: string;
    readonly chains: readonly PacketChain[];
  },
  names: readonly string[],
): ForwardFilter[] {
  const byName = new Map(chains.map((chain) => [chain.name, chain]));
  return names.flatMap((name) => {
    const chain = byName.get(name);
    return chain ? [{ tool, family, table, chain, chains: byName }] : [];
  });
}

/**
 * Lists something of nftables.
 *
 * @throws {NetError} `unavailable` when nft is missing or fails
 */
export async function listNft(
  runner: CommandRunner,
  what: readonly string[],
): Promise<NftTable[]> {
  const args = ["-j", "list", ...what];
  return parseNftTables(await readOutput(runner, { program: "nft", args }));
}

/** The chains of an iptables, or undefined when it is not installed or does not read them. */
async function tryIptables(
  runner: CommandRunner,
  tool: FilterTool,
): Promise<PacketChain[] | undefined> {
  try {
    const args = ["-t", IPTABLES.table, "-S"];
    const { code, stdout } = await runner.run({ program: tool, args });
    return code === 0 ? parseIptablesRules(stdout) : undefined;
  } catch (error) {
    if (error instanceof NetError) return undefined;
    throw error;
  }
}

interface LegacyTable {
  readonly family: FilterFamily;
  readonly tool: FilterTool;
  readonly name: string;
}

function legacyTables(
  files: ReadonlyMap<string, readonly string[]>,
): LegacyTable[] {
  return LEGACY.flatMap(([path, family, tool]) =>
    (files.get(path) ?? []).map((name) => ({ family, tool, name }))
  );
}

/** The tables of iptables-legacy; none that its program does not read. */
export async function readLegacyTables(
  runner: CommandRunner,
): Promise<NftTable[]> {
  const { stdout } = await runner.run({
    program: "grep",
    args: ["-Hs", "", ...LEGACY_FILES],
  });
  const tables = legacyTables(parseFileLines(stdout));
  const read = await Promise.all(tables.map(async ({ tool, family, name }) => {
    try {
      const args = ["-t", name, "-S"];
      const { code, stdout } = await runner.run({ program: tool, args });
      const chains = code === 0 ? parseIptablesConditions(stdout) : [];
      return [{ family, name, tool, chains }];
    } catch (error) {
      if (error instanceof NetError) return [];
      throw error;
    }
  }));
  return read.flat();
}

function isFilterFamily(family: string): family is FilterFamily {
  return (FAMILIES as readonly string[]).includes(family);
}
