import type { NodeAddresses } from "../agent/node_addresses.ts";
import { NetError } from "../base/error.ts";
import type { Owner } from "../base/names.ts";
import type { HostController } from "../host/controller.ts";
import type { PathProbe } from "../host/path_probe.ts";
import type { PingAnswer } from "../host/plan/probe_output.ts";
import { linkOfGateway } from "../host/plan/host_plan.ts";
import type { Member } from "../member/member.ts";
import type { Address } from "../net/address.ts";
import { containsPrefix, gatewayOf, type Prefix } from "../net/prefix.ts";
import type { HostLink } from "../routes/plan/ip_json.ts";
import { uplinkOf } from "../routes/plan/uplink.ts";
import type { EchoCounts } from "./plan/echo_counts.ts";
import type { StationMaker, StationProcess } from "./port.ts";

/** Most stations of this host at once. */
export const MAX_STATIONS = 8;
/** The container network of stations: no runtime's is named so. */
export const STATION_NETWORK = "stellar-net-test";
/** Time after which the addresses of a station are released, if its agent was killed, in ms. */
export const STATION_TTL_MS = 15_000;
/** Interval between the signs of life of a station, in ms. */
const KEEP_ALIVE_MS = 5_000;
/** The MTU of a host without an uplink, in bytes. */
const DEFAULT_MTU = 1_500;

/** An end of a tested path. */
export interface Station extends AsyncDisposable {
  /** At most one of each family. */
  readonly addresses: readonly Address[];
  readonly mtuBytes: number;
  /** The TCP port on which it echoes; 0: none, as it is no namespace. */
  readonly port: number;
  /** What it is in place of a namespace, and why; empty if it is one. */
  readonly limit: string;
  /** Sends echo requests until one is answered, for at most a second. */
  ping(to: Address, packetBytes?: number): Promise<PingAnswer>;
  /** Exchanges bytes over TCP; only where there is a port. @returns why that failed; empty when it did not */
  exchange(to: Address, port: number): Promise<string>;
  /** The echo requests that have got to it; undefined where that is not known. */
  countEchoes(): Promise<EchoCounts | undefined>;
}

/** What stations are made of. */
export interface StationsOptions {
  readonly agent: {
    readonly node: string;
    readonly member: Pick<Member, "subnets">;
    readonly addresses: Pick<
      NodeAddresses,
      "allocate" | "release" | "keepAlive"
    >;
  };
  readonly controller: Pick<HostController, "readInterfaces" | "advertised">;
  readonly probe: Pick<PathProbe, "ping">;
  readonly maker: StationMaker;
  readonly randomId: () => string;
}

/** A bridge, and the subnets whose gateways it holds. */
interface BridgeFound {
  readonly link: HostLink;
  readonly subnets: readonly Prefix[];
}

/** The stations of this host: like containers on its bridge, and gone after the test. */
export class Stations {
  readonly #options: StationsOptions;
  #open = 0;

  constructor(options: StationsOptions) {
    this.#options = options;
  }

  /**
   * Makes a station on the bridge. Where there is no bridge, or this agent may
   * make no network namespace, the host's own addresses stand in for it.
   *
   * @throws {NetError} `exhausted` while there are {@linkcode MAX_STATIONS},
   * `unavailable` when this host's network cannot be read or changed
   */
  async open(): Promise<Station> {
    if (this.#open >= MAX_STATIONS) {
      throw new NetError(
        "exhausted",
        `Cannot make a station on node "${this.#options.agent.node}": it has ${MAX_STATIONS}, the most at once, for other tests; try again in a minute`,
      );
    }
    this.#open++;
    try {
      const { dispose, ...station } = await this.#make();
      return {
        ...station,
        [Symbol.asyncDispose]: async () => {
          try {
            await dispose();
          } finally {
            this.#open--;
          }
        },
      };
    } catch (error) {
      this.#open--;
      throw error;
    }
  }

