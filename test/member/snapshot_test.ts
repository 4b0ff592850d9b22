import assert from "node:assert/strict";
import { ClusterSnapshot } from "../../src/member/snapshot.ts";
import {
  type ClusterEvent,
  type ClusterNode,
  ClusterView,
} from "../../src/registry/feed.ts";
import { formatAddress, parseAddress } from "../../src/net/address.ts";
import { formatPrefix, parsePrefix } from "../../src/net/prefix.ts";
import { openDenoKv } from "../../src/store/deno_kv/deno_kv.ts";
import { FaultyStore } from "../fake/faulty_store.ts";
import { networks } from "../agent/agents.ts";

const CONFIG = {
  clusterId: "one",
  networks: networks(["172.16.0.0/12", 22], ["fd00::/48", 64]),
  createdAtMs: 7,
};

async function withStore(
  use: (store: FaultyStore) => Promise<void>,
): Promise<void> {
  const store = new FaultyStore(await openDenoKv({ path: ":memory:" }));
  try {
    await use(store);
  } finally {
    await store.close();
  }
}

function node(
  name: string,
  third: number,
  more: Partial<ClusterNode> = {},
): ClusterNode {
  return {
    name,
    subnets: [parsePrefix(`172.16.${third}.0/22`)],
    advertised: [parseAddress(`198.18.0.${third + 1}`)],
    apiUrl: `http://198.18.0.${third + 1}:9000`,
    state: "ready",
    joinedAtMs: 5,
    seenAtMs: 9,
    ...more,
  };
}

function route(cidr: string) {
  const target = parseAddress("198.18.0.9");
  return { destination: parsePrefix(cidr), target, addedAtMs: 3 };
}

function event(more: Partial<ClusterEvent>): ClusterEvent {
  return {
    ...{ revision: 1, isSnapshot: true, nodes: [], routes: [] },
    ...{ removedNodes: [], removedRoutes: [] },
    ...more,
  };
}

/** What a view knows, as texts. */
function format({ nodes, routes }: ClusterView): string[] {
  return [
    ...[...nodes.values()].map((n) =>
      [
        n.name,
        n.state,
        ...n.subnets.map(formatPrefix),
        ...n.advertised.map(formatAddress),
        n.apiUrl,
      ].join(" ")
    ),
    ...[...routes.values()].map((r) =>
      `${formatPrefix(r.destination)} ${formatAddress(r.target)}`
    ),
  ].sort();
}

/** What comes back from a store. */
async function load(
  store: FaultyStore,
): Promise<{ view: ClusterView; snapshot: ClusterSnapshot }> {
  const view = new ClusterView();
  return { view, snapshot: await ClusterSnapshot.load(store, view) };
}

Deno.test("ClusterSnapshot restores the last cluster, but not the liveness of its nodes", () =>
  withStore(async (store) => {
    const { view, snapshot } = await load(store);
    assert.deepEqual([snapshot.config, format(view)], [undefined, []]);
    await snapshot.saveConfig(CONFIG);
    const api = node("api", 4, { state: "no agent", apiUrl: "" });
    const routes = [route("10.9.0.0/16")];
    view.apply(event({ nodes: [node("b", 0), api], routes }));
    await snapshot.save(view);
    const back = await load(store);
    assert.deepEqual(back.snapshot.config, CONFIG);
    assert.deepEqual(format(back.view), [
      "10.9.0.0/16 198.18.0.9",
      "api no agent 172.16.4.0/22 198.18.0.5 ",
      "b unreachable 172.16.0.0/22 198.18.0.1 http://198.18.0.1:9000",
    ]);
    assert.equal(back.view.nodes.get("b")!.seenAtMs, undefined);
    assert.equal(back.view.revision, view.revision);
  }));

