import type { MessageInitShape } from "@bufbuild/protobuf";
import { createClient, type Transport } from "@connectrpc/connect";
import { asCompleted } from "../../base/as_completed.ts";
import { NetError } from "../../base/error.ts";
import { sleep } from "../../base/retry.ts";
import { cleanText } from "../../cluster/plan/accept_report.ts";
import {
  AgentService,
  type HoldStationResponse,
  type HoldStationResponseSchema,
  type TestPathsResponseSchema,
} from "../../gen/stellar/net/v1/agent_pb.ts";
import {
  type Address,
  formatAddress,
  parseAddress,
} from "../../net/address.ts";
import { containsAddress } from "../../net/prefix.ts";
import type { ClusterNode } from "../../registry/feed.ts";
import { type FarEnd, testPath } from "../../station/path_test.ts";
import type { EchoCounts } from "../../station/plan/echo_counts.ts";
import type { Station, Stations } from "../../station/stations.ts";
import { whyNotCalled } from "../client/peers.ts";
import { fromConnectError } from "../messages/errors.ts";

type TestMessage = MessageInitShape<typeof TestPathsResponseSchema>;
type StationMessage = MessageInitShape<typeof HoldStationResponseSchema>;

/** Peers that are tested at once. */
const PEERS_AT_ONCE = 8;
/** Most time for the start of a peer's station, in ms. */
const PEER_START_MS = 40_000;
/** Most time until a peer tells what has got to its station, in ms. */
const COUNT_MS = 10_000;
/** Most time for which a station is held for another agent, in ms. */
const HOLD_MS = 60_000;
/** Interval between the counts of a held station, in ms. */
const COUNT_INTERVAL_MS = 500;
/** Sizes of packets that every host takes (RFC 8200), and that IP knows, in bytes. */
const MTU_RANGE = { least: 1_280, most: 65_535 };
const MAX_TEXT = 1_024;

/** What tests of paths work with. */
export interface PathTestsOptions {
  readonly stations: Pick<Stations, "open">;
  /** The transport to an agent at a URL. */
  readonly connect: (url: string) => Transport;
  readonly signal: AbortSignal;
}

/**
 * The nodes to test the paths to, by their names; all others that have an agent
 * where none is named.
 *
 * @throws {NetError} `not_found` for a name of no node, `invalid_argument` for
 * the own name
 */
export function choosePeers(
  nodes: ReadonlyMap<string, ClusterNode>,
  { self, peers }: { readonly self: string; readonly peers: readonly string[] },
): ClusterNode[] {
  if (peers.length === 0) {
    return [...nodes.values()].filter(({ name, state }) =>
      name !== self && state !== "no agent"
    );
  }
  return [...new Set(peers)].map((name) => {
    if (name === self) {
      throw new NetError(
        "invalid_argument",
        `Cannot test the path to "${name}": it is this node; name another`,
      );
    }
    const node = nodes.get(name);
    if (node) return node;
    throw new NetError(
      "not_found",
      `Cannot test the path to "${name}": no node has that name; "stellar-net node list" lists those that are known`,
    );
  });
}

/** Tests the paths from a station of this host to one on each peer. */
export async function* testPaths(
  peers: readonly ClusterNode[],
  options: PathTestsOptions,
): AsyncGenerator<TestMessage> {
  const { signal, stations } = options;
  if (peers.length === 0) return;
  // The caller may go away while a peer is tested: its end is given back then.
  const stop = new AbortController();
  const ended = AbortSignal.any([signal, stop.signal]);
  await using station = await stations.open();
  const work = (peer: ClusterNode) =>
    testPeer(peer, station, { ...options, signal: ended });
  try {
    const found = asCompleted(peers, work, { atOnce: PEERS_AT_ONCE, signal });
    for await (const message of found) {
      yield { ...message, peers: peers.length };
    }
  } finally {
    stop.abort();
  }
}

async function testPeer(
  peer: ClusterNode,
  own: Station,
  { connect, signal }: Omit<PathTestsOptions, "stations">,
): Promise<TestMessage> {
  const { name: node, apiUrl } = peer;
  const refusal = whyNotCalled(peer);
  if (refusal !== undefined) return { node, problem: refusal };
  try {
    await using far = await HeldStation.open(connect(apiUrl), { peer, signal });
    const families = await testPath(own, far);
    return {
      node,
      families: families.map(({ roundTripMs, problems, ...family }) => ({
        ...{ ...family, problems: [...problems] },
        ...roundTripMs !== undefined && { roundTripMs },
      })),
      problem: families.length === 0
        ? "both ends have no address of one family"
        : "",
      limits: [own.limit, far.limit].filter((limit) => limit !== ""),
    };
  } catch (error) {
    return { node, problem: describeProblem(fromConnectError(error), apiUrl) };
  }
}

