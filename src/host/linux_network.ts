import { NetError } from "../base/error.ts";
import { type Address, formatAddress } from "../net/address.ts";
import { parseSource } from "./plan/probe_output.ts";
import { hostCommand } from "./plan/host_command.ts";
import {
  parseDefaultRoutes,
  parseFileLines,
  parseLinks,
} from "../routes/plan/ip_json.ts";
import {
  type HostOperation,
  type HostProblem,
  type HostState,
  relevantSysctls,
} from "./plan/host_plan.ts";
import { type NftTable, parseNftTables } from "./plan/nft_json.ts";
import { NFT_TABLE } from "./plan/nft_plan.ts";
import { isSourceNat } from "./plan/source_nat.ts";
import type { HostInterfaces } from "../routes/plan/uplink.ts";
import {
  type Command,
  type CommandFollower,
  type CommandRunner,
  describeFailure,
  readOutput,
  unreadableNetwork,
} from "../system/command.ts";
import {
  LEGACY_FILES,
  listNft,
  monitorFilters,
  readForwardFilters,
} from "./forward_filters.ts";
import type {
  HostMonitorOptions,
  HostNetwork,
  HostOutcome,
} from "./network.ts";

const PROC_SYS = "/proc/sys/";
const PROC_STATUS = "/proc/self/status";
/** Number of CAP_NET_ADMIN (capability.h). */
const CAP_NET_ADMIN = 12n;

const READ_INTERFACES: Command = {
  program: "ip",
  args: ["-json", "-details", "-batch", "-"],
  stdin: "address show\nroute show default\n",
};
const READ_DEFAULT6: Command = {
  program: "ip",
  args: ["-json", "-6", "route", "show", "default"],
};

export interface LinuxHostNetworkOptions {
  readonly runner: CommandRunner;
  readonly follower: CommandFollower;
}

/**
 * The network of the host, through `ip`, `nft`, iptables if the host uses it,
 * and files below /proc. Programs read and write these files, too, so that their
 * view and their rights count.
 */
export class LinuxHostNetwork implements HostNetwork {
  readonly #runner: CommandRunner;
  readonly #follower: CommandFollower;
  /** The processes of the last changes; the kernel names them in its events. */
  readonly #ownPids = new Set<number>();
  #applying: Promise<unknown> = Promise.resolve();

  constructor({ runner, follower }: LinuxHostNetworkOptions) {
    this.#runner = runner;
    this.#follower = follower;
  }

  async readInterfaces(): Promise<HostInterfaces> {
    // A batch has one family: two programs are the fewest.
    const [output, ipv6] = await Promise.all([
      readOutput(this.#runner, READ_INTERFACES),
      readOutput(this.#runner, READ_DEFAULT6),
    ]);
    const [links = "", ipv4 = ""] = output.trim().split("\n");
    return {
      links: parseLinks(links),
      defaultRoutes: [
        ...parseDefaultRoutes(ipv4, 4),
        ...parseDefaultRoutes(ipv6, 6),
      ],
    };
  }

  async sourceToward(destination: Address): Promise<Address | undefined> {
    const { code, stdout } = await this.#runner.run({
      program: "ip",
      args: ["-json", "route", "get", formatAddress(destination)],
    });
    return code === 0 ? parseSource(stdout) : undefined;
  }

