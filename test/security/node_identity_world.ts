import { NetError } from "../../src/base/error.ts";
import { parseAddress } from "../../src/net/address.ts";
import type { IssuingAgent } from "../../src/security/certificate_source.ts";
import { IdentityRegistry } from "../../src/security/identity_registry.ts";
import {
  NodeIdentity,
  type NodeIdentityOptions,
} from "../../src/security/node_identity.ts";
import { createToken, type JoinToken } from "../../src/security/pki/token.ts";
import { openDenoKv } from "../../src/store/deno_kv/deno_kv.ts";
import { FakeTime } from "./fake_time.ts";
import { MemoryIdentityFiles } from "./memory_identity_files.ts";

export const START_MS = Date.UTC(2026, 0, 1);
export const ADDRESSES = [parseAddress("198.18.0.2")];
export const TOKEN = createToken(`sha256:${"a".repeat(64)}`);

/** A cluster's authority, and a node that gets its certificates there. */
export class World {
  readonly time = new FakeTime(START_MS);
  readonly files = new MemoryIdentityFiles();
  /** The calls of the authority. */
  readonly calls: string[] = [];
  token: JoinToken | undefined | NetError = TOKEN;
  refusal: NetError | undefined;
  isInCluster = true;
  mayRenew = true;
  readonly registry: IdentityRegistry;
  readonly #close: () => Promise<void>;

  private constructor(registry: IdentityRegistry, close: () => Promise<void>) {
    this.registry = registry;
    this.#close = close;
  }

  static async open(clusterId = "c1"): Promise<World> {
    const store = await openDenoKv({ path: ":memory:" });
    const now = { of: (): number => START_MS };
    const registry = await IdentityRegistry.open({
      store,
      clusterId,
      now: () => now.of(),
      nodes: {
        view: () =>
          Promise.resolve({
            has: () => false,
            alike: () => undefined,
            reachedAt: () => undefined,
            subnetOwner: () => undefined,
          }),
      },
    });
    const world = new World(registry, () => store.close());
    now.of = world.time.now;
    return world;
  }

  get issuer(): IssuingAgent {
    const answer = async (
      call: string,
      order: Parameters<IssuingAgent["renew"]>[0],
    ) => {
      this.calls.push(call);
      if (this.refusal) throw this.refusal;
      return await this.registry.signOwn({ ...order, name: "host2" });
    };
    return {
      enrol: (order) =>
        answer(`enrol ${order.name} ${idOf(order.token)}`, order),
      renew: (order) => answer("renew", order),
    };
  }

  async identity(
    options: Partial<NodeIdentityOptions> = {},
  ): Promise<NodeIdentity> {
    const { time, files, issuer } = this;
    return await NodeIdentity.open({
      node: "host2",
      files,
      source: {
        kind: "others",
        issuers: [issuer],
        readToken: () =>
          this.token instanceof NetError
            ? Promise.reject(this.token)
            : this.tokenOf(this.token),
      },
      isInCluster: () => this.isInCluster,
      mayRenew: () => this.mayRenew,
      now: time.now,
      wait: time.wait,
      random: () => 0.5,
      ...options,
    });
  }

  /** A token of this cluster's authority. */
  async tokenOf(token: JoinToken | undefined): Promise<JoinToken | undefined> {
    const { authorities } = await this.registry.trust();
    return token && { ...token, fingerprint: authorities[0]!.fingerprint };
  }

  close(): Promise<void> {
    return this.#close();
  }
}

function idOf(token: JoinToken): string {
  return token.id === TOKEN.id ? "token" : "other token";
}

/** Calls a function with a node that has begun to get its certificate. */
export async function withNode(
  use: (node: NodeIdentity, world: World) => Promise<void>,
  options: {
    readonly prepare?: (world: World) => void;
    readonly node?: (world: World) => Partial<NodeIdentityOptions>;
  } = {},
): Promise<void> {
  const world = await World.open();
  options.prepare?.(world);
  const node = await world.identity(options.node?.(world));
  try {
    node.setAddresses(ADDRESSES);
    node.start();
    await world.time.idle();
    await use(node, world);
  } finally {
    await node.stop();
    await world.close();
  }
}

export function serialOf(node: NodeIdentity): string | undefined {
  return node.state.certificate?.identity.serial;
}
