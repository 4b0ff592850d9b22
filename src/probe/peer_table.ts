import { Peer, type ProberNode } from "./peer.ts";
import type { ProbedNode } from "./plan/peers.ts";
import { nextSample, ringNeighbours } from "./plan/schedule.ts";
import { nodeId } from "./seal.ts";

/** Rounds after which a peer that was sampled and did not answer is asked again. */
const SAMPLE_TRIES = 3;

/** The cluster as the prober needs it. */
export interface ProberView {
  /** Empty before this node is a part of a cluster. */
  readonly clusterId: string;
  readonly self: ProbedNode;
  /** All nodes by name, with this one or without. */
  readonly nodes: ReadonlyMap<string, ProberNode>;
  /** Another number after each change of the nodes. */
  readonly version: number;
}

/** The peers of a view: the other nodes that have an agent. */
export function peersOf({ self, nodes }: ProberView): ProberNode[] {
  return [...nodes.values()].filter((node) =>
    node.name !== self.name && node.state !== "no agent" &&
    node.advertised.length > 0
  );
}

/** The peers of this host in the order of their names, and those among them whose turn it is. */
export class PeerTable {
  readonly #byName = new Map<string, Peer>();
  readonly #byId = new Map<bigint, Peer>();
  #all: readonly Peer[] = [];
  #neighbours: readonly Peer[] = [];
  #selfId = 0n;
  /** The view that the peers were read from. */
  #read: ProberView | undefined;
  #sample = { name: "", tries: 0 };

  get all(): readonly Peer[] {
    return this.#all;
  }

  /** Those that get requests in every round. */
  get neighbours(): readonly Peer[] {
    return this.#neighbours;
  }

  /** The id of this host in packets. */
  get selfId(): bigint {
    return this.#selfId;
  }

  /** The peer that has an id in packets. */
  withId(id: bigint): Peer | undefined {
    return this.#byId.get(id);
  }

  /**
   * Takes the peers of a view. The path to a peer is measured anew in another cluster.
   *
   * @param nowMs uptime in ms
   * @param sinceMs the time in ms since 1970
   * @returns the peers that are gone
   */
  update(
    view: ProberView,
    times: { readonly nowMs: number; readonly sinceMs: number },
  ): Peer[] {
    const { clusterId, self, version } = view;
    const isSameCluster = this.#read?.clusterId === clusterId;
    if (isSameCluster && this.#read?.version === version) return [];
    this.#read = view;
    this.#selfId = nodeId(clusterId, self.name);
    const nodes = clusterId === "" ? [] : peersOf(view);
    const names = new Set(nodes.map(({ name }) => name));
    const gone = this.#all.filter(({ name }) =>
      !isSameCluster || !names.has(name)
    );
    for (const { name, id } of gone) {
      this.#byName.delete(name);
      this.#byId.delete(id);
    }
    const neighbours = new Set(ringNeighbours(self.name, names));
    for (const node of nodes) {
      const known = this.#byName.get(node.name);
      known?.update(node);
      const peer = known ??
        new Peer(node, { id: nodeId(clusterId, node.name), ...times });
      peer.isNeighbour = neighbours.has(node.name);
      this.#byName.set(node.name, peer);
      this.#byId.set(peer.id, peer);
    }
    this.#all = [...names].sort().map((name) => this.#byName.get(name)!);
    this.#neighbours = this.#all.filter(({ isNeighbour }) => isNeighbour);
    return gone;
  }

  /** The peer to sample in this round: the same one a few rounds long if it does not answer. */
  takeSample(nowMs: number): Peer | undefined {
    const last = this.#byName.get(this.#sample.name);
    const isOpen = last !== undefined && !last.isNeighbour &&
      last.path.isSilent(nowMs) && this.#sample.tries < SAMPLE_TRIES;
    if (isOpen) {
      this.#sample.tries++;
      return last;
    }
    const name = nextSample(this.#sample.name, {
      peers: this.#all.map(({ name }) => name),
      neighbours: new Set(this.#neighbours.map(({ name }) => name)),
    });
    if (name === undefined) return undefined;
    this.#sample = { name, tries: 1 };
    return this.#byName.get(name);
  }
}
