import { Notifier } from "../support/notifier.ts";
import type {
  HostMonitorOptions,
  HostNetwork,
  HostOutcome,
} from "../../src/host/network.ts";
import { type Address, formatAddress } from "../../src/net/address.ts";
import { containsAddress } from "../../src/net/prefix.ts";
import {
  formatAcceptRule,
  type ForwardChange,
  type ForwardFilter,
} from "../../src/host/plan/forward_plan.ts";
import {
  formatOperation,
  hostCommand,
} from "../../src/host/plan/host_command.ts";
import type { HostLink } from "../../src/routes/plan/ip_json.ts";
import {
  type HostOperation,
  type HostState,
  isSame,
} from "../../src/host/plan/host_plan.ts";
import { parseIptablesRules } from "../../src/host/plan/iptables_rules.ts";
import type { NftTable } from "../../src/host/plan/nft_json.ts";
import type { HostInterfaces } from "../../src/routes/plan/uplink.ts";

/** A host in memory: carries operations out, and fails where the kernel would. */
export class FakeHostNetwork implements HostNetwork {
  /** How the host is; tests change it as others would. */
  state: HostState;
  /** How often the host was read. */
  reads = 0;
  /** What was asked for, as commands. */
  readonly asked: string[] = [];
  /** Operations that fail, by kind. */
  readonly failing = new Set<HostOperation["kind"]>();
  /** Notified at every read. */
  readonly wasRead = new Notifier();
  /** Holds every read back until it resolves. */
  gate: Promise<void> = Promise.resolve();
  readonly #announced = new Notifier();

  constructor(state: HostState) {
    this.state = state;
  }

  readInterfaces(): Promise<HostInterfaces> {
    return Promise.resolve(this.#interfaces);
  }

  sourceToward(destination: Address): Promise<Address | undefined> {
    const held = this.#interfaces.links.flatMap(({ addresses }) => addresses)
      .find(({ prefix }) => containsAddress(prefix, destination));
    return Promise.resolve(held?.address);
  }

  async read(): Promise<HostState> {
    this.reads++;
    this.wasRead.notify();
    await this.gate;
    return this.state;
  }

  readSourceNat(): Promise<NftTable[]> {
    return Promise.resolve([...this.state.tables ?? []]);
  }

  apply(operations: readonly HostOperation[]): Promise<HostOutcome[]> {
    return Promise.resolve(operations.map((operation) => {
      this.asked.push(formatOperation(operation));
      const error = this.failing.has(operation.kind)
        ? "it was told to fail"
        : this.#carryOut(operation);
      return { operation, ...(error !== undefined && { error }) };
    }));
  }

  async *monitor({ signal }: HostMonitorOptions): AsyncGenerator<void> {
    const end = () => this.#announced.notify();
    signal.addEventListener("abort", end);
    while (!signal.aborted) {
      await this.#announced.notified();
      if (!signal.aborted) yield;
    }
    signal.removeEventListener("abort", end);
  }

  /** Says that packet filters have changed. */
  announce(): void {
    this.#announced.notify();
  }

  /** Puts a chain of iptables, as `iptables -S` prints it, in place of what there was. */
  setForward(...lines: string[]): void {
    const parsed = parseIptablesRules(lines.join("\n"));
    const chains = new Map(parsed.map((chain) => [chain.name, chain]));
    this.state = {
      ...this.state,
      filters: [{
        tool: "iptables-nft",
        family: "ip",
        table: "filter",
        chain: chains.get("FORWARD")!,
        chains,
      }],
    };
  }

  /** How the host is, as lines. */
  describe(): string[] {
    return [
      ...this.#interfaces.links.map(({ name, isUp, mtuBytes, addresses }) =>
        [
          name,
          isUp ? "up" : "down",
          mtuBytes,
          ...addresses.map(({ address, prefix }) =>
            `${formatAddress(address)}/${prefix.length}`
          ).sort(),
        ].join(" ")
      ),
      ...[...this.state.sysctls].map((pair) => pair.join("=")),
      ...(this.state.tables ?? []).flatMap(({ chains }) =>
        chains.flatMap(({ rules }) => rules.map(({ text }) => text))
      ),
      ...(this.state.filters ?? []).flatMap(({ chain }) =>
        chain.rules.map(({ id }) => id)
      ),
    ];
  }

