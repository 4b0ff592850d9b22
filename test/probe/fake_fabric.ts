import { formatAddress, parseAddress } from "../../src/net/address.ts";
import { parsePrefix } from "../../src/net/prefix.ts";
import { PROBE_PORT, type ProbeDatagram } from "../../src/probe/port.ts";
import type { ProberNode } from "../../src/probe/peer.ts";
import { Prober } from "../../src/probe/prober.ts";
import type { ProbeKey } from "../../src/probe/seal.ts";
import type { FakeTimers } from "../support/fake_timers.ts";
import { NetError } from "../../src/base/error.ts";

/** A packet on its way. */
export interface Sent {
  readonly from: string;
  readonly to: string;
  readonly payload: Uint8Array;
}

/** Hosts whose probers exchange packets: each arrives at once or is lost. */
export class FakeFabric {
  readonly hosts: FakeHost[] = [];
  readonly sent: Sent[] = [];
  /** Which packets, and pings, are lost. Sizes are of whole packets. */
  drops: (from: string, to: string, bytes: number) => boolean = () => false;
  /** Time of an attempt of a ping. */
  attemptMs = 200;
  /** Time that the start of a ping takes. */
  startMs = 0;
  readonly #sockets = new Map<string, (datagram: ProbeDatagram) => void>();

  constructor(
    readonly timers: FakeTimers,
    readonly keys: ProbeKey[],
  ) {}

  /** Adds hosts with a gateway each: `h0` has 198.18.0.1 and 172.16.0.1. */
  add(count: number): void {
    for (let i = 0; i < count; i++) {
      this.hosts.push(new FakeHost(this, this.hosts.length));
    }
    for (const { prober } of this.hosts) prober.update();
  }

  get nodes(): ReadonlyMap<string, ProberNode> {
    return new Map(this.hosts.map(({ node }) => [node.name, node]));
  }

  open(
    address: string,
    onDatagram: (datagram: ProbeDatagram) => void,
  ): {
    send(payload: Uint8Array, to: string): Promise<boolean>;
    close(): void;
  } {
    if (this.#sockets.has(address)) {
      throw new NetError("unavailable", `Cannot use ${address}: it is taken`);
    }
    this.#sockets.set(address, onDatagram);
    return {
      send: (payload, to) => {
        this.sent.push({ from: address, to, payload });
        if (!this.drops(address, to, payload.length + 28)) {
          this.deliver(to, { payload, from: address, port: PROBE_PORT });
        }
        return Promise.resolve(true);
      },
      close: () => void this.#sockets.delete(address),
    };
  }

  /** Delivers a datagram to the socket on an address, in a microtask. */
  deliver(to: string, datagram: ProbeDatagram): void {
    queueMicrotask(() => this.#sockets.get(to)?.(datagram));
  }

  get addresses(): string[] {
    return [...this.#sockets.keys()].sort();
  }

  /** As `ping` does: attempts for a second, and an answer to one of them is enough. */
  async ping(
    from: string,
    to: string,
    bytes: number,
  ): Promise<
    { readonly isAnswered: boolean; readonly silentRequests?: number }
  > {
    const { attemptMs, startMs } = this;
    if (startMs > 0) await this.timers.wait(startMs);
    const most = Math.ceil(1_000 / attemptMs);
    for (let i = 0; i < most; i++) {
      const isLost = this.drops(from, to, bytes) || this.drops(to, from, bytes);
      if (!isLost) return { isAnswered: true };
      await this.timers.wait(attemptMs);
    }
    return { isAnswered: false, silentRequests: most };
  }

  stop(): void {
    for (const { prober } of this.hosts) prober.stop();
  }
}

export class FakeHost {
  readonly prober: Prober;
  readonly host: string;
  readonly gateway: string;
  /** Whether an interface has the gateway's address. */
  hasBridge = true;
  node: ProberNode;
  changes = 0;
  restarted = 0;

  constructor(fabric: FakeFabric, index: number) {
    this.host = `198.18.${index >> 8}.${(index & 255) + 1}`;
    this.gateway = `172.${16 + (index >> 6)}.${(index & 63) * 4}.1`;
    const subnet = parsePrefix(this.gateway.replace(/1$/, "0/22"));
    this.node = {
      name: `h${index}`,
      subnets: [subnet],
      advertised: [parseAddress(this.host)],
      state: "ready",
    };
    const { timers } = fabric;
    const startMs = timers.nowMs;
    const link = (name: string, text: string) => ({
      ...{ name, mtuBytes: 1500 },
      addresses: [{ address: parseAddress(text) }],
    });
    this.prober = new Prober({
      view: () => ({
        clusterId: "cluster",
        self: this.node,
        nodes: fabric.nodes,
        version: fabric.hosts.length,
      }),
      links: () => [
        link("eth0", this.host),
        ...this.hasBridge ? [link("br0", this.gateway)] : [],
      ],
      keys: () => fabric.keys,
      open: (address, onDatagram) => fabric.open(address, onDatagram),
      pings: {
        ping: (address, { packetBytes = 84, source }) =>
          fabric.ping(
            formatAddress(source!),
            formatAddress(address),
            packetBytes,
          ),
      },
      session: BigInt(index + 1),
      now: () => timers.nowMs,
      uptimeMs: () => timers.nowMs - startMs,
      onChange: () => this.changes++,
    });
  }

  /** The state of the path to a peer. */
  stateTo(peer: FakeHost): string {
    return this.prober.paths.find((path) => path.peer === peer.node.name)!
      .state;
  }
}
