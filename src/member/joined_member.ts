import { getLogger } from "@logtape/logtape";
import { Allocators } from "../addresses/allocators.ts";
import { deleteAddresses, noPages, takeOver } from "../addresses/handover.ts";
import { NetError } from "../base/error.ts";
import { formatPrefix, type Prefix } from "../net/prefix.ts";
import {
  announceLeave,
  type JoinAnswer,
  type NodePlace,
  type RegistryPeer,
} from "../registry/peer.ts";
import type { JoinRequest } from "../registry/plan/join_plan.ts";
import type { ClusterConfig } from "../registry/plan/cluster_state.ts";
import {
  MAX_LOCAL_PREFIXES,
  relevantPrefixes,
} from "../registry/plan/local_prefixes.ts";
import { type ClusterEvent, ClusterView } from "../registry/feed.ts";
import { poolKey, readPool } from "../state/address_records.ts";
import type { Key, Store } from "../store/store.ts";
import { type ContactWait, FirstContact } from "./first_contact.ts";
import { JoinLoop, type JoinLoopListener } from "./join_loop.ts";
import type { RegistryLink } from "./link.ts";
import {
  cannotHandOut,
  type HostFacts,
  type Member,
  type MemberOptions,
} from "./member.ts";
import { ClusterSnapshot } from "./snapshot.ts";

/** The reason why the registry fenced this node. It outlives a restart. */
const FENCED_KEY: Key = ["agent", "fenced"];

/** The problem of a registry that has neither answered nor failed to. */
const NOT_ANSWERED = "it has not answered yet";

const log = getLogger(["stellar-net", "agent", "join"]);

export interface JoinedMemberOptions extends MemberOptions {
  /** The agent's own store. */
  readonly store: Store;
  /** Agents that host the registry, tried in turn. */
  readonly peers: readonly RegistryPeer[];
  /** Time for which a released address cools down, in ms. */
  readonly coolDownMs: number;
  /** The time for which this agent has been running, in ms. Default: the process's. */
  readonly runningMs?: () => number;
  readonly random: () => number;
  /**
   * Makes this machine that of the state, which was made on another one. Called
   * when a registry admits the node; until then it hands out no addresses.
   * Absent: the state is of this machine.
   */
  readonly acceptMachine?: () => Promise<void>;
}

/**
 * The membership of an agent that has joined a registry. It keeps what the
 * registry told it in its own store: when no registry answers, it hands out
 * addresses and knows its routes, also after a restart.
 */
export class JoinedMember implements Member, JoinLoopListener {
  readonly view: ClusterView;
  readonly allocators: Allocators;
  readonly #options: JoinedMemberOptions;
  readonly #snapshot: ClusterSnapshot;
  #subnets: readonly Prefix[];
  #facts: HostFacts = { advertised: [], apiUrl: "", localPrefixes: [] };
  #link: RegistryLink;
  #heardAtMs: number | undefined;
  #loop: JoinLoop | undefined;
  readonly #contact: FirstContact;
  /** The last logged problem of each registry since the last join, by URL. */
  readonly #losses = new Map<string, string>();
  #onChange: () => void = () => {};
  /** Makes this machine that of the state; undefined when it is. */
  #acceptMachine: (() => Promise<void>) | undefined;

  private constructor(
    options: JoinedMemberOptions,
    loaded: {
      readonly view: ClusterView;
      readonly snapshot: ClusterSnapshot;
      readonly subnets: readonly Prefix[];
      readonly fenced: string;
    },
  ) {
    const { node, peers, now } = options;
    this.#options = options;
    this.#acceptMachine = options.acceptMachine;
    this.view = loaded.view;
    this.#snapshot = loaded.snapshot;
    this.#subnets = loaded.subnets;
    this.#contact = new FirstContact(peers.map(({ url }) => url));
    this.allocators = new Allocators({
      ...options,
      keeps: (asked) =>
        Promise.resolve(asked === node && this.#subnets.length > 0),
    });
    this.#link = {
      state: loaded.fenced === "" ? "unreachable" : "fenced",
      sinceMs: now(),
      problem: loaded.fenced || NOT_ANSWERED,
      url: "",
      urls: peers.flatMap(({ url }) => url || []),
    };
  }