  get #interfaces(): HostInterfaces {
    return this.state.interfaces ?? { links: [], defaultRoutes: [] };
  }

  #carryOut(operation: HostOperation): string | undefined {
    switch (operation.kind) {
      case "create_bridge": {
        const { name } = operation;
        const link: HostLink = {
          name,
          kind: "bridge",
          isUp: false,
          mtuBytes: 1500,
          addresses: [],
        };
        const { links } = this.#interfaces;
        if (links.some((other) => other.name === name)) return "File exists";
        return this.#setLinks([...links, link]);
      }
      case "delete_bridge": {
        const { name } = operation;
        const { links } = this.#interfaces;
        const rest = links.filter((link) => link.name !== name);
        return rest.length === links.length
          ? `Cannot find device "${name}"`
          : this.#setLinks(rest);
      }
      case "set_up":
        return this.#setLink(operation.name, { isUp: true });
      case "set_mtu":
        return this.#setLink(operation.name, { mtuBytes: operation.mtuBytes });
      case "add_address":
      case "delete_address":
        return this.#setAddress(operation);
      case "set_sysctl": {
        const { path, value } = operation;
        if (!this.state.sysctls.has(path)) return "No such file or directory";
        const sysctls = new Map([...this.state.sysctls, [path, value]]);
        this.state = { ...this.state, sysctls };
        return undefined;
      }
      case "replace_table":
        return this.#setTable(operation.rules);
      case "delete_table":
        if (this.state.tables?.length === 0) return "No such file or directory";
        this.state = { ...this.state, tables: [] };
        return undefined;
      case "add_rule":
      case "delete_rule":
        return this.#setRule(operation);
    }
  }

  #setLinks(links: readonly HostLink[]): undefined {
    const interfaces = { ...this.#interfaces, links };
    this.state = { ...this.state, interfaces };
  }

  #setLink(name: string, changes: Partial<HostLink>): string | undefined {
    const { links } = this.#interfaces;
    if (!links.some((link) => link.name === name)) {
      return `Cannot find device "${name}"`;
    }
    return this.#setLinks(
      links.map((link) => link.name === name ? { ...link, ...changes } : link),
    );
  }

  #setAddress(
    { kind, name, address }: HostOperation & {
      readonly kind: `${string}_address`;
    },
  ): string | undefined {
    const held = this.#interfaces.links.find((link) => link.name === name)
      ?.addresses ?? [];
    const isHeld = held.some((other) => isSame(other, address));
    const added = { ...address, scope: "global", isTransient: false };
    if (kind === "add_address") {
      return isHeld
        ? "File exists"
        : this.#setLink(name, { addresses: [...held, added] });
    }
    return isHeld
      ? this.#setLink(name, {
        addresses: held.filter((other) => !isSame(other, address)),
      })
      : "Cannot assign requested address";
  }

  #setTable(rules: readonly string[]): undefined {
    const chain = {
      name: "postrouting",
      base: {
        type: "nat",
        hook: "postrouting",
        priority: 100,
        policy: "accept",
      },
      rules: rules.map((text, i) => ({
        id: String(i),
        text,
        comment: "stellar-net",
      })),
    } as const;
    const table = { family: "inet", name: "stellar-net", chains: [chain] };
    this.state = { ...this.state, tables: [table] };
  }

  #setRule(change: ForwardChange): string | undefined {
    const filters = [...this.state.filters ?? []];
    const at = filters.findIndex(({ family, chain }) =>
      family === change.filter.family && chain.name === change.filter.chain.name
    );
    const filter = filters[at];
    if (!filter) return "No chain/target/match by that name";
    const rules = [...filter.chain.rules];
    if (change.kind === "delete_rule") {
      const index = rules.findIndex(({ id }) => id === change.rule.id);
      if (index < 0) return "Bad rule (does a matching rule exist?)";
      rules.splice(index, 1);
    } else {
      const place = change.before?.place ?? rules.length + 1;
      if (place > rules.length + 1) return "Index of insertion too big";
      const { args } = hostCommand(change);
      const [rule] = parseIptablesRules(
        ["-P FORWARD DROP", `-A FORWARD ${spec(args)}`].join("\n"),
      )[0]!.rules;
      if (rule!.text !== formatAcceptRule(filter.tool, change.rule)) {
        return `it would be listed as "${rule!.text}"`;
      }
      rules.splice(place - 1, 0, rule!);
    }
    filters[at] = withRules(filter, rules);
    this.state = { ...this.state, filters };
    return undefined;
  }
}

/** The rule in the arguments of iptables, as it prints it. */
function spec(args: readonly string[]): string {
  const at = args.indexOf("FORWARD");
  const words = args.slice(args[at - 1] === "-I" ? at + 2 : at + 1);
  return words.map((word) => word.includes(" ") ? `"${word}"` : word)
    .join(" ");
}

function withRules(
  filter: ForwardFilter,
  rules: ForwardFilter["chain"]["rules"],
): ForwardFilter {
  const chain = { ...filter.chain, rules };
  return {
    ...filter,
    chain,
    chains: new Map([...filter.chains, [chain.name, chain]]),
  };
}
