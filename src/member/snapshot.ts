import type {
  ClusterConfig,
  RouteRecord,
} from "../registry/plan/cluster_state.ts";
import { formatPrefix } from "../net/prefix.ts";
import {
  deleteAll,
  type JsonValue,
  type Key,
  type Store,
} from "../store/store.ts";
import { Batch } from "../ledger/model.ts";
import {
  configValue,
  nodeValue,
  readConfig,
  readNode,
  readRoute,
  routeValue,
} from "../state/cluster_records.ts";
import type { ClusterNode, ClusterView } from "../registry/feed.ts";
import { readEntryValue } from "../state/read_entry.ts";

const PREFIX: Key = ["snapshot"];
const CONFIG_KEY: Key = ["snapshot", "config"];

/**
 * The cluster as it was last seen, in the agent's own store. It is the source
 * of subnets and routes when no registry answers. It leaves out what changes by
 * the second, such as liveness.
 */
export class ClusterSnapshot {
  readonly #store: Store;
  /** The stored entries: key to value, both as JSON. */
  readonly #stored = new Map<string, string>();
  #config: ClusterConfig | undefined;
  #saving: Promise<void> | undefined;
  #isStale = false;

  private constructor(store: Store) {
    this.#store = store;
  }

  /** Reads the snapshot into a view. */
  static async load(
    store: Store,
    view: ClusterView,
  ): Promise<ClusterSnapshot> {
    const snapshot = new ClusterSnapshot(store);
    const nodes: ClusterNode[] = [];
    const routes: RouteRecord[] = [];
    let revision = 0;
    for await (const entry of store.list(PREFIX)) {
      const { key, value } = entry;
      snapshot.#stored.set(JSON.stringify(key), JSON.stringify(value));
      const name = String(key[2]);
      readEntryValue(entry, () => {
        if (key[1] === "revision") revision = Number(value);
        if (key[1] === "config") snapshot.#config = readConfig(value);
        if (key[1] === "node") nodes.push(viewOf(name, value));
        if (key[1] === "route") routes.push(readRoute(name, value));
      });
    }
    view.apply({
      revision,
      isSnapshot: true,
      nodes,
      routes,
      removedNodes: [],
      removedRoutes: [],
    });
    return snapshot;
  }

  /** The cluster's configuration; undefined when none was seen. */
  get config(): ClusterConfig | undefined {
    return this.#config;
  }

  async saveConfig(config: ClusterConfig): Promise<void> {
    this.#config = config;
    await this.#write(
      new Map([[JSON.stringify(CONFIG_KEY), configValue(config)]]),
    );
  }

  /** Saves a view. Concurrent calls are one. */
  save(view: ClusterView): Promise<void> {
    this.#isStale = true;
    return this.#saving ??= this.#save(view).finally(() =>
      this.#saving = undefined
    );
  }

  async clear(): Promise<void> {
    await this.#saving;
    await deleteAll(this.#store, PREFIX);
    this.#stored.clear();
    this.#config = undefined;
  }

  async #save(view: ClusterView): Promise<void> {
    while (this.#isStale) {
      this.#isStale = false;
      const changed = new Map<string, JsonValue | undefined>();
      for (const [key, value] of valuesOf(view)) {
        if (this.#stored.get(key) !== JSON.stringify(value)) {
          changed.set(key, value);
        }
      }
      const config = JSON.stringify(CONFIG_KEY);
      for (const key of this.#stored.keys()) {
        const isThere = key === config || hasKey(view, JSON.parse(key));
        if (!isThere) changed.set(key, undefined);
      }
      await this.#write(changed);
    }
  }

  async #write(
    changed: ReadonlyMap<string, JsonValue | undefined>,
  ): Promise<void> {
    const writes = [...changed];
    while (writes.length > 0) {
      const batch = new Batch(this.#store.limits);
      const done: typeof writes = [];
      while (writes.length > 0 && !batch.isFull) {
        const write = writes.shift()!;
        const [text, value] = write;
        const key: Key = JSON.parse(text);
        batch.add(
          value === undefined ? { deletes: [key] } : { puts: [{ key, value }] },
        );
        done.push(write);
      }
      await this.#store.commit(batch.commit());
      for (const [text, value] of done) {
        if (value === undefined) this.#stored.delete(text);
        else this.#stored.set(text, JSON.stringify(value));
      }
    }
  }
}

function valuesOf(view: ClusterView): [string, JsonValue][] {
  return [
    [JSON.stringify([...PREFIX, "revision"]), view.revision],
    ...[...view.nodes.values()].map((node): [string, JsonValue] => [
      JSON.stringify([...PREFIX, "node", node.name]),
      nodeValue({ ...node, instanceId: idOf(node), localPrefixes: [] }),
    ]),
    ...[...view.routes.values()].map((route): [string, JsonValue] => [
      JSON.stringify([...PREFIX, "route", formatPrefix(route.destination)]),
      routeValue(route),
    ]),
  ];
}

function hasKey(view: ClusterView, [, kind, name]: Key): boolean {
  if (kind === "revision") return true;
  return kind === "node"
    ? view.nodes.has(String(name))
    : view.routes.has(String(name));
}

/** A view has no instance ids: it tells only whether there is an agent. */
function idOf({ state }: ClusterNode): string {
  return state === "no agent" ? "" : "agent";
}

function viewOf(name: string, value: JsonValue): ClusterNode {
  const { instanceId, localPrefixes: _, ...node } = readNode(name, value);
  return {
    ...node,
    state: instanceId === "" ? "no agent" : "unreachable",
    seenAtMs: undefined,
  };
}