  async read(bridge: string | undefined): Promise<HostState> {
    const problems: HostProblem[] = [];
    const attempt = async <T>(
      tool: string,
      action: () => Promise<T>,
    ): Promise<T | undefined> => {
      try {
        return await action();
      } catch (error) {
        problems.push({ tool, message: messageOf(error) });
        return undefined;
      }
    };
    const [interfaces, chains] = await Promise.all([
      attempt("ip", () => this.readInterfaces()),
      attempt("nft", () => listNft(this.#runner, ["chains"])),
    ]);
    const files = await attempt("grep", () =>
      this.#readFiles([
        PROC_STATUS,
        ...LEGACY_FILES,
        ...(interfaces ? relevantSysctls(interfaces, bridge) : [])
          .map((path) => PROC_SYS + path),
      ])) ?? new Map<string, string[]>();
    const [tables, filters] = chains
      ? await Promise.all([
        attempt("nft", () => this.#readTable(chains)),
        attempt("nft", () =>
          readForwardFilters(this.#runner, { tables: chains, files })),
      ])
      : [];
    return {
      isNetAdmin: isNetAdmin(files.get(PROC_STATUS) ?? []),
      interfaces,
      sysctls: sysctlsOf(files),
      tables,
      filters: filters?.filters,
      problems: [...problems, ...filters?.problems ?? []],
    };
  }

  async readSourceNat(): Promise<NftTable[]> {
    const tables = (await listNft(this.#runner, ["chains"]))
      .filter(({ chains }) => chains.some(isSourceNat));
    const read = await Promise.all(
      tables.map(({ family, name }) =>
        listNft(this.#runner, ["table", family, name])
      ),
    );
    return read.flat();
  }

  apply(operations: readonly HostOperation[]): Promise<HostOutcome[]> {
    const outcomes = this.#apply(operations);
    this.#applying = outcomes;
    return outcomes;
  }

  async *monitor({ signal }: HostMonitorOptions): AsyncGenerator<void> {
    for await (const pids of monitorFilters(this.#follower, { signal })) {
      // An event may come before the process that caused it has ended.
      await this.#applying;
      const isOwn = (pid?: number) =>
        pid !== undefined && this.#ownPids.has(pid);
      if (!pids.every(isOwn)) yield;
    }
  }

  async #apply(operations: readonly HostOperation[]): Promise<HostOutcome[]> {
    this.#ownPids.clear();
    const outcomes: HostOutcome[] = [];
    for (const operation of operations) {
      const error = await this.#carryOut(hostCommand(operation));
      outcomes.push({ operation, ...(error !== undefined && { error }) });
    }
    return outcomes;
  }

  async #carryOut(command: Command): Promise<string | undefined> {
    try {
      const output = await this.#runner.run(command);
      if (output.pid !== undefined) this.#ownPids.add(output.pid);
      return output.code === 0 ? undefined : describeFailure(command, output);
    } catch (error) {
      return messageOf(error);
    }
  }

  async #readTable(tables: readonly NftTable[]): Promise<NftTable[]> {
    const isThere = tables.some(({ family, name }) =>
      `${family} ${name}` === NFT_TABLE
    );
    if (!isThere) return [];
    const args = ["-j", "list", "table", ...NFT_TABLE.split(" ")];
    const command = { program: "nft", args };
    const output = await this.#runner.run(command);
    if (output.code === 0) return parseNftTables(output.stdout);
    if (/No such file or directory/.test(output.stderr)) return [];
    throw unreadableNetwork(describeFailure(command, output));
  }

  async #readFiles(paths: readonly string[]): Promise<Map<string, string[]>> {
    // The exit code is 2 if one file is missing; the others are printed.
    const { stdout } = await this.#runner.run({
      program: "grep",
      args: ["-Hs", "", ...paths],
    });
    return parseFileLines(stdout);
  }
}

function messageOf(error: unknown): string {
  if (error instanceof NetError) return error.message;
  // The program's version prints something that is not known here.
  if (error instanceof SyntaxError || error instanceof RangeError) {
    return unreadableNetwork(error.message).message;
  }
  throw error;
}

function isNetAdmin(status: readonly string[]): boolean {
  const line = status.find((text) => text.startsWith("CapEff:"));
  const mask = BigInt(`0x${line?.split(/\s+/)[1] ?? "0"}`);
  return ((mask >> CAP_NET_ADMIN) & 1n) === 1n;
}

function sysctlsOf(
  files: ReadonlyMap<string, readonly string[]>,
): Map<string, string> {
  return new Map(
    [...files].flatMap(([path, [value]]) =>
      path.startsWith(PROC_SYS) && value !== undefined
        ? [[path.slice(PROC_SYS.length), value]]
        : []
    ),
  );
}
