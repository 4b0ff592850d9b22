import assert from "node:assert/strict";
import { formatAddress, parseAddress } from "../../src/net/address.ts";
import { parsePrefix } from "../../src/net/prefix.ts";
import { Peer, type ProberNode } from "../../src/probe/peer.ts";
import type { OwnEnd } from "../../src/probe/plan/peers.ts";

const NODE: ProberNode = {
  ...{ name: "h2", state: "ready" },
  subnets: [parsePrefix("172.16.4.0/24")],
  advertised: [parseAddress("198.18.0.2")],
};
const HOST = "198.18.0.2";
const GATEWAY = "172.16.4.1";
const REQUEST = { kind: "request", nowMs: 0 } as const;

function ownEnd(text: string): OwnEnd {
  const source = parseAddress(text);
  const { family } = source;
  return { family, source, host: source, mtuBytes: 1500 };
}

const ENDS = [ownEnd("198.18.0.1")];

function targets(peer: Peer, count: number): string {
  return Array.from(
    { length: count },
    () => formatAddress(peer.wayFrom(ENDS)!.target),
  ).join(" ");
}

const newPeer = (node = NODE) =>
  new Peer(node, { id: 1n, nowMs: 0, sinceMs: 1_000 });

Deno.test("wayFrom() tries gateway and host in turn until the peer has sent a packet", () => {
  const peer = newPeer();
  assert.equal(targets(peer, 3), `${GATEWAY} ${HOST} ${GATEWAY}`);
  peer.noteSource(HOST, REQUEST);
  assert.equal(targets(peer, 2), `${HOST} ${HOST}`);
});

Deno.test("wayFrom() finds none without a common family", () => {
  assert.equal(newPeer().wayFrom([ownEnd("2001:db8::1")]), undefined);
  assert.equal(newPeer().wayFrom([]), undefined);
});

Deno.test("wayFrom() goes to the host where the peer has no subnet", () => {
  assert.equal(
    targets(newPeer({ ...NODE, subnets: [] }), 2),
    `${HOST} ${HOST}`,
  );
});

Deno.test("noteSource() takes the source of a request for the target, and that of an answer only before one", () => {
  const peer = newPeer();
  peer.noteSource(HOST, { kind: "answer", nowMs: 0 });
  assert.equal(targets(peer, 2), `${HOST} ${HOST}`);
  peer.noteSource(GATEWAY, REQUEST);
  assert.equal(targets(peer, 2), `${GATEWAY} ${GATEWAY}`);
  peer.noteSource(HOST, { kind: "answer", nowMs: 0 });
  assert.equal(targets(peer, 2), `${GATEWAY} ${GATEWAY}`);
});

Deno.test("update() forgets a target that the node does not have any more", () => {
  const peer = newPeer();
  peer.noteSource(GATEWAY, REQUEST);
  peer.update({ ...NODE, state: "unreachable" });
  assert.equal(targets(peer, 2), `${GATEWAY} ${GATEWAY}`);
  peer.update({ ...NODE, subnets: [parsePrefix("172.16.8.0/24")] });
  assert.equal(targets(peer, 2), `172.16.8.1 ${HOST}`);
  assert.ok(peer.sendsFrom("172.16.8.1"));
  assert.ok(!peer.sendsFrom(GATEWAY));
});

Deno.test("show() tells of a state once, and of each width of a narrow path", () => {
  const peer = newPeer();
  const view = () => {
    const { state, sinceMs } = peer.viewFrom(ENDS, 0);
    return `${state} ${sinceMs}`;
  };
  assert.equal(peer.show(2_000), false);
  assert.equal(view(), "unmeasured 1000");
  // The path has no answer yet, so that its width changes no state.
  peer.path.noteWidth(1_400);
  assert.equal(peer.show(3_000), true);
  assert.equal(peer.show(4_000), false);
  assert.equal(view(), "unmeasured 1000");
  Object.defineProperty(peer.path, "state", { value: "narrow" });
  assert.equal(peer.show(5_000), true);
  assert.equal(view(), "narrow 5000");
});
