import { getLogger } from "@logtape/logtape";
import type { NeighbourLookup } from "../addresses/neighbours.ts";
import { formatAddress } from "../net/address.ts";
import { containsAddress, type Prefix } from "../net/prefix.ts";
import type { CommandRunner } from "../system/command.ts";
import {
  type Neighbour,
  parseBridgePorts,
  parseNeighbours,
  resolutionOf,
} from "./plan/probe_output.ts";

const log = getLogger(["stellar-net", "agent", "neighbours"]);

/**
 * Finds the addresses in use behind bridges: those in the kernel's neighbour
 * table whose link-layer address is behind a port of the bridge. The table alone
 * also has containers that ended a while ago; their port is gone.
 */
export class BridgeNeighbours implements NeighbourLookup {
  readonly #runner: CommandRunner;
  readonly #uptimeMs: () => number;
  #last:
    | { readonly atMs: number; readonly found: Promise<readonly Neighbour[]> }
    | undefined;

  constructor(
    options: {
      readonly runner: CommandRunner;
      /** Monotonic time, in ms. */
      readonly uptimeMs: () => number;
    },
  ) {
    this.#runner = options.runner;
    this.#uptimeMs = options.uptimeMs;
  }

  async find(
    subnets: readonly Prefix[],
    maxAgeMs: number,
  ): Promise<ReadonlyMap<string, string>> {
    const nowMs = this.#uptimeMs();
    if (!this.#last || nowMs - this.#last.atMs >= maxAgeMs) {
      this.#last = { atMs: nowMs, found: this.#read() };
    }
    const found = await this.#last.found;
    return new Map(
      found.filter(({ address }) =>
        subnets.some((subnet) => containsAddress(subnet, address))
      ).map(({ address, macAddress, device }) => [
        formatAddress(address),
        `${macAddress} on "${device}"`,
      ]),
    );
  }

  async #read(): Promise<readonly Neighbour[]> {
    try {
      const args = ["-json", "neighbour", "show"];
      const { code, stdout } = await this.#runner.run({ program: "ip", args });
      if (code !== 0) return [];
      const neighbours = parseNeighbours(stdout).filter((neighbour) =>
        resolutionOf(neighbour) !== "none" && neighbour.macAddress !== ""
      );
      const devices = new Set(neighbours.map(({ device }) => device));
      const ports = new Map<string, ReadonlyMap<string, string>>();
      for (const device of devices) {
        ports.set(device, await this.#portsOf(device));
      }
      return neighbours.filter(({ device, macAddress }) =>
        ports.get(device)?.has(macAddress)
      );
    } catch (error) {
      log.debug("Cannot read the neighbour table: {error}", { error });
      return [];
    }
  }

  async #portsOf(bridge: string): Promise<ReadonlyMap<string, string>> {
    const args = ["-json", "fdb", "show", "br", bridge];
    const { code, stdout } = await this.#runner.run({
      program: "bridge",
      args,
    });
    return code === 0 ? parseBridgePorts(stdout) : new Map();
  }
}
