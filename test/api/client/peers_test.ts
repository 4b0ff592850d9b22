import assert from "node:assert/strict";
import { createRouterTransport, type Transport } from "@connectrpc/connect";
import type { Agent } from "../../../src/agent/agent.ts";
import { Peers } from "../../../src/api/client/peers.ts";
import type { RegistryLink } from "../../../src/member/link.ts";
import type { NodePlace } from "../../../src/registry/peer.ts";

const LINK: RegistryLink = {
  state: "joined",
  sinceMs: 0,
  problem: "",
  url: "http://registry:9000",
  urls: ["http://registry:9000", "http://other:9000"],
};

/** The peers of an agent of node "a", with the URL of each transport that was made. */
function createPeers(
  options: {
    readonly link?: Partial<RegistryLink>;
    readonly place?: NodePlace;
    readonly isHost?: boolean;
  } = {},
): { peers: Peers; urls: Map<Transport, string>; made: string[] } {
  const { link = {}, place = { kind: "here" }, isHost = false } = options;
  const urls = new Map<Transport, string>();
  const made: string[] = [];
  const agent = {
    node: "a",
    isHost,
    member: {
      link: { ...LINK, ...link },
      placeOf: () => Promise.resolve(place),
    },
  } as unknown as Agent;
  const peers = new Peers({
    agent,
    connect(url) {
      const transport = createRouterTransport(() => {});
      urls.set(transport, url);
      made.push(url);
      return transport;
    },
  });
  return { peers, urls, made };
}

/** The agent that answers for a node: the URL, undefined for this agent. */
const PLACES: readonly [
  what: string,
  node: string,
  options: Parameters<typeof createPeers>[0],
  url: string | undefined,
][] = [
  ["no name", "", {}, undefined],
  ["its own name", "a", { place: { kind: "registry" } }, undefined],
  ["a node that is here", "b", { place: { kind: "here" } }, undefined],
  ["a node with an agent", "b", {
    place: { kind: "agent", url: "http://b:9000" },
  }, "http://b:9000"],
  ["a node that the registry knows", "b", {
    place: { kind: "registry" },
  }, "http://registry:9000"],
  ["such a node at the registry", "b", {
    place: { kind: "registry" },
    isHost: true,
  }, undefined],
  ["a node with an agent while the registry is out of reach", "b", {
    place: { kind: "agent", url: "http://b:9000" },
    link: { state: "unreachable" },
  }, "http://b:9000"],
];

for (const [what, node, options, url] of PLACES) {
  Deno.test(`Peers.ofNode() of ${what}`, async () => {
    const { peers, urls } = createPeers(options);
    const peer = await peers.ofNode(node);
    assert.equal(peer?.url, url);
    assert.equal(peer && urls.get(peer.transport), url);
  });
}

const REFUSALS: readonly [
  what: string,
  link: Partial<RegistryLink>,
  error: { readonly code: string; readonly message: RegExp },
][] = [
  ["is out of reach", { state: "unreachable", problem: "no answer" }, {
    code: "unavailable",
    message:
      /^Cannot reach the registry at http:\/\/registry:9000 or http:\/\/other:9000: no answer$/,
  }],
  ["was not asked yet by a fenced node", {
    ...{ state: "fenced", url: "", problem: "the node is fenced" },
  }, { code: "unavailable", message: /: the node is fenced$/ }],
  ["was left", { state: "left" }, {
    code: "failed_precondition",
    message: /node "a" has left the cluster; start its agent again/,
  }],
];

for (const [what, link, error] of REFUSALS) {
  Deno.test(`Peers.registry() throws when it ${what}`, () => {
    const { peers, made } = createPeers({ link });
    assert.throws(() => peers.registry(), error);
    assert.deepEqual(made, []);
  });
}

Deno.test("Peers.registry() asks the registry for a fenced node too", () => {
  const { peers, urls } = createPeers({ link: { state: "fenced" } });
  const { url, transport } = peers.registry()!;
  assert.equal(url, "http://registry:9000");
  assert.equal(urls.get(transport), url);
});

Deno.test("Peers.at() keeps 256 connections, and forgets the oldest", () => {
  const { peers, made } = createPeers();
  const first = peers.at("http://0");
  assert.equal(peers.at("http://0"), first);
  assert.deepEqual(made, ["http://0"]);
  for (let i = 1; i < 256; i++) peers.at(`http://${i}`);
  assert.equal(peers.at("http://0"), first);
  peers.at("http://256");
  assert.notEqual(peers.at("http://0"), first);
  assert.equal(made.length, 258);
});
