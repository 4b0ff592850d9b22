import { getLogger } from "@logtape/logtape";
import { NetError } from "../base/error.ts";
import { BackOff, followWatch, sleep } from "../base/retry.ts";
import { type Address, formatAddress } from "../net/address.ts";
import { IDENTITY_PREFIX } from "../state/identity_records.ts";
import type { Store } from "../store/store.ts";
import {
  type KnownNodes,
  type NodesView,
  refuseAmbiguousName,
  refuseForeignAddresses,
  refuseKnownName,
  refuseRenewal,
  refuseRole,
  refuseUnreachableAddresses,
} from "./admission.ts";
import type { SigningOrder } from "./certificate_source.ts";
import {
  type CertificateListing,
  type CertificateOrder,
  DEFAULT_LIFETIMES,
  type Lifetimes,
  listCertificates,
  parseSigningRequest,
  planCertificate,
  RevokedThisSecond,
} from "./certificates.ts";
import {
  createIdentityLedger,
  type IdentityLedger,
  type IdentityPlan,
  type IdentityRecords,
  readIdentityCommits,
  type StoreMarks,
} from "./identity_ledger.ts";
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
import type { TrustRecord } from "./pki/authority.ts";
import { publicPart, signingAt, trustedAt } from "./pki/generations.ts";
import type { PeerIdentity, Role } from "./pki/identity.ts";
import { signTrust } from "./pki/signed_trust.ts";
import type { TokenTerms } from "./pki/token_record.ts";
import { RenewalLimit } from "./renewal_limit.ts";
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
import { type Credentials, NO_TRUST, type Trust } from "./trust.ts";

/** Time to the next watch after one that failed, in ms. */
const REWATCH_MS = 500;

/** Options of a change. */
interface ChangeOptions {
  readonly signal?: AbortSignal | undefined;
  readonly isUrgent?: boolean;
  readonly isDryRun?: boolean;
}

/** Whether a change only tells what it would do. */
type DryRun = Pick<ChangeOptions, "isDryRun">;

/** A change of an operator overtakes joins and renewals. */
const URGENT: ChangeOptions = { isUrgent: true };

/** The wait until certificates begin in another second than now, in ms. */
const NEXT_SECOND_MS = 1_000;

const log = getLogger(["stellar-net", "identity"]);

/** Options of a registry of identities. */
export interface IdentityRegistryOptions {
  /** The registry's store. */
  readonly store: Store;
  readonly clusterId: string;
  /** The time in ms since 1970. */
  readonly now: () => number;
  readonly nodes: KnownNodes;
  /** Lifetimes of certificates. Default: `DEFAULT_LIFETIMES`. */
  readonly lifetimes?: Lifetimes;
  /** Default: nothing forbids changes. */
  readonly marks?: StoreMarks;
}

/**
 * The cluster's certificate authority, with its join tokens, the certificates
 * that it issued, and revocations. All of it is in the registry's store, so
 * that every agent with access to the store can sign. Each change is one commit,
 * and fails when anything that it depends on has changed.
 *
 * The first operation that needs an authority makes the first one. Of several
 * agents that do this at once, one succeeds.
 */