  /** Starts with what the store holds from the last time. */
  static async open(options: JoinedMemberOptions): Promise<JoinedMember> {
    const { store, node } = options;
    const view = new ClusterView();
    const pool = await store.get(poolKey(node));
    const fenced = await store.get(FENCED_KEY);
    return new JoinedMember(options, {
      view,
      snapshot: await ClusterSnapshot.load(store, view),
      subnets: pool ? readPool(pool).map(({ subnet }) => subnet) : [],
      fenced: typeof fenced?.value === "string" ? fenced.value : "",
    });
  }

  get cluster(): ClusterConfig | undefined {
    return this.#snapshot.config;
  }

  get heardAtMs(): number | undefined {
    return this.#heardAtMs;
  }

  get link(): RegistryLink {
    return this.isCopy ? { ...this.#link, isCopy: true } : this.#link;
  }

  /** Whether the state was made on another machine, and no registry has accepted this one. */
  get isCopy(): boolean {
    return this.#acceptMachine !== undefined;
  }

  get subnets(): readonly Prefix[] {
    return this.#subnets;
  }

  get isKnown(): boolean {
    return this.#subnets.length > 0 || this.#link.state !== "unreachable";
  }

  checkPresent(): void {
    const { state, isCopy } = this.link;
    if (isCopy || state === "left" || state === "fenced") throw this.#refusal();
  }

  contacted(wait: ContactWait): Promise<void> {
    return this.#contact.wait(wait);
  }

  claim(): Promise<readonly Prefix[]> {
    return Promise.try(() => {
      this.checkPresent();
      if (this.#subnets.length > 0) return this.#subnets;
      throw this.#refusal();
    });
  }

  #refusal(): NetError {
    const hasSubnets = this.#subnets.length > 0;
    return cannotHandOut(this.#options.node, this.link, hasSubnets);
  }

  async checkClaim(): Promise<void> {
    await this.claim();
  }

  current(): Promise<ClusterView> {
    return Promise.resolve(this.view);
  }

  placeOf(node: string): Promise<NodePlace> {
    if (node === this.#options.node) return Promise.resolve({ kind: "here" });
    const url = this.view.nodes.get(node)?.apiUrl ?? "";
    return Promise.resolve(
      url === "" ? { kind: "registry" } : { kind: "agent", url },
    );
  }

  report(facts: HostFacts): Promise<void> {
    this.#facts = facts;
    this.#loop?.joinAgain();
    return Promise.resolve();
  }

  beatSoon(): void {
    this.#loop?.beatSoon();
  }

  reconnect(): void {
    this.#loop?.reconnect();
  }

  start(onChange: () => void): void {
    this.#onChange = onChange;
    onChange();
    this.#loop = new JoinLoop({ ...this.#options, listener: this });
  }

  async stop(): Promise<void> {
    this.#contact.note();
    await this.#loop?.stop();
    await this.#saveView();
  }

  async leave(
    { force }: { readonly force: boolean },
  ): Promise<readonly Prefix[]> {
    const { node, store, peers } = this.#options;
    if (this.#link.state === "left") return [];
    await this.#loop?.stop();
    let isFreed = false;
    try {
      isFreed = await announceLeave(peers, this.#options, this.#link.url);
    } catch (error) {
      if (!force) {
        this.#loop = new JoinLoop({ ...this.#options, listener: this });
        throw error;
      }
      log.warn("Leaving without telling the registry: {error}", { error });
    }
    // Those of a fenced node may be another's.
    const freed = isFreed ? this.#subnets : [];
    const allocator = await this.allocators.find(node);
    this.#setLink({ state: "left", problem: "" });
    await allocator?.releaseAll(() => true, {
      cause: "node gone",
      text: "its node has left the cluster",
    });
    await allocator?.exclusive(async () => {
      await store.commit({ deletes: [poolKey(node), FENCED_KEY] });
    });
    await deleteAddresses(store, node);
    this.#subnets = [];
    await this.allocators.drop(node);
    this.view.clear();
    await this.#snapshot.clear();
    this.#options.onLeft?.();
    this.#onChange();
    return freed;
  }

  request(): JoinRequest {
    const { node, instanceId, processId } = this.#options;
    const { localPrefixes } = this.#facts;
    const networks = this.cluster?.networks;
    return {
      node,
      instanceId,
      ...this.#facts,
      // Before the first join the networks are not known.
      localPrefixes: networks
        ? relevantPrefixes(networks, this.#subnets, localPrefixes)
        : localPrefixes.slice(0, MAX_LOCAL_PREFIXES),
      heldSubnets: this.#subnets,
      clusterId: this.cluster?.clusterId ?? "",
      ...processId !== undefined && { processId },
      revision: this.view.revision,
    };
  }

  async onJoined(
    peer: RegistryPeer,
    answer: JoinAnswer,
    signal: AbortSignal,
  ): Promise<void> {
    const { node, store, now } = this.#options;
    const { clusterId, networks, subnets } = answer;
    this.#losses.clear();
    if (this.cluster?.clusterId !== clusterId) {
      await this.#snapshot.saveConfig({
        clusterId,
        networks,
        createdAtMs: now(),
      });
    }
    if (this.#subnets.length === 0) {
      const pages = answer.hasHandover
        ? peer.handover(this.#options, signal)
        : noPages();
      this.#subnets = await takeOver(store, node, { subnets, pages });
    }
    if (answer.hasHandover) await peer.finishHandover(this.#options, signal);
    await this.#acceptMachine?.();
    this.#acceptMachine = undefined;
    if (this.#link.state === "fenced") {
      await store.commit({ deletes: [FENCED_KEY] });
    }
    const state = peer.url === "" ? "hosted" : "joined";
    if (this.#link.state !== state || this.#link.url !== peer.url) {
      log.info("Joined through {url} with {subnets}", {
        url: peer.url || "this agent",
        subnets: this.#subnets.map(formatPrefix).join(" and "),
      });
    }
    this.#setLink({ state, problem: "", url: peer.url });
    this.#contact.note();
  }

  onHeard(): void {
    this.#heardAtMs = this.#options.now();
  }

  onEvent(event: ClusterEvent): void {
    if (event.trust) this.#options.onTrust?.(event.trust);
    this.view.apply(event);
    this.#onChange();
    void this.#saveView();
  }

  onLost(peer: RegistryPeer, error: NetError): void {
    const { cause, message } = error;
    const { url } = peer;
    // The agent's security has logged the reason.
    const lacksCertificate = cause instanceof NetError &&
      cause.code === "unauthenticated";
    if (!lacksCertificate && this.#losses.get(url) !== message) {
      log.warn("Cannot follow the registry at {url}, trying again: {error}", {
        url: url || "this agent",
        error: message,
      });
      this.#losses.set(url, message);
    }
    // The first attempt may come before the first certificate.
    if (!lacksCertificate) this.#contact.noteFailure(url);
    // A node stays fenced until a registry admits it.
    if (this.#link.state === "fenced") return;
    const { reason } = error.details;
    this.#setLink({ state: "unreachable", problem: error.message, reason });
  }

  async onRefused(peer: RegistryPeer, error: NetError): Promise<void> {
    const { url } = peer;
    const problem = error.message;
    if (problem !== this.#link.problem) {
      log.error("{url} refuses this node: {problem}", { url, problem });
    }
    this.#setLink({ state: "fenced", problem, url });
    this.#contact.note();
    if (this.#subnets.length === 0) return;
    try {
      const puts = [{ key: FENCED_KEY, value: problem }];
      await this.#options.store.commit({ puts });
    } catch (error) {
      log.error("Cannot save that this node is fenced: {error}", { error });
    }
  }

  /** Saves the cluster as it looks now. If that fails, the next change tries again. */
  async #saveView(): Promise<void> {
    try {
      await this.#snapshot.save(this.view);
    } catch (error) {
      log.warn("Cannot save the cluster as it looks now: {error}", { error });
    }
  }

  #setLink(
    link: Pick<RegistryLink, "state" | "problem" | "reason"> & {
      readonly url?: string;
    },
  ): void {
    const isSame = link.state === this.#link.state;
    const sinceMs = isSame ? this.#link.sinceMs : this.#options.now();
    this.#link = { ...this.#link, reason: undefined, ...link, sinceMs };
    this.#onChange();
  }
}
