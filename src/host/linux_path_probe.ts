import { NetError } from "../base/error.ts";
import { type Address, type Family, formatAddress } from "../net/address.ts";
import { formatPrefix, type Prefix } from "../net/prefix.ts";
import { parseKernelRoutes } from "../routes/plan/ip_json.ts";
import type { KernelRoute } from "../routes/plan/kernel_route.ts";
import {
  type Neighbour,
  parseBridgePorts,
  parseLookupFailure,
  parseNeighbours,
  parsePing,
  parseRouteLookup,
  type PingAnswer,
  pingPayloadBytes,
  type RouteLookup,
} from "./plan/probe_output.ts";
import {
  type Command,
  type CommandRunner,
  describeFailure,
  readOutput,
  unreadableNetwork,
} from "../system/command.ts";
import { type ContainerView, parseContainer } from "./plan/container_view.ts";
import { canDrop } from "./plan/drop_rules.ts";
import type { NftTable } from "./plan/nft_json.ts";
import { parsePolicyRules, type PolicyRule } from "./plan/policy_rules.ts";
import { listNft, readLegacyTables } from "./forward_filters.ts";
import type { ForwardedFrom, PathProbe, PingOptions } from "./path_probe.ts";

/**
 * Up to five requests in a second until one is answered: a single request can
 * be lost. No packet is fragmented.
 */
const PING = ["-n", "-c", "1", "-w", "1", "-i", "0.2", "-M", "do"];

/** Probes paths with `ip`, `bridge` and the `ping` of iputils (ping(8)). */
export class LinuxPathProbe implements PathProbe {
  readonly #runner: CommandRunner;

  constructor({ runner }: { readonly runner: CommandRunner }) {
    this.#runner = runner;
  }

  async lookUp(
    destination: Address,
    from?: ForwardedFrom,
  ): Promise<RouteLookup> {
    const words = [
      formatAddress(destination),
      ...from ? ["from", formatAddress(from.source), "iif", from.device] : [],
    ];
    const command = ipCommand("-N", "route", "get", ...words);
    const match = ipCommand("-N", "route", "get", "fibmatch", ...words);
    const [way, fibmatch] = await Promise.all([
      this.#runner.run(command),
      this.#runner.run(match),
    ]);
    if (way.code === 0) {
      // Kernels before 4.13 do not show the matching route.
      const text = fibmatch.code === 0 ? fibmatch.stdout : "";
      return parse(command, () => parseRouteLookup(way.stdout, text));
    }
    const failure = parseLookupFailure(way.stderr);
    if (failure) return failure;
    throw unreadableNetwork(describeFailure(command, way));
  }

  routesWithin(prefix: Prefix): Promise<KernelRoute[]> {
    const command = ipCommand(
      `-${prefix.family}`,
      ...["-N", "route", "show", "root", formatPrefix(prefix)],
    );
    return this.#read(command, parseKernelRoutes);
  }

  rules(family: Family): Promise<PolicyRule[]> {
    const command = ipCommand(`-${family}`, "-N", "rule", "show");
    return this.#read(command, parsePolicyRules);
  }

  neighbours(within: Prefix, device: string): Promise<Neighbour[]> {
    const command = ipCommand(
      ...["neighbour", "show", "to", formatPrefix(within), "dev", device],
    );
    return this.#read(command, (text) => parseNeighbours(text, device));
  }

  async bridgePorts(bridge: string): Promise<ReadonlyMap<string, string>> {
    const args = ["-json", "fdb", "show", "br", bridge];
    const command = { program: "bridge", args };
    const output = await this.#runner.run(command);
    return output.code === 0
      ? parse(command, () => parseBridgePorts(output.stdout))
      : new Map();
  }

  async ping(address: Address, options: PingOptions = {}): Promise<PingAnswer> {
    const { packetBytes, source, netns, hops } = options;
    const size = packetBytes === undefined
      ? []
      : ["-s", String(pingPayloadBytes(packetBytes, address.family))];
    const from = source ? ["-I", formatAddress(source)] : [];
    const most = hops === undefined ? [] : ["-t", String(hops)];
    const args = [...PING, ...size, ...most, ...from, formatAddress(address)];
    const command = within(netns, { program: "ping", args });
    const output = await this.#runner.run(command);
    const answer = parsePing(output.stdout + output.stderr);
    if (answer) return answer;
    throw new NetError(
      "unavailable",
      `Cannot send a probe: ${describeFailure(command, output)}`,
    );
  }

  async readContainer(
    netns: string,
  ): Promise<ContainerView | "not permitted" | undefined> {
    const batch = within(netns, {
      program: "ip",
      args: ["-json", "-batch", "-"],
      stdin: "address show\nroute show\n",
    });
    // A line of a batch cannot ask for another family.
    const routes6 = within(netns, ipCommand("-6", "route", "show"));
    try {
      const [both, six] = await Promise.all(
        [batch, routes6].map((command) => this.#runner.run(command)),
      );
      if (both!.code !== 0) {
        // setns(2) without CAP_SYS_ADMIN: EPERM.
        return /not permitted/.test(both!.stderr) ? "not permitted" : undefined;
      }
      return parseContainer(both!.stdout, six!.code === 0 ? six!.stdout : "");
    } catch {
      return undefined;
    }
  }

  async dropTables(): Promise<NftTable[]> {
    const tables = (await listNft(this.#runner, ["chains"]))
      .filter(({ chains }) => chains.some(canDrop));
    const read = await Promise.all([
      readLegacyTables(this.#runner),
      ...tables.map(({ family, name }) =>
        listNft(this.#runner, ["table", family, name])
      ),
    ]);
    return read.flat();
  }

  async readSysctl(path: string): Promise<string | undefined> {
    const { code, stdout } = await this.#runner.run({
      program: "grep",
      args: ["-s", "", `/proc/sys/${path}`],
    });
    return code === 0 ? stdout.trim() : undefined;
  }

  async #read<T>(command: Command, read: (text: string) => T): Promise<T> {
    const text = await readOutput(this.#runner, command);
    return parse(command, () => read(text));
  }
}

/** A command that runs in a network namespace. */
function within(netns: string | undefined, command: Command): Command {
  if (netns === undefined) return command;
  const { program, args } = command;
  return {
    ...command,
    program: "nsenter",
    args: [`--net=${netns}`, program, ...args],
  };
}

function ipCommand(...args: string[]): Command {
  return { program: "ip", args: ["-json", ...args] };
}

function parse<T>({ program, args }: Command, read: () => T): T {
  try {
    return read();
  } catch (cause) {
    throw unreadableNetwork(
      `"${[program, ...args].join(" ")}" printed an unknown form`,
      { cause },
    );
  }
}