function describeProblem({ code, message }: NetError, apiUrl: string): string {
  return code === "unavailable" && !message.startsWith("Cannot ")
    ? `its agent does not answer at ${apiUrl}: ${message}`
    : message;
}

/** A station on another host, which lasts as long as the call that holds it. */
class HeldStation implements FarEnd, AsyncDisposable {
  readonly addresses: readonly Address[];
  readonly mtuBytes: number;
  readonly port: number;
  readonly limit: string;
  readonly #stop: AbortController;
  #counts: EchoCounts | undefined;
  readonly #reading: Promise<void>;
  /** Called with each message. */
  readonly #onMessage = new Set<() => void>();

  private constructor(
    first: HoldStationResponse,
    { peer, stop, rest }: {
      readonly peer: ClusterNode;
      readonly stop: AbortController;
      readonly rest: AsyncIterator<HoldStationResponse>;
    },
  ) {
    this.addresses = acceptAddresses(first.addresses, peer);
    const { least, most } = MTU_RANGE;
    this.mtuBytes = Math.min(Math.max(first.mtuBytes, least), most);
    this.port = first.port > 0 && first.port < 65_536 ? first.port : 0;
    this.limit = cleanText(first.limit, MAX_TEXT);
    this.#stop = stop;
    this.#reading = this.#read(rest);
  }

  /** @throws {NetError} when the peer makes none in time */
  static async open(
    transport: Transport,
    { peer, signal }: {
      readonly peer: ClusterNode;
      readonly signal: AbortSignal;
    },
  ): Promise<HeldStation> {
    const stop = new AbortController();
    const limit = setTimeout(
      () =>
        stop.abort(
          new NetError(
            "deadline_exceeded",
            `its agent made no station within ${PEER_START_MS / 1000} s`,
          ),
        ),
      PEER_START_MS,
    );
    const messages = createClient(AgentService, transport).holdStation({}, {
      signal: AbortSignal.any([signal, stop.signal]),
      timeoutMs: PEER_START_MS + HOLD_MS,
    })[Symbol.asyncIterator]();
    try {
      const { value, done } = await messages.next();
      if (done) throw new NetError("unavailable", "its agent made no station");
      return new HeldStation(value, { peer, stop, rest: messages });
    } catch (error) {
      const { reason } = stop.signal;
      stop.abort();
      throw reason instanceof NetError ? reason : error;
    } finally {
      clearTimeout(limit);
    }
  }

  /** The second message from now on tells of everything that has arrived by now. */
  async countEchoes(): Promise<EchoCounts | undefined> {
    const fresh = Promise.withResolvers<void>();
    let seen = 0;
    const look = () => {
      if (++seen === 2) fresh.resolve();
    };
    this.#onMessage.add(look);
    await Promise.race([
      ...[fresh.promise, this.#reading],
      sleep(COUNT_MS, this.#stop.signal),
    ]);
    this.#onMessage.delete(look);
    return seen >= 2 ? this.#counts : undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#reading;
  }

  async #read(messages: AsyncIterator<HoldStationResponse>): Promise<void> {
    try {
      for (;;) {
        const { value, done } = await messages.next();
        if (done) return;
        const { echoes4, echoes6 } = value;
        this.#counts = echoes4 === undefined || echoes6 === undefined
          ? undefined
          : { 4: Number(echoes4), 6: Number(echoes6) };
        for (const look of this.#onMessage) look();
      }
    } catch {
      // The test is over, or the path is broken, which the packets show.
    }
  }
}

/** Addresses of the peer's node only: a host cannot make this one send to others. */
function acceptAddresses(
  texts: readonly string[],
  { subnets, advertised }: ClusterNode,
): Address[] {
  const addresses = texts.slice(0, 2).map(parseAddress);
  return addresses.filter((address) =>
    subnets.some((subnet) => containsAddress(subnet, address)) ||
    advertised.some((own) => formatAddress(own) === formatAddress(address))
  );
}

/** Makes a station, and holds it until the caller goes away. */
export async function* holdStation(
  stations: Pick<Stations, "open">,
  signal: AbortSignal,
): AsyncGenerator<StationMessage> {
  await using station = await stations.open();
  const { mtuBytes, port, limit } = station;
  const addresses = station.addresses.map(formatAddress);
  const untilMs = performance.now() + HOLD_MS;
  while (!signal.aborted && performance.now() < untilMs) {
    const counts = await station.countEchoes();
    yield {
      ...{ addresses, mtuBytes, port, limit },
      ...counts && { echoes4: BigInt(counts[4]), echoes6: BigInt(counts[6]) },
    };
    await sleep(COUNT_INTERVAL_MS, signal);
  }
}
