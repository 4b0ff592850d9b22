import { NetError } from "../../src/base/error.ts";
import type {
  ForwardedFrom,
  PathProbe,
  PingOptions,
} from "../../src/host/path_probe.ts";
import { type Address, formatAddress } from "../../src/net/address.ts";
import {
  containsAddress,
  containsPrefix,
  type Prefix,
} from "../../src/net/prefix.ts";
import type { NftTable } from "../../src/host/plan/nft_json.ts";
import type { PolicyRule } from "../../src/host/plan/policy_rules.ts";
import type { KernelRoute } from "../../src/routes/plan/kernel_route.ts";
import type {
  Neighbour,
  PingAnswer,
  RouteLookup,
} from "../../src/host/plan/probe_output.ts";

/**
 * A host as far as paths from it are concerned. What is asked for and was not
 * set is a defect of the test.
 */
export class FakePathProbe implements PathProbe {
  /** By destination; for forwarded packets `SOURCE DEVICE DESTINATION`. */
  readonly lookups = new Map<string, RouteLookup>();
  readonly routes: KernelRoute[] = [];
  readonly policyRules: PolicyRule[] = [];
  readonly entries: Neighbour[] = [];
  /** By the name of the bridge, then by link-layer address. */
  readonly ports = new Map<string, ReadonlyMap<string, string>>();
  /** The largest packets that get to an address, and what a router says of larger ones. Others are lost. */
  readonly largest = new Map<string, number>();
  hint: number | undefined;
  /** The host that reports a packet as undeliverable, by the packet's hops; undefined for one without a limit. */
  readonly reports = new Map<number | undefined, string>();
  /** What a program that is missing says, by its name. */
  readonly missing = new Map<string, string>();
  /** The sources whose pings get no answer. */
  readonly deaf = new Set<string>();
  /** The sizes that were tried; 0 for a ping without one. */
  readonly tried: number[] = [];
  /** The most pings that were under way at once. */
  mostAtOnce = 0;
  #atOnce = 0;
  /** Happens after each ping. */
  onPing = () => {};

  lookUp(destination: Address, from?: ForwardedFrom): Promise<RouteLookup> {
    const key = [
      ...from ? [formatAddress(from.source), from.device] : [],
      formatAddress(destination),
    ].join(" ");
    return this.#answer("ip", () => {
      const lookup = this.lookups.get(key);
      if (!lookup) throw new Error(`the fake knows no way to "${key}"`);
      return lookup;
    });
  }

  routesWithin(prefix: Prefix): Promise<KernelRoute[]> {
    return this.#answer(
      "ip",
      () =>
        this.routes.filter(({ destination }) =>
          containsPrefix(prefix, destination)
        ),
    );
  }

  rules(): Promise<PolicyRule[]> {
    return this.#answer("ip", () => this.policyRules);
  }

  neighbours(within: Prefix, device: string): Promise<Neighbour[]> {
    return this.#answer(
      "ip",
      () =>
        this.entries.filter((entry) =>
          entry.device === device && containsAddress(within, entry.address)
        ),
    );
  }

  bridgePorts(bridge: string): Promise<ReadonlyMap<string, string>> {
    return this.#answer("bridge", () => this.ports.get(bridge) ?? new Map());
  }

  async ping(
    address: Address,
    options: PingOptions = {},
  ): Promise<PingAnswer> {
    const { packetBytes = 0, hops } = options;
    this.mostAtOnce = Math.max(this.mostAtOnce, ++this.#atOnce);
    await Promise.resolve();
    this.#atOnce--;
    return this.#answer("ping", () => {
      this.tried.push(packetBytes);
      const from = options.source && formatAddress(options.source);
      const largest = from !== undefined && this.deaf.has(from)
        ? -1
        : this.largest.get(formatAddress(address)) ?? -1;
      const isAnswered = packetBytes <= largest;
      this.onPing();
      const errorFrom = this.reports.get(hops);
      return {
        isAnswered,
        mtuBytes: isAnswered ? undefined : this.hint,
        ...errorFrom !== undefined && { errorFrom },
      };
    });
  }

  /** Containers cannot be looked into, as without CAP_SYS_ADMIN. */
  readContainer(): Promise<"not permitted"> {
    return Promise.resolve("not permitted");
  }

  dropTables(): Promise<NftTable[]> {
    return Promise.resolve([]);
  }

  readSysctl(): Promise<undefined> {
    return Promise.resolve(undefined);
  }

  // deno-lint-ignore require-await
  async #answer<T>(program: string, answer: () => T): Promise<T> {
    const problem = this.missing.get(program);
    if (problem !== undefined) throw new NetError("unavailable", problem);
    return answer();
  }
}
