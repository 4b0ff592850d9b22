import type { Address } from "../net/address.ts";
import type { TrustRecord } from "./pki/authority.ts";
import type { PeerIdentity, Role } from "./pki/identity.ts";
import type { TokenTerms } from "./pki/token_record.ts";
import type { Store } from "../store/store.ts";
import { refuseKnownName, refuseRenewal, refuseRole } from "./admission.ts";
import { refuseOthersAddresses } from "./address_holders.ts";
import {
  type CertificateListing,
  type CertificateOrder,
  DEFAULT_LIFETIMES,
  listCertificates,
  parseSigningRequest,
  planCertificate,
} from "./certificates.ts";
import type { SigningOrder } from "./enroller.ts";
import type {
  IdentityRegistryOptions,
  ResolvedOptions,
} from "./identity_options.ts";
import { readToken } from "../state/identity_records.ts";
import { type JoinChallenge, JoinChallenges } from "./join_challenges.ts";
import {
  checkProof,
  type CreatedToken,
  type JoinProof,
  type ListedToken,
  listStoredTokens,
  planStoredRevoke,
  planStoredToken,
  planStoredUse,
} from "./join_tokens.ts";
import {
  planRevocation,
  type RevocationTarget,
  type Revoked,
} from "./revoking.ts";
import {
  planFirstAuthority,
  planNextAuthority,
  planTidying,
  type RotateOptions,
} from "./rotation.ts";
import { IdentityTransactions, type PlannedWrites } from "./transaction.ts";
import type { Credentials, Trust } from "./trust.ts";
import { TrustFollower } from "./trust_follower.ts";

/**
 * The cluster's certificate authority, with its join tokens, what it has
 * issued and what is revoked. All of it is in the registry's store, so that
 * each agent that has the store can sign. Each change is one commit, bound to
 * all that it was decided by.
 *
 * The first authority is made when it is needed first: of several agents that
 * need it at once, one makes it.
 */
export class IdentityRegistry {
  readonly #options: ResolvedOptions;
  readonly #transactions: IdentityTransactions;
  readonly #challenges: JoinChallenges;
  readonly #trust: TrustFollower;

  private constructor(options: IdentityRegistryOptions) {
    const { store, now, marks } = options;
    const lifetimes = { ...DEFAULT_LIFETIMES, ...options.lifetimes };
    this.#options = { ...options, lifetimes };
    this.#transactions = new IdentityTransactions(store, marks);
    this.#challenges = new JoinChallenges(now);
    this.#trust = new TrustFollower(store, now);
  }

  /**
   * Opens what is in a store.
   *
   * @throws {NetError} as the store does, and `failed_precondition` when it is damaged
   */
  static async open(
    options: IdentityRegistryOptions,
  ): Promise<IdentityRegistry> {
    const registry = new IdentityRegistry(options);
    await registry.#trust.refresh();
    return registry;
  }

  /** What others are checked with, as it was read last; without an authority before there is one. */
  get knownTrust(): Trust {
    return this.#trust.known;
  }

  /** What others are checked with, as the store has it. It makes the first authority. */
  async trust(): Promise<Trust> {
    await this.#makeFirst();
    await this.#trust.refresh();
    return this.#trust.known;
  }

  /**
   * Calls back after each change of what others are checked with: by this
   * agent, and once started by others that have the store.
   *
   * @returns what ends that
   */
  onChange(listener: (trust: Trust) => void): () => void {
    return this.#trust.onChange(listener);
  }

  /** Begins to follow what other agents that have the store change. */
  start(): void {
    this.#trust.start();
  }

  /** Stops following. */
  stop(): Promise<void> {
    return this.#trust.stop();
  }

  /** Makes a join token. @throws {NetError} `invalid_argument` naming what is wrong */
  async createToken(terms: TokenTerms): Promise<CreatedToken> {
    await this.#makeFirst();
    return await this.#change((nowMs) =>
      planStoredToken(this.#store, terms, nowMs)
    );
  }