  async #make(): Promise<Made> {
    const { agent, controller, maker } = this.#options;
    const interfaces = await controller.readInterfaces();
    if (!interfaces) {
      throw new NetError(
        "unavailable",
        `Cannot make a station on node "${agent.node}": its interfaces cannot be read`,
      );
    }
    const bridge = findBridge(interfaces.links, agent.member.subnets);
    if (!bridge) {
      const { advertised } = controller;
      const mtus = advertised.map(({ family }) =>
        uplinkOf(interfaces, family)?.mtuBytes ?? DEFAULT_MTU
      );
      const mtuBytes = mtus.length === 0 ? DEFAULT_MTU : Math.min(...mtus);
      return this.#standIn(
        { addresses: advertised, mtuBytes },
        `node "${agent.node}" has no bridge yet: its host's addresses are the end`,
      );
    }
    try {
      return await this.#attach(await maker.start(), bridge);
    } catch (error) {
      if (!(error instanceof NetError)) throw error;
      // Another host's containers get here all the same.
      const isLimit = error.code === "permission_denied" ||
        error.code === "exhausted";
      if (!isLimit) throw error;
      return this.#standIn(
        {
          addresses: firstOfEach(bridge.subnets.map(gatewayOf)),
          mtuBytes: bridge.link.mtuBytes,
        },
        `node "${agent.node}" makes no network namespace: its gateway is the end (${error.message})`,
      );
    }
  }

  async #attach(process: StationProcess, bridge: BridgeFound): Promise<Made> {
    const { agent, randomId } = this.#options;
    const { node, addresses } = agent;
    const id = randomId();
    const owner: Owner = {
      network: STATION_NETWORK,
      containerId: `stellar-test-${id}`,
      interfaceName: "eth0",
    };
    const dispose = async () => {
      clearInterval(signs);
      await process[Symbol.asyncDispose]();
      await addresses.release(node, { owner, reason: "the test has ended" });
    };
    const signs = setInterval(() => {
      process.keepAlive();
      // On failure the addresses are released and cool down, so they are not reused soon.
      addresses.keepAlive(node, [{ owner }]).catch(() => {});
    }, KEEP_ALIVE_MS);
    try {
      const { allocation } = await addresses.allocate(node, {
        ...{ owner, addresses: [], ttlMs: STATION_TTL_MS },
      });
      const onBridge = allocation.addresses.filter(({ subnet }) =>
        bridge.subnets.some((other) => isSame(other, subnet))
      );
      const held = [4, 6].flatMap((family) =>
        onBridge.find(({ address }) => address.family === family) ?? []
      );
      const { name, mtuBytes } = bridge.link;
      await process.attach({
        linkName: `stt${id.replaceAll("-", "").slice(0, 12)}`,
        ...{ bridge: name, mtuBytes, addresses: held },
      });
      return {
        addresses: held.map(({ address }) => address),
        ...{ mtuBytes, port: process.port, limit: "", dispose },
        ping: (to, packetBytes) => process.ping(to, packetBytes),
        exchange: (to, port) => process.exchange(to, port),
        countEchoes: () => process.countEchoes(),
      };
    } catch (error) {
      await dispose().catch(() => {});
      throw error;
    }
  }

  #standIn(
    { addresses, mtuBytes }: Pick<Station, "addresses" | "mtuBytes">,
    limit: string,
  ): Made {
    return {
      ...{ addresses, mtuBytes, limit, port: 0 },
      ping: (to, packetBytes) => {
        const source = addresses.find(({ family }) => family === to.family);
        return this.#options.probe.ping(to, {
          ...source && { source },
          ...packetBytes !== undefined && { packetBytes },
        });
      },
      exchange: () => Promise.resolve("it opens no connections"),
      countEchoes: () => Promise.resolve(undefined),
      dispose: () => Promise.resolve(),
    };
  }
}

type Made = Omit<Station, typeof Symbol.asyncDispose> & {
  readonly dispose: () => Promise<void>;
};

/** The first bridge that holds a gateway, with the subnets of its gateways. */
function findBridge(
  links: readonly HostLink[],
  subnets: readonly Prefix[],
): BridgeFound | undefined {
  const found = subnets.flatMap((subnet) => {
    const link = linkOfGateway(links, subnet);
    return link?.kind === "bridge" && link.isUp ? [{ link, subnet }] : [];
  });
  const [first] = found;
  return first && {
    link: first.link,
    subnets: found.filter(({ link }) => link.name === first.link.name)
      .map(({ subnet }) => subnet),
  };
}

function firstOfEach(addresses: readonly Address[]): Address[] {
  return [4, 6].flatMap((family) =>
    addresses.find((address) => address.family === family) ?? []
  );
}

function isSame(a: Prefix, b: Prefix): boolean {
  return a.length === b.length && containsPrefix(a, b);
}
