import {
  IdentityRegistry,
  type IdentityRegistryOptions,
} from "../../src/security/identity_registry.ts";
import type { Credentials } from "../../src/security/trust.ts";
import { type Address, formatAddress } from "../../src/net/address.ts";
import { containsAddress, parsePrefix } from "../../src/net/prefix.ts";
import { createKey } from "../../src/security/pki/key.ts";
import { fingerprintOf, parsePem } from "../../src/security/pki/pem.ts";
import { readIdentity } from "../../src/security/pki/certificate_identity.ts";
import type { PeerIdentity, Role } from "../../src/security/pki/identity.ts";
import { openDenoKv } from "../../src/store/deno_kv/deno_kv.ts";
import { createSigningRequest } from "../../src/security/pki/signing_request.ts";
import { parseToken } from "../../src/security/pki/token.ts";
import {
  createNonce,
  proveToken,
  signingRequestDigest,
} from "../../src/security/pki/token_proof.ts";
import type { TokenTerms } from "../../src/security/pki/token_record.ts";
import type { Store } from "../../src/store/store.ts";
import { NOW_MS } from "./pki/identities.ts";

/** The subnet of node `host1`. */
export const SUBNET = parsePrefix("172.16.0.0/22");

/** What the server has shown in every test where that does not matter. */
export const SERVER = fingerprintOf(new TextEncoder().encode("server"));

/** A cluster's nodes, with the addresses that they are reached at. */
export type TestNodes = Map<string, readonly string[]>;

/** The authority of a cluster, with a clock and nodes that the test sets. */
export class TestRegistry {
  readonly store: Store;
  readonly clock: { nowMs: number };
  readonly nodes: TestNodes;
  readonly registry: IdentityRegistry;

  private constructor(
    parts: Pick<TestRegistry, "store" | "clock" | "nodes" | "registry">,
  ) {
    this.store = parts.store;
    this.clock = parts.clock;
    this.nodes = parts.nodes;
    this.registry = parts.registry;
  }

  static async open(
    store: Store,
    options: Partial<IdentityRegistryOptions> & {
      readonly clock?: { nowMs: number };
      readonly known?: TestNodes;
    } = {},
  ): Promise<TestRegistry> {
    const { clock = { nowMs: NOW_MS }, known: nodes = new Map() } = options;
    const registry = await IdentityRegistry.open({
      store,
      clusterId: "c1",
      now: () => clock.nowMs,
      nodes: {
        view: () =>
          Promise.resolve({
            has: (name) => nodes.has(name),
            alike: (name) =>
              [...nodes.keys()].find((known) =>
                known.toLowerCase() === name.toLowerCase()
              ),
            reachedAt: (address, except) =>
              [...nodes].find(([name, addresses]) =>
                name !== except && addresses.includes(formatAddress(address))
              )?.[0],
            subnetOwner: (address) =>
              containsAddress(SUBNET, address) ? "host1" : undefined,
          }),
      },
      ...options,
    });
    return new TestRegistry({ store, clock, nodes, registry });
  }

  /** Another agent on the same store. */
  another(): Promise<TestRegistry> {
    const { store, clock, nodes } = this;
    return TestRegistry.open(store, { clock, known: nodes });
  }

  /** Makes a token, for a node of any name if nothing else is said. Returns the secret. */
  async token(terms: Partial<TokenTerms> = {}): Promise<string> {
    const { secret } = await this.registry.createToken({
      role: "node",
      name: "",
      lifetimeMs: 3600_000,
      maxUses: 1,
      ...terms,
    });
    return secret;
  }

  /** Joins with a token, as a joining host does. */
  async join(secret: string, join: TestJoin = {}): Promise<TestMember> {
    const made = await this.prove(secret, join);
    return member(made.key, await this.registry.finishJoin(made.proof));
  }

  /** All of a join but its last call. */
  async prove(
    secret: string,
    join: TestJoin = {},
  ): Promise<
    {
      readonly key: string;
      readonly proof: Parameters<IdentityRegistry["finishJoin"]>[0];
    }
  > {
    const { name = "n1", addresses = [], roles = [] } = join;
    const key = join.key ?? createKey();
    const token = parseToken(secret);
    const signingRequest = createSigningRequest(key);
    const { salt, serverNonce } = await this.registry.beginJoin(token.id);
    const transcript = {
      tokenId: token.id,
      name,
      serverNonce,
      clientNonce: createNonce(),
      requestDigest: signingRequestDigest(signingRequest),
      serverFingerprint: SERVER,
    };
    const { requestDigest: _, ...sent } = transcript;
    return {
      key,
      proof: {
        ...{ ...sent, addresses, roles, signingRequest },
        proof: proveToken(token, { salt, transcript }),
      },
    };
  }

  /** Renews what a member has, with its key. */
  async renew(
    { key, identity }: TestMember,
    addresses: readonly Address[] = [],
  ): Promise<TestMember> {
    const signingRequest = createSigningRequest(key);
    const order = { addresses, signingRequest };
    return member(key, await this.registry.renew(identity, order));
  }
}

/** Who joins: with a new key, and as `n1`, if nothing else is said. */
export interface TestJoin {
  readonly name?: string;
  readonly key?: string;
  readonly addresses?: readonly Address[];
  readonly roles?: readonly Role[];
}

/** Who was certified. */
export interface TestMember {
  readonly key: string;
  readonly credentials: Credentials;
  readonly identity: PeerIdentity;
}

/** What credentials say of their holder. */
export function member(key: string, credentials: Credentials): TestMember {
  const [der] = parsePem("CERTIFICATE", credentials.chain);
  return { key, credentials, identity: readIdentity(der!) };
}

/** Registers a test with an authority of its own. */
export function testRegistry(
  name: string,
  body: (t: TestRegistry) => Promise<void>,
): void {
  Deno.test(`IdentityRegistry ${name}`, async () => {
    const store = await openDenoKv({ path: ":memory:" });
    try {
      await body(await TestRegistry.open(store));
    } finally {
      await store.close();
    }
  });
}
