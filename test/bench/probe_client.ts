/**
 * One side of the benchmark of probes, in a process of its own: a host with the
 * real prober, or all of its peers at once, which answer it and probe it as
 * often as real ones. Both use UDP over loopback.
 */
import { parseAddress } from "../../src/net/address.ts";
import type { ProberNode } from "../../src/probe/peer.ts";
import { Path } from "../../src/probe/plan/path.ts";
import {
  ringNeighbours,
  roundMs,
  trainLength,
} from "../../src/probe/plan/schedule.ts";
import type { ProbeSocket } from "../../src/probe/port.ts";
import { Prober } from "../../src/probe/prober.ts";
import { nodeId, openPacket, sealPacket } from "../../src/probe/seal.ts";
import { openUdpSocket } from "../../src/probe/udp_socket.ts";
import { answerLines } from "./line_process.ts";

/** What to be, and for how many nodes; answered with {@linkcode ProbeTraffic}. */
export interface ProbeRole {
  readonly role: "host" | "peers";
  readonly nodes: number;
  /** Changes of the nodes a second, which the host has to read. */
  readonly changes: number;
}

/** Counts of the host since its start; the peers have none. */
export interface ProbeTraffic {
  readonly packets: number;
  /** With the headers of IPv4 and UDP. */
  readonly bytes: number;
  /** Paths that are alive. */
  readonly alive: number;
}

const CLUSTER = "cluster";
const KEY = { id: 1, secret: new Uint8Array(32).fill(7) };
const HEADER_BYTES = 28;
const MTU_BYTES = 1500;

function addressOf(index: number): string {
  return `127.1.${index >> 8}.${index & 255}`;
}

/** Names in the order of the ring, so that the host is in the middle of it. */
function nameOf(index: number): string {
  return `h${String(index).padStart(5, "0")}`;
}

function startHost({ nodes: count, changes }: ProbeRole): () => ProbeTraffic {
  const nodes = new Map(
    Array.from({ length: count }, (_, i): [string, ProberNode] => [nameOf(i), {
      ...{ name: nameOf(i), subnets: [], state: "ready" },
      advertised: [parseAddress(addressOf(i))],
    }]),
  );
  const self = nodes.get(nameOf(count >> 1))!;
  const uptimeMs = () => performance.now();
  let packets = 0;
  let bytes = 0;
  const prober = new Prober({
    view: () => ({
      ...{ clusterId: CLUSTER, self, nodes },
      version: Math.floor(uptimeMs() / 1_000 * changes),
    }),
    links: () => [{
      ...{ name: "eth0", mtuBytes: MTU_BYTES },
      addresses: self.advertised.map((address) => ({ address })),
    }],
    keys: () => [KEY],
    open(address, onDatagram) {
      const socket = openUdpSocket(address, onDatagram);
      return {
        send(payload, to) {
          packets++;
          bytes += payload.length + HEADER_BYTES;
          return socket.send(payload, to);
        },
        close: () => socket.close(),
      };
    },
    pings: { ping: () => Promise.resolve({ isAnswered: true }) },
    ...{ session: 1n, now: Date.now, uptimeMs, onChange: () => {} },
  });
  prober.update();
  return () => ({
    ...{ packets, bytes },
    alive: prober.paths.filter(({ state }) => state === "alive").length,
  });
}

/** Peers of the host: each answers it, its neighbours probe it in every round, and one of the others does. */
function startPeers({ nodes: count }: ProbeRole): () => ProbeTraffic {
  const hostIndex = count >> 1;
  const host = nodeId(CLUSTER, nameOf(hostIndex));
  const indexes = Array.from({ length: count }, (_, i) => i)
    .filter((i) => i !== hostIndex);
  const request = new Map<string, (isFull: boolean) => void>();
  for (const index of indexes) {
    const path = new Path();
    const session = BigInt(index + 2);
    const ids = { from: nodeId(CLUSTER, nameOf(index)), to: host, session };
    const send = (
      kind: "request" | "answer",
      { echo = 0, isFull = false },
    ) => {
      const fields = path.send(kind, { nowMs: performance.now(), isFull });
      const packet = { kind, echo, ...ids, ...fields };
      const bytes = isFull ? MTU_BYTES - HEADER_BYTES : undefined;
      void socket.send(sealPacket(packet, KEY, bytes), addressOf(hostIndex));
    };
    const socket: ProbeSocket = openUdpSocket(
      addressOf(index),
      ({ payload }) => {
        const packet = openPacket(payload, [KEY]);
        const nowMs = performance.now();
        if (!packet || !path.receive(packet, { session, nowMs })) return;
        if (packet.kind === "request") send("answer", { echo: packet.number });
      },
    );
    request.set(nameOf(index), (isFull) => send("request", { isFull }));
  }
  const neighbours = ringNeighbours(nameOf(hostIndex), request.keys());
  const others = [...request.keys()]
    .filter((name) => !neighbours.includes(name));
  const length = trainLength(neighbours.length);
  let round = 0;
  setInterval(() => {
    for (const name of neighbours) {
      for (let i = 1; i < length; i++) request.get(name)!(false);
      // As the prober does: the last of a train is full, and one alone in turn.
      request.get(name)!(length > 1 || round % 2 === 1);
    }
    const other = others[round++ % others.length];
    if (other !== undefined) request.get(other)!(false);
  }, roundMs(neighbours.length, others.length > 0));
  return () => ({ packets: 0, bytes: 0, alive: 0 });
}

if (import.meta.main) {
  let traffic: (() => ProbeTraffic) | undefined;
  await answerLines((role: ProbeRole) => {
    traffic ??= role.role === "host" ? startHost(role) : startPeers(role);
    return traffic();
  });
}
