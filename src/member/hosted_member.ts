import { getLogger } from "@logtape/logtape";
import type { Allocators } from "../addresses/allocators.ts";
import { BackOff, followWatch } from "../base/retry.ts";
import type { Prefix } from "../net/prefix.ts";
import type { RegistryHost } from "../registry/host.ts";
import type { NodePlace } from "../registry/peer.ts";
import type { ClusterConfig } from "../registry/plan/cluster_state.ts";
import { ClusterView } from "../registry/feed.ts";
import type { ClaimWait } from "../registry/returning_nodes.ts";
import type { RegistryLink } from "./link.ts";
import {
  cannotHandOut,
  type HostFacts,
  type Member,
  type MemberOptions,
} from "./member.ts";

/** Wait before the registry is watched again, in ms. */
const REWATCH_MS = 500;

const log = getLogger(["stellar-net", "agent", "registry"]);

export interface HostedMemberOptions extends MemberOptions {
  readonly host: RegistryHost;
}

/** The membership of an agent that hosts the registry alone, with its own addresses in the same store. */
export class HostedMember implements Member {
  readonly view = new ClusterView();
  readonly isKnown = true;
  readonly isCopy = false;
  readonly #options: HostedMemberOptions;
  readonly #stop = new AbortController();
  #following: Promise<void> = Promise.resolve();
  #link: RegistryLink;
  #onChange: () => void = () => {};

  constructor(options: HostedMemberOptions) {
    this.#options = options;
    this.#link = {
      state: "hosted",
      sinceMs: options.now(),
      problem: "",
      url: "",
      urls: [],
    };
    options.host.beforeJoin = async () => {
      // A node that comes back does not wait for others to come back.
      if (this.#link.state !== "left") await this.#claim({ maxWaitMs: 0 });
    };
  }

  get cluster(): ClusterConfig {
    return this.#options.host.cluster;
  }

  get allocators(): Allocators {
    return this.#options.host.allocators;
  }

  /** It has the registry itself. */
  get heardAtMs(): number {
    return this.#options.now();
  }

  get link(): RegistryLink {
    return this.#link;
  }

  get subnets(): readonly Prefix[] {
    return this.view.nodes.get(this.#options.node)?.subnets ?? [];
  }

  checkPresent(): void {
    if (this.#link.state !== "left") return;
    throw cannotHandOut(this.#options.node, this.#link, false);
  }

  contacted(): Promise<void> {
    return Promise.resolve();
  }

  claim(): Promise<readonly Prefix[]> {
    return this.#claim();
  }

  async checkClaim(): Promise<void> {
    this.checkPresent();
    const { host, node } = this.#options;
    await host.registry.checkClaim(node);
  }

  async current(): Promise<ClusterView> {
    const view = new ClusterView();
    view.apply(await this.#options.host.nodes.snapshot());
    return view;
  }

  async placeOf(node: string): Promise<NodePlace> {
    return node === this.#options.node
      ? { kind: "here" }
      : await this.#options.host.placeOf(node);
  }

  async report(facts: HostFacts): Promise<void> {
    if (this.#link.state === "left") return;
    const { host, node, instanceId } = this.#options;
    await host.registry.report({ node, instanceId, ...facts });
  }

  start(onChange: () => void): void {
    this.#onChange = onChange;
    this.#following = this.#follow();
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    this.#options.host.returning.stop();
    await this.#following;
  }

  async leave(): Promise<readonly Prefix[]> {
    const { host, node, instanceId, now } = this.#options;
    const known = await host.registry.node(node);
    const subnets = known
      ? await host.pools.remove({ node, instanceId, force: true })
      : [];
    this.#link = { ...this.#link, state: "left", sinceMs: now() };
    this.#onChange();
    return subnets;
  }

  async #claim(wait: ClaimWait = {}): Promise<readonly Prefix[]> {
    this.checkPresent();
    const { host, node } = this.#options;
    return await host.registry.claim(node, wait);
  }

  #follow(): Promise<void> {
    const { host, metrics, onTrust } = this.#options;
    const { signal } = this.#stop;
    return followWatch({
      signal,
      backOff: new BackOff({ firstMs: REWATCH_MS }),
      open: () => host.nodes.watch(signal),
      onEvent: (event) => {
        if (event.trust) onTrust?.(event.trust);
        this.view.apply(event);
        this.#onChange();
      },
      onFailure: (error) => {
        log.debug("Watching the registry again: {error}", { error });
        metrics?.watchRestarted();
      },
    });
  }
}
