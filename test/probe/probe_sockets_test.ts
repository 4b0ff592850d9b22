import assert from "node:assert/strict";
import { NetError } from "../../src/base/error.ts";
import { parseAddress } from "../../src/net/address.ts";
import type { OwnEnd } from "../../src/probe/plan/peers.ts";
import { ProbeSockets } from "../../src/probe/probe_sockets.ts";

const HOST = "198.18.0.1";
const GATEWAY = "172.16.0.1";

function ownEnd(source: string): OwnEnd {
  return {
    ...{ family: 4, mtuBytes: 1500 },
    ...{ source: parseAddress(source), host: parseAddress(HOST) },
  };
}

/** Sockets over a host that lacks some addresses, with the attempts to open them. */
function withSockets(lacks: Set<string>) {
  const held = new Set<string>();
  const attempts: string[] = [];
  const sockets = new ProbeSockets({
    open: (address) => {
      attempts.push(address);
      if (lacks.has(address)) throw new NetError("unavailable", "no address");
      held.add(address);
      return {
        send: () => Promise.resolve(true),
        close: () => void held.delete(address),
      };
    },
    onDatagram: () => {},
  });
  return { sockets, held, attempts };
}

Deno.test("sync() has a socket on each source and host, and closes those of earlier ends", () => {
  const { sockets, held, attempts } = withSockets(new Set());
  assert.equal(sockets.sync([ownEnd(GATEWAY)], 0), false);
  assert.deepEqual([...held].sort(), [GATEWAY, HOST]);
  assert.equal(sockets.sync([ownEnd(GATEWAY)], 1), false);
  assert.equal(attempts.length, 2);
  assert.equal(sockets.sync([ownEnd(HOST)], 2), true, "the gateway went");
  assert.deepEqual([...held], [HOST]);
  assert.equal(sockets.from(ownEnd(GATEWAY)), undefined);
  assert.equal(sockets.sync([ownEnd(GATEWAY)], 3), true, "it came");
  sockets.close();
  assert.deepEqual([...held], []);
});

Deno.test("sync() warns of an address that it cannot open, and tries it again after ten rounds", () => {
  const lacks = new Set([GATEWAY]);
  const { sockets, held, attempts } = withSockets(lacks);
  const ends = [ownEnd(GATEWAY)];
  for (let round = 0; round < 10; round++) sockets.sync(ends, round);
  assert.deepEqual(attempts, [GATEWAY, HOST]);
  assert.deepEqual(sockets.warnings, [
    `no probe goes out from ${GATEWAY}: no address`,
  ]);
  lacks.clear();
  sockets.sync(ends, 10);
  assert.deepEqual([...held].sort(), [GATEWAY, HOST]);
  assert.deepEqual(sockets.warnings, []);
});
