import assert from "node:assert/strict";
import {
  createRouterTransport,
  type HandlerContext,
} from "@connectrpc/connect";
import { createAgent } from "../../../src/api/services/agent.ts";
import {
  choosePeers,
  testPaths,
} from "../../../src/api/services/path_tests.ts";
import { AgentService } from "../../../src/gen/stellar/net/v1/agent_pb.ts";
import {
  type Address,
  formatAddress,
  parseAddress,
} from "../../../src/net/address.ts";
import { parsePrefix } from "../../../src/net/prefix.ts";
import type { ClusterNode } from "../../../src/registry/feed.ts";
import type { Station } from "../../../src/station/stations.ts";

function nodeOf(name: string, more: Partial<ClusterNode> = {}): ClusterNode {
  return {
    ...{ name, state: "ready", apiUrl: `https://${name}:9000` },
    ...{ joinedAtMs: 1, seenAtMs: 1 },
    subnets: [parsePrefix("172.16.4.0/22")],
    advertised: [parseAddress("198.18.0.12")],
    ...more,
  };
}

/** A station that notes where it sends packets, and whether it is there. */
function createStation() {
  const sent: string[] = [];
  const state = { isOpen: true };
  const station: Station = {
    ...{ addresses: [parseAddress("172.16.0.9")], mtuBytes: 1500, port: 7 },
    limit: "",
    ping: (to: Address) => {
      sent.push(formatAddress(to));
      return Promise.resolve({ isAnswered: true, mtuBytes: undefined });
    },
    exchange: () => Promise.resolve(""),
    countEchoes: () => Promise.resolve(undefined),
    [Symbol.asyncDispose]: () => {
      state.isOpen = false;
      return Promise.resolve();
    },
  };
  return { station, sent, state };
}

Deno.test("choosePeers() takes the named nodes once, or all others with an agent", () => {
  const nodes = new Map(
    [nodeOf("a"), nodeOf("b"), nodeOf("c", { state: "no agent" }), nodeOf("d")]
      .map((node) => [node.name, node]),
  );
  const names = (...peers: string[]) =>
    choosePeers(nodes, { self: "a", peers }).map(({ name }) => name);
  assert.deepEqual(names(), ["b", "d"]);
  assert.deepEqual(names("d", "b", "d"), ["d", "b"]);
  assert.throws(() => names("x"), { code: "not_found" });
  assert.throws(() => names("a"), { code: "invalid_argument" });
});

Deno.test("testPaths() sends packets to addresses of the peer's node only, and ends both stations", async () => {
  const { station, sent, state } = createStation();
  const ended = Promise.withResolvers<void>();
  const transport = createRouterTransport(({ service }) =>
    service(AgentService, {
      async *holdStation(_, { signal }) {
        signal.addEventListener("abort", () => ended.resolve());
        const addresses = ["192.0.2.7", "172.16.4.9"];
        yield { addresses, mtuBytes: 1, port: 99_999, limit: "a\u{1b}b" };
        await ended.promise;
      },
    })
  );
  const messages = await Array.fromAsync(testPaths([nodeOf("b")], {
    stations: { open: () => Promise.resolve(station) },
    connect: () => transport,
    signal: new AbortController().signal,
  }));
  const [message] = messages;
  assert.equal(message?.peers, 1);
  assert.equal(message.families?.[0]?.packetBytes, 1280);
  assert.equal(message.families?.[0]?.triedTcp, false);
  assert.deepEqual(message.limits, ["a\u{fffd}b"]);
  assert.deepEqual([...new Set(sent)], ["172.16.4.9"]);
  await ended.promise;
  assert.equal(state.isOpen, false);
});

Deno.test("testPaths() says why a peer was not tested", async () => {
  const refuse = (): never => {
    throw new Error("not called");
  };
  const peers = [
    nodeOf("b", { state: "unreachable" }),
    nodeOf("c", { apiUrl: "" }),
  ];
  const messages = await Array.fromAsync(testPaths(peers, {
    stations: { open: () => Promise.resolve(createStation().station) },
    connect: refuse,
    signal: new AbortController().signal,
  }));
  assert.deepEqual(
    messages.map(({ node, problem }) => [node, problem]).sort(),
    [
      ["b", "it sends no heartbeats"],
      ["c", "its agent listens on no address of its host"],
    ],
  );
});

Deno.test("a caller holds four stations at most", async () => {
  type Options = Parameters<typeof createAgent>[0];
  const open = () => Promise.resolve(createStation().station);
  const { holdStation } = createAgent(
    { stations: { open } } as unknown as Options,
  );
  const stop = new AbortController();
  const call = (name: string) => {
    const caller = { kind: "member", identity: { role: "node", name } };
    const context = {
      values: { get: () => caller },
      signal: stop.signal,
    } as unknown as HandlerContext;
    return holdStation({} as never, context)[Symbol.asyncIterator]();
  };
  const held = ["a", "a", "a", "a", "b"].map(call);
  for (const one of held) assert.equal((await one.next()).done, false);
  await assert.rejects(
    call("a").next(),
    /Cannot hold a station: node "a" has 4 such calls open, which is the limit/,
  );
  stop.abort();
  for (const one of held) assert.equal((await one.next()).done, true);
});
