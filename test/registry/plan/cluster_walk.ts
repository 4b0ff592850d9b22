import assert from "node:assert/strict";
import { formatPrefix } from "../../../src/net/prefix.ts";
import {
  type Allowed,
  ClusterModel,
  type ModelNetwork,
} from "./cluster_model.ts";
import { Cluster } from "./clusters.ts";

/** Eight slices of IPv4. */
export const V4: ModelNetwork = {
  slices: [0, 32, 64, 96, 128, 160, 192, 224].map((n) => `10.0.0.${n}/27`),
};
/** Four slices of IPv6. */
export const V6: ModelNetwork = {
  slices: [
    "fd00::/64",
    "fd00:0:0:1::/64",
    "fd00:0:0:2::/64",
    "fd00:0:0:3::/64",
  ],
};

/** What hosts use themselves, and the slices that it covers. */
export const COVERS: Readonly<Record<string, readonly string[]>> = {
  "10.0.0.0/25 docker0": V4.slices.slice(0, 4),
  "10.0.0.64/27 cni0": V4.slices.slice(2, 3),
  "10.0.0.170/32 vip0": V4.slices.slice(5, 6),
  "10.0.0.0/8 wide0": V4.slices,
  "fd00:0:0:1::/64 eth1": V6.slices.slice(1, 2),
  "192.168.0.0/16 eth0": [],
};

/** The registry's own node, which reports and never joins. */
export const SELF = "self";
export const NAMES = ["a", "b", "c", "d", SELF];

/** A host with its state: its name, its id, and the subnets that it believes to have. */
interface Host {
  readonly node: string;
  readonly instanceId: string;
  held: readonly string[];
  /** Copies of its state, to be restored. */
  readonly earlier: (readonly string[])[];
}

/** Two of these hosts have one name. */
export const HOSTS = [["a", "1"], ["a", "2"], ["b", "3"], ["c", "4"], [
  "d",
  "5",
]]
  .map(([node, instanceId]) => ({ node: node!, instanceId: instanceId! }));