export class IdentityRegistry {
  readonly #options: IdentityRegistryOptions & {
    readonly lifetimes: Lifetimes;
  };
  readonly #ledger: IdentityLedger;
  readonly #challenges: JoinChallenges;
  readonly #renewals: RenewalLimit;
  readonly #listeners = new Set<(trust: Trust) => void>();
  readonly #stop = new AbortController();
  #following: Promise<void> = Promise.resolve();
  #refreshing: Promise<void> = Promise.resolve();
  #trust: Trust = NO_TRUST;
  #trustText = JSON.stringify(NO_TRUST);

  private constructor(options: IdentityRegistryOptions) {
    this.#options = { lifetimes: DEFAULT_LIFETIMES, ...options };
    this.#ledger = createIdentityLedger(options);
    this.#challenges = new JoinChallenges(options.now);
    this.#renewals = new RenewalLimit(options.now);
  }

  /**
   * Opens the identities in a store.
   *
   * @throws {NetError} as the store does, and `failed_precondition` when a record is damaged
   */
  static async open(
    options: IdentityRegistryOptions,
  ): Promise<IdentityRegistry> {
    const registry = new IdentityRegistry(options);
    await registry.#refresh();
    return registry;
  }

  /** The last known trust; without an authority before there is one. */
  get knownTrust(): Trust {
    const nowMs = this.#options.now();
    const { authorities, revocations, signed } = this.#trust;
    return {
      signed,
      authorities: trustedAt(authorities, nowMs),
      revocations: revocations.filter(({ untilMs }) => nowMs < untilMs),
    };
  }

  /** The trust as the store has it. Makes the first authority. */
  async trust(): Promise<Trust> {
    await this.#makeFirst();
    await this.#refresh();
    return this.knownTrust;
  }

  /**
   * Calls back after each change of the trust: by this agent, and after
   * `start` also by others with the same store.
   *
   * @returns ends the calls
   */
  onChange(listener: (trust: Trust) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Starts to follow the changes of other agents with the same store. */
  start(): void {
    this.#following = this.#follow();
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#following;
    await this.#refreshing;
  }

  /** Makes a join token. @throws {NetError} `invalid_argument` naming the field */
  async createToken(
    terms: TokenTerms,
    options: DryRun = {},
  ): Promise<CreatedToken> {
    await this.#makeFirst();
    return await this.#change(
      (records, nowMs) => planStoredToken(records, terms, nowMs),
      { ...URGENT, ...options },
    );
  }

  /** The join tokens, the latest first. */
  listTokens(): Promise<ListedToken[]> {
    return this.#ledger.read((records) =>
      listStoredTokens(records, this.#options.now())
    );
  }

  /** Revokes a join token. @throws {NetError} `not_found` */
  revokeToken(id: string, options: DryRun = {}): Promise<ListedToken> {
    return this.#change(
      (records, nowMs) => planStoredRevoke(records, id, nowMs),
      { ...URGENT, ...options },
    );
  }

  /** Begins a join. The answer does not tell whether the token exists. */
  async beginJoin(tokenId: string): Promise<JoinChallenge> {
    const record = await this.#ledger.read((records) => records.token(tokenId));
    return this.#challenges.begin(tokenId, record?.verifier);
  }

  /**
   * Issues a certificate for a joining key. One commit stores it and the
   * use of the token.
   *
   * @throws {NetError} `unauthenticated` when the token does not exist or the
   * proof is wrong, `permission_denied` when the token is not valid for this
   * joining host, or the name or an address belongs to another, `invalid_argument`
   * naming a field, `unavailable` when the joining host has to begin again
   */
  async finishJoin(
    join: JoinProof & {
      readonly addresses: readonly Address[];
      /** The roles that the joining host accepts; empty: all, or node if it has addresses. */
      readonly roles: readonly Role[];
    },
    signal?: AbortSignal,
  ): Promise<Credentials> {
    checkProof(join);
    this.#challenges.check(join.tokenId, join.serverNonce);
    let isUsed = false;
    return await this.#certify((records, { nodes, nowMs }) => {
      const { changes, isBound, ...grant } = planStoredUse(
        { records, challenges: this.#challenges, nowMs },
        join,
      );
      if (!isUsed) this.#challenges.use(join.serverNonce);
      isUsed = true;
      const { addresses, roles } = join;
      const order = { ...grant, addresses };
      const isNode = roles.length === 0 && addresses.length > 0;
      refuseRole(grant, isNode ? ["node"] : roles);
      const registered = { ...this.#options, records, nodes, nowMs };
      refuseAmbiguousName(order);
      if (!isBound) refuseKnownName(registered, order);
      refuseUnreachableAddresses(registered, order);
      refuseForeignAddresses(registered, order);
      return { order, changes };
    }, { signal });
  }

  /** Issues a certificate for this agent's own node, which has nothing to prove. */
  async signOwn(
    { name, addresses, signingRequest }: SigningOrder & {
      readonly name: string;
    },
  ): Promise<Credentials> {
    const request = parseSigningRequest(signingRequest);
    await this.#makeFirst();
    return await this.#certify(() => ({
      order: { role: "node", name, addresses, request },
    }));
  }

  /**
   * Renews a certificate.
   *
   * @param identity from the present certificate, whose issuer was verified. A
   * node's may have expired a while ago
   * @throws {NetError} `permission_denied` when it is revoked or has expired
   * too long ago, or an address belongs to another node; `unavailable` when the
   * identity was renewed too often
   * @param signal drops the renewal if it is not planned yet
   */
  async renew(
    identity: PeerIdentity,
    { addresses, signingRequest }: SigningOrder,
    signal?: AbortSignal,
  ): Promise<Credentials> {
    const { role, name } = identity;
    const { generation } = signingAt(
      await this.#ledger.read(({ authorities }) => authorities),
      this.#options.now(),
    );
    const terms = [generation, ...addresses.map(formatAddress)].join(" ");
    this.#renewals.count({
      identity: `${role} "${name}"`,
      terms,
      lifetimeMs: this.#options.lifetimes[role],
    });
    const request = parseSigningRequest(signingRequest);
    return await this.#certify((records, { nodes, nowMs }) => {
      const registered = { ...this.#options, records, nodes, nowMs };
      refuseRenewal(registered, identity, request);
      const order = { role, name, addresses, request };
      refuseUnreachableAddresses(registered, order);
      refuseForeignAddresses(registered, order);
      return { order };
    }, { signal });
  }

  /** The certificates that have not expired, by role and name, the latest of a name first. */
  listCertificates(): Promise<CertificateListing[]> {
    return this.#ledger.read((records) =>
      listCertificates(records, this.#options.now())
    );
  }

  /**
   * Revokes one certificate, or all certificates of a name so far.
   *
   * @throws {NetError} `not_found` for an unknown serial number
   */
  revoke(
    target: RevocationTarget,
    reason: string,
    options: DryRun = {},
  ): Promise<Revoked> {
    const { lifetimes } = this.#options;
    return this.#change(
      (records, nowMs) =>
        planRevocation(records, target, { reason, nowMs, lifetimes }),
      { ...URGENT, ...options },
    );
  }

  /**
   * Makes the next authority.
   *
   * @throws {NetError} `invalid_argument` naming the field,
   * `failed_precondition` while an earlier rotation is in progress
   */
  async rotate(
    options: RotateOptions = {},
    run: DryRun = {},
  ): Promise<TrustRecord> {
    await this.#makeFirst();
    return await this.#change(
      (records, nowMs) =>
        planNextAuthority({ ...this.#options, records, nowMs }, options),
      { ...URGENT, ...run },
    );
  }

  /** Deletes keys of authorities that no longer sign, and expired records. */
  async tidy(): Promise<void> {
    while (await this.#change(planTidying));
  }

  /** Makes the first authority, if there is none. */
  async #makeFirst(): Promise<void> {
    if (this.#trust.authorities.length > 0) return;
    const { clusterId } = this.#options;
    await this.#change((records, nowMs) =>
      planFirstAuthority({ records, clusterId, nowMs })
    );
  }

  async #change<T>(
    plan: (records: IdentityRecords, nowMs: number) => IdentityPlan<T>,
    { signal, ...options }: ChangeOptions = {},
  ): Promise<T> {
    const answer = await this.#ledger.submit(plan, signal, options);
    // The change is durable, whether its effect can be read now or not.
    await this.#tryRefresh();
    return answer;
  }

  async #certify(
    decide: (
      records: IdentityRecords,
      at: { readonly nodes: NodesView; readonly nowMs: number },
    ) => {
      readonly order: CertificateOrder;
      readonly changes?: IdentityPlan<never>["changes"];
    },
    options: ChangeOptions = {},
  ): Promise<Credentials> {
    const { lifetimes } = this.#options;
    const nodes = await this.#options.nodes.view();
    const attempt = () =>
      this.#change((records, nowMs) => {
        const { order, changes = [] } = decide(records, { nodes, nowMs });
        const plan = planCertificate(records, order, { nowMs, lifetimes });
        return { ...plan, changes: [...changes, ...plan.changes] };
      }, options);
    const chain = await attempt().catch(async (error) => {
      if (!(error instanceof RevokedThisSecond)) throw error;
      // The next second is near: nobody has to type the command again.
      await sleep(NEXT_SECOND_MS, this.#stop.signal);
      return await attempt();
    });
    return { chain, trust: this.knownTrust };
  }

  #follow(): Promise<void> {
    const { signal } = this.#stop;
    const { store } = this.#options;
    return followWatch({
      signal,
      backOff: new BackOff({ firstMs: REWATCH_MS }),
      open: () => store.watch(IDENTITY_PREFIX, { signal }),
      onEvent: (event) => {
        const commits = event.kind === "changes"
          ? readIdentityCommits(event.changes)
          : undefined;
        for (const commit of commits ?? [undefined]) {
          this.#ledger.receive(commit);
        }
        this.#refreshing = this.#tryRefresh();
      },
      onFailure: (error) =>
        log.debug("Watching identities again: {error}", { error }),
    });
  }

  /** Reads the trust. When that fails, a later attempt reads it. */
  async #tryRefresh(): Promise<void> {
    try {
      await this.#refresh();
    } catch (error) {
      if (!(error instanceof NetError)) throw error;
      log.warn("Cannot read the trusted authorities, trying again: {error}", {
        error,
      });
    }
  }

  /** Reads the trust, and tells the listeners when it has changed. */
  async #refresh(): Promise<void> {
    const { content, sign } = await this.#ledger.read((records) => {
      const { authorities, revocations, endorsements } = records;
      return {
        content: { authorities: authorities.map(publicPart), revocations },
        sign: () => signTrust(authorities, { revocations, endorsements }),
      };
    });
    const text = JSON.stringify(content);
    if (text === this.#trustText) return;
    this.#trustText = text;
    this.#trust = { ...content, signed: sign() };
    for (const listener of this.#listeners) listener(this.knownTrust);
  }
}