Deno.test("ClusterSnapshot.save() drops removed records, also after a gap", () =>
  withStore(async (store) => {
    const { view, snapshot } = await load(store);
    await snapshot.saveConfig(CONFIG);
    const routes = [route("10.8.0.0/16"), route("10.9.0.0/16")];
    view.apply(event({ nodes: [node("b", 0), node("c", 4)], routes }));
    await snapshot.save(view);
    view.apply(event({
      ...{ isSnapshot: false, removedNodes: ["b"] },
      removedRoutes: ["10.8.0.0/16"],
    }));
    await snapshot.save(view);
    const { view: middle, snapshot: next } = await load(store);
    assert.deepEqual([...middle.nodes.keys()], ["c"]);
    assert.deepEqual([...middle.routes.keys()], ["10.9.0.0/16"]);
    middle.apply(event({ nodes: [node("d", 8)] }));
    await next.save(middle);
    const last = await load(store);
    assert.deepEqual([...last.view.nodes.keys()], ["d"]);
    assert.deepEqual([...last.view.routes.keys()], []);
    assert.deepEqual(last.snapshot.config, CONFIG);
  }));

Deno.test("ClusterSnapshot.save() writes nothing where nothing that is kept has changed", () =>
  withStore(async (store) => {
    const { view, snapshot } = await load(store);
    view.apply(event({ nodes: [node("b", 0)] }));
    await snapshot.save(view);
    const { commits } = store;
    view.apply(event({
      nodes: [node("b", 0, { state: "unreachable", seenAtMs: 99 })],
    }));
    await snapshot.save(view);
    assert.equal(store.commits, commits);
  }));

Deno.test("ClusterSnapshot.save() several times at once comes to the last state", () =>
  withStore(async (store) => {
    const { view, snapshot } = await load(store);
    const saves: Promise<void>[] = [];
    for (let i = 0; i < 20; i++) {
      view.apply(event({ nodes: [node(`n${i}`, 0)] }));
      saves.push(snapshot.save(view));
    }
    await Promise.all(saves);
    assert.ok(store.commits < 5, `${store.commits} commits`);
    assert.deepEqual([...(await load(store)).view.nodes.keys()], ["n19"]);
  }));

Deno.test("ClusterSnapshot.save() writes thousands of nodes in commits that are not too large", () =>
  withStore(async (store) => {
    const { view, snapshot } = await load(store);
    const nodes = Array.from({ length: 4096 }, (_, i) => node(`n${i}`, 0));
    view.apply(event({ nodes }));
    await snapshot.save(view);
    assert.ok(store.commits > 4, `${store.commits} commits`);
    assert.equal((await load(store)).view.nodes.size, 4096);
  }));

for (const fault of ["refuse before", "lose answer"] as const) {
  Deno.test(`ClusterSnapshot.save() does again what has failed: ${fault}`, () =>
    withStore(async (store) => {
      const { view, snapshot } = await load(store);
      view.apply(event({ nodes: [node("b", 0)] }));
      store.fail(fault);
      await assert.rejects(snapshot.save(view), { code: "unavailable" });
      view.apply(event({ isSnapshot: false, nodes: [node("c", 4)] }));
      await snapshot.save(view);
      assert.deepEqual([...(await load(store)).view.nodes.keys()], ["b", "c"]);
    }));
}

Deno.test("ClusterSnapshot.clear() forgets everything", () =>
  withStore(async (store) => {
    const { view, snapshot } = await load(store);
    await snapshot.saveConfig(CONFIG);
    view.apply(event({ nodes: [node("b", 0)] }));
    await snapshot.save(view);
    await snapshot.clear();
    const back = await load(store);
    assert.deepEqual([back.snapshot.config, format(back.view)], [
      undefined,
      [],
    ]);
  }));

Deno.test("ClusterSnapshot.load() refuses a damaged record by its key", () =>
  withStore(async (store) => {
    const key = ["snapshot", "node", "b"];
    await store.commit({ puts: [{ key, value: { subnets: "none" } }] });
    await assert.rejects(load(store), {
      code: "failed_precondition",
      message: /\["snapshot","node","b"\].*damaged/,
    });
  }));