/** A model and the plans side by side: the model records the decisions of the plans, and refuses wrong ones. */
export class ClusterWalk {
  readonly #cluster: Cluster;
  readonly #model: ClusterModel;
  readonly #hosts: readonly Host[] = HOSTS.map((host) => ({
    ...host,
    ...{ held: [], earlier: [[]] },
  }));
  #at = 0;

  constructor(networks: readonly ModelNetwork[]) {
    const both = networks.length === 2;
    const v4: [string, number] = ["10.0.0.0/24", 27];
    const v6: [string, number] = ["fd00::/62", 64];
    this.#cluster = both ? new Cluster(v4, v6) : new Cluster(v4);
    this.#model = new ClusterModel(networks, COVERS);
  }

  claim(node: string): void {
    const subnets = this.#judge(
      this.#cluster.claim(node),
      this.#model.allowClaim(node),
    );
    if (subnets) this.#model.claimed(node, subnets, ++this.#at);
  }

  join(index: number, prefixes: readonly string[]): void {
    const host = this.#hosts[index]!;
    const request = { ...host, prefixes };
    const subnets = this.#judge(
      this.#cluster.join(host.node, request),
      this.#model.allowJoin(request),
    );
    if (!subnets) return;
    this.#model.joined(request, subnets, ++this.#at);
    host.held = subnets;
    host.earlier.push(subnets);
  }

  /** A host's disk is replaced by a copy from some time ago. */
  restore(index: number, copy: number): void {
    const host = this.#hosts[index]!;
    host.held = host.earlier[copy % host.earlier.length]!;
  }

  /** A host leaves by itself, or drops what it has when nobody wants it. */
  leave(index: number): void {
    const host = this.#hosts[index]!;
    const known = this.#model.nodes.get(host.node);
    const answer = this.#cluster.remove(host.node, {
      ...{ instanceId: host.instanceId, isAlive: true },
    });
    const refusal = !known
      ? "not_found"
      : known.instanceId === host.instanceId
      ? undefined
      : "already_exists";
    assert.equal(codeOf(answer), refusal);
    if (refusal === undefined) this.#model.removed(host.node, ++this.#at);
    host.held = [];
  }

  remove(node: string, isAlive: boolean, force: boolean): void {
    const answer = this.#cluster.remove(node, { isAlive, force });
    const refusal = !this.#model.nodes.has(node)
      ? "not_found"
      : isAlive && !force
      ? "failed_precondition"
      : undefined;
    assert.equal(codeOf(answer), refusal);
    if (refusal === undefined) this.#model.removed(node, ++this.#at);
  }

  release(node: string): void {
    const known = this.#model.nodes.get(node);
    const answer = this.#cluster.release(node);
    const has = (known?.subnets.length ?? 0) > 0;
    assert.equal(codeOf(answer), has ? undefined : "not_found");
    if (has) this.#model.released(node, ++this.#at);
  }

  reserve(slice: string, node: string): void {
    const answer = this.#cluster.reserve(slice, node);
    const isOwned = this.#model.slices.get(slice)?.state === "owned";
    assert.equal(codeOf(answer), isOwned ? "failed_precondition" : undefined);
    if (!isOwned) this.#model.reserved(slice, node, ++this.#at);
  }

  unreserve(slice: string): void {
    assert.equal(this.#cluster.unreserve(slice), "ok");
    this.#model.unreserved(slice);
  }

  report(prefixes: readonly string[]): void {
    assert.equal(this.#cluster.report(SELF, ...prefixes), "ok");
    this.#model.reported(SELF, prefixes);
  }

  /** Checks that nothing belongs to two, and that the plans and the model agree on all of it. */
  check(): void {
    const { state } = this.#cluster;
    const owned = [...state.nodes.values()].flatMap(({ name, subnets }) =>
      subnets.map((subnet) => `${formatPrefix(subnet)} ${name}`)
    );
    const slices = owned.map((line) => line.split(" ")[0]);
    assert.equal(new Set(slices).size, slices.length, owned.join(", "));
    const records = state.networks.flatMap((network) =>
      [...network.entries()].map(([index, record]) => {
        const { slices } = this.#model
          .networks[state.networks.indexOf(network)]!;
        return `${slices[Number(index)]} ${record.state} ${record.node}`;
      })
    );
    assert.deepEqual(
      records.filter((line) => line.includes(" owned "))
        .map((line) => line.replace(" owned", "")).sort(),
      owned.sort(),
    );
    assert.deepEqual(
      records.sort(),
      [...this.#model.slices].map(([slice, { state, node }]) =>
        `${slice} ${state} ${node}`
      ).sort(),
    );
    assert.deepEqual(
      [...state.nodes.values()].map((node) => [
        node.name,
        node.instanceId,
        ...node.subnets.map(formatPrefix),
      ]).sort(),
      [...this.#model.nodes].map(([name, { instanceId, subnets }]) => [
        ...[name, instanceId, ...subnets],
      ]).sort(),
    );
  }

  /** The subnets that were given, where the rules allow them; undefined where both refuse. */
  #judge(answer: string, allowed: Allowed): readonly string[] | undefined {
    const code = codeOf(answer);
    if ("refused" in allowed) {
      assert.equal(code, allowed.refused, answer);
      return undefined;
    }
    assert.equal(code, undefined, answer);
    const subnets = answer.split(" ");
    assert.equal(subnets.length, allowed.given.length);
    allowed.given.forEach((choices, i) =>
      assert.ok(choices.includes(subnets[i]!), `${answer}: not of ${choices}`)
    );
    return subnets;
  }

  isWithoutAgent(node: string): boolean {
    return node === SELF ||
      (this.#model.nodes.get(node)?.instanceId ?? "") === "";
  }
}

/** The code of a refusal, undefined for an answer. */
function codeOf(answer: string): string | undefined {
  return /^([a-z_]+): /.exec(answer)?.[1];
}