  /** The join tokens, the latest first. */
  listTokens(): Promise<ListedToken[]> {
    return listStoredTokens(this.#store, this.#options.now());
  }

  /** Lets nobody in with a token any more. @throws {NetError} `not_found` */
  revokeToken(id: string): Promise<ListedToken> {
    return this.#change((nowMs) => planStoredRevoke(this.#store, id, nowMs));
  }

  /** Begins a join. What it answers does not tell whether the token is known. */
  async beginJoin(tokenId: string): Promise<JoinChallenge> {
    const record = await readToken(this.#store, tokenId);
    return await this.#challenges.begin(tokenId, record?.verifier);
  }

  /**
   * Certifies a newcomer's key. The use of its token and the certificate are
   * kept in one commit.
   *
   * @throws {NetError} `unauthenticated` when the token is not known or the
   * proof is wrong, `permission_denied` when the token lets nobody in, or the
   * name or an address belongs to another, `invalid_argument` naming a field,
   * `unavailable` when the join has to be begun again
   */
  async finishJoin(
    join: JoinProof & {
      readonly addresses: readonly Address[];
      /** What the newcomer can be; empty: anything, with addresses a node. */
      readonly roles: readonly Role[];
    },
  ): Promise<Credentials> {
    checkProof(join);
    await this.#challenges.check(join.tokenId, join.serverNonce);
    let isUsed = false;
    return await this.#certify(async (nowMs) => {
      const { puts, isBound, ...grant } = await planStoredUse(
        { store: this.#store, challenges: this.#challenges, nowMs },
        join,
      );
      if (!isUsed) this.#challenges.use(join.serverNonce);
      isUsed = true;
      const { addresses, roles } = join;
      const order = { ...grant, addresses };
      const isNode = roles.length === 0 && addresses.length > 0;
      refuseRole(grant, isNode ? ["node"] : roles);
      if (!isBound) await refuseKnownName(this.#at(nowMs), order);
      await refuseOthersAddresses(this.#at(nowMs), order);
      return { order, puts };
    });
  }

  /**
   * Certifies the key of the node whose agent this is. It has the authority's
   * key itself: there is nothing to prove.
   */
  async signOwn(
    { name, addresses, signingRequest }: SigningOrder & {
      readonly name: string;
    },
  ): Promise<Credentials> {
    const request = parseSigningRequest(signingRequest);
    await this.#makeFirst();
    return await this.#certify(() =>
      Promise.resolve({ order: { role: "node", name, addresses, request } })
    );
  }

  /**
   * Certifies a key for who has a certificate.
   *
   * @param identity what the certificate says; who issued it was verified. A
   * node's may have ended, for a while
   * @throws {NetError} `permission_denied` when it is revoked, has ended too
   * long ago, or an address belongs to another
   */
  async renew(
    identity: PeerIdentity,
    { addresses, signingRequest }: SigningOrder,
  ): Promise<Credentials> {
    const request = parseSigningRequest(signingRequest);
    const { role, name } = identity;
    return await this.#certify(async (nowMs) => {
      await refuseRenewal(this.#at(nowMs), identity, request);
      const order = { role, name, addresses, request };
      await refuseOthersAddresses(this.#at(nowMs), order);
      return { order };
    });
  }

  /** The certificates that have not ended, by role and name, the latest of a name first. */
  listCertificates(): Promise<CertificateListing[]> {
    return listCertificates(this.#store, this.#options.now());
  }

  /**
   * Revokes one certificate, or all that a name has so far.
   *
   * @throws {NetError} `not_found` for a serial number that is not known
   */
  revoke(target: RevocationTarget, reason: string): Promise<Revoked> {
    return this.#change((nowMs) =>
      planRevocation(this.#store, target, { reason, ...this.#at(nowMs) })
    );
  }

  /**
   * Makes the next authority.
   *
   * @throws {NetError} `invalid_argument` naming the field,
   * `failed_precondition` while the rotation before is under way
   */
  async rotate(options: RotateOptions = {}): Promise<TrustRecord> {
    await this.#makeFirst();
    return await this.#change((nowMs) =>
      planNextAuthority(this.#options, options, this.#at(nowMs))
    );
  }

  /** Gives up keys that sign no more, and forgets what has ended. */
  async tidy(): Promise<void> {
    const step = () => this.#change((nowMs) => planTidying(this.#store, nowMs));
    while (await step());
  }

  get #store(): Store {
    return this.#options.store;
  }

  #at(nowMs: number): ResolvedOptions & { readonly nowMs: number } {
    return { ...this.#options, nowMs };
  }

  /** Makes the first authority, where there is none. */
  async #makeFirst(): Promise<void> {
    if (this.#trust.known.authorities.length > 0) return;
    await this.#change((nowMs) => planFirstAuthority(this.#options, nowMs));
  }

  /** Commits a change, and takes in what it made of the trust. */
  async #change<T>(
    plan: (nowMs: number) => Promise<PlannedWrites<T>>,
  ): Promise<T> {
    const answer = await this.#transactions
      .run(() => plan(this.#options.now()));
    // It is done, whether that can be read now or not.
    await this.#trust.tryRefresh();
    return answer;
  }

  async #certify(
    decide: (nowMs: number) => Promise<{
      readonly order: CertificateOrder;
      readonly puts?: PlannedWrites<never>["puts"];
    }>,
  ): Promise<Credentials> {
    const chain = await this.#change(async (nowMs) => {
      const { order, puts = [] } = await decide(nowMs);
      const { chain, puts: more } = await planCertificate(
        this.#store,
        order,
        this.#at(nowMs),
      );
      return { answer: chain, puts: [...puts, ...more] };
    });
    return { chain, trust: this.#trust.known };
  }
}
