import { getLogger } from "@logtape/logtape";
import { NetError } from "../base/error.ts";
import { type Address, formatAddress } from "../net/address.ts";
import {
  askInTurn,
  type CertificateSource,
  isRefusal,
} from "./certificate_source.ts";
import type { IdentityState } from "./identity_state.ts";
import type { TrustRecord } from "./pki/authority.ts";
import type { PeerIdentity } from "./pki/identity.ts";
import { renewalTimeMs } from "./pki/profile.ts";
import type { JoinToken } from "./pki/token.ts";
import { createSigningRequest } from "./pki/signing_request.ts";
import type { Credentials } from "./trust.ts";

/** Longest time between checks, in ms, because clocks are set and hosts sleep. */
const CHECK_MS = 2_000;
const FIRST_BACK_OFF_MS = 500;
const MAX_BACK_OFF_MS = 15_000;
/** Longest wait while there is a certificate. */
const MAX_RENEWAL_BACK_OFF_MS = 60_000;
/** Longest attempt, in ms. */
const ATTEMPT_TIMEOUT_MS = 20_000;
/** Time out of its cluster after which this node uses a new token, in ms. */
const AWAY_MS = 10_000;
/** Longest time over which hosts spread their renewals after a rotation, in ms. */
const MAX_SPREAD_MS = 10 * 60_000;
/** The share of the time in which the previous authority is still trusted. */
const SPREAD_SHARE = 1 / 10;

const NO_TOKEN =
  'Cannot join: this host has no certificate, and no token to get one with; make one with "stellar-net token create" on a host of the registry, and name its file with --token-file';

const log = getLogger(["stellar-net", "identity"]);

/** The facts that decide when to renew. */
export interface RenewalFacts {
  readonly certificate: {
    readonly identity: PeerIdentity;
    readonly addresses: readonly Address[];
  };
  readonly authorities: readonly TrustRecord[];
  /** The addresses that the next certificate is for. */
  readonly addresses: readonly Address[];
  /** 0 to 1, so that hosts do not renew together. */
  readonly jitter: number;
}

/** Options of the renewal of a certificate. */
export interface CertificateRenewerOptions {
  readonly node: string;
  readonly source: CertificateSource;
  /** Whether this node is in its cluster. Default: always. */
  readonly isInCluster?: () => boolean;
  /**
   * Whether the certificate may be renewed. Not while the state is a copy: the
   * cluster would take the addresses of this machine for those of the node.
   * Default: always.
   */
  readonly mayRenew?: () => boolean;
  /** The time in ms since 1970. */
  readonly now: () => number;
  readonly random: () => number;
  /** Waits for some milliseconds, or until a signal ends the wait. */
  readonly wait: (ms: number, signal: AbortSignal) => Promise<void>;
}

export interface CertificateOwner {
  readonly state: IdentityState;
  /** Uses a new certificate. @throws {NetError} when it is for another node */
  adopt(
    given: {
      readonly credentials: Credentials;
      /** The token that it comes from; undefined for a renewal. */
      readonly token?: JoinToken;
    },
  ): Promise<void>;
}

/** Gets a node's certificate, and renews it in time. */
export class CertificateRenewer {
  readonly #options: CertificateRenewerOptions;
  readonly #owner: CertificateOwner;
  readonly #stop = new AbortController();
  #wake = new AbortController();
  #running: Promise<void> | undefined;
  #addresses: readonly Address[] | undefined;
  /** Random for each certificate. */
  #jitter: number;
  #failures = 0;
  #problem = "";
  #isRefused = false;
  #awaySinceMs: number | undefined;
  /** Whether a new certificate was requested. */
  #isWanted = false;

  constructor(options: CertificateRenewerOptions, owner: CertificateOwner) {
    this.#options = options;
    this.#owner = owner;
    this.#jitter = options.random();
  }

  /** Why the last attempt failed; empty when it succeeded. */
  get problem(): string {
    return this.#problem;
  }

  /** Whether that was an answer, rather than the lack of one. */
  get isRefused(): boolean {
    return this.#isRefused;
  }

  /** Sets the addresses for the certificate. The first call starts the first attempt. */
  setAddresses(addresses: readonly Address[]): void {
    this.#addresses = addresses;
    this.checkNow();
  }

  /** Checks at once whether a renewal is due. */
  checkNow(): void {
    this.#wake.abort();
  }

  /** Renews now, due or not, and tries again until it succeeds. */
  renewNow(): void {
    this.#isWanted = true;
    this.checkNow();
  }

  start(): void {
    this.#running ??= this.#run();
  }

  /** Stops after the present attempt. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { wait } = this.#options;
    const { signal } = this.#stop;
    while (!signal.aborted) {
      this.#wake = new AbortController();
      const ms = await this.#check();
      await wait(ms, AbortSignal.any([signal, this.#wake.signal]));
    }
  }

  /** Renews if that is due. @returns time to the next check, in ms */
  async #check(): Promise<number> {
    const { now } = this.#options;
    if (this.#addresses === undefined) return CHECK_MS;
    const dueMs = this.#dueMs(this.#addresses);
    const isWanted = this.#isWanted;
    const isDue = isWanted || dueMs <= now();
    if (!isDue && !this.#isAway()) {
      return Math.min(CHECK_MS, dueMs - now());
    }
    this.#isWanted = false;
    try {
      const given = await this.#obtain(this.#addresses, { isDue });
      if (given) await this.#owner.adopt(given);
      if (given || isDue) this.#succeed();
      return CHECK_MS;
    } catch (error) {
      if (this.#stop.signal.aborted) return CHECK_MS;
      this.#isWanted ||= isWanted;
      return this.#fail(error);
    }
  }

  #succeed(): void {
    this.#failures = 0;
    this.#problem = "";
    this.#isRefused = false;
    this.#awaySinceMs = undefined;
    this.#jitter = this.#options.random();
  }

  #fail(error: unknown): number {
    const message = error instanceof NetError
      ? error.message
      : `Cannot get a certificate: ${String(error)}`;
    if (message !== this.#problem) log.warn("{message}", { message });
    this.#problem = message;
    this.#isRefused = !(error instanceof NetError) || isRefusal(error);
    const most = FIRST_BACK_OFF_MS * 2 ** Math.min(this.#failures++, 10);
    // Between half and all of it, so that hosts do not come back together.
    const limit = this.#owner.state.certificate && this.#isInCluster
      ? MAX_RENEWAL_BACK_OFF_MS
      : MAX_BACK_OFF_MS;
    return Math.min(most, limit) * (0.5 + this.#options.random() / 2);
  }

  #dueMs(addresses: readonly Address[]): number {
    const { certificate, trust } = this.#owner.state;
    if (!certificate) return 0;
    if (!this.#mayRenew) return Infinity;
    return renewalDueMs({
      certificate,
      authorities: trust.authorities,
      addresses,
      jitter: this.#jitter,
    });
  }

  get #mayRenew(): boolean {
    return this.#options.mayRenew?.() ?? true;
  }

  get #isInCluster(): boolean {
    return this.#options.isInCluster?.() ?? true;
  }

  /** Whether this node has been out of its cluster for so long that a new token may help. */
  #isAway(): boolean {
    const { source, now } = this.#options;
    if (source.kind === "own" || this.#isInCluster) {
      this.#awaySinceMs = undefined;
      return false;
    }
    this.#awaySinceMs ??= now();
    return now() - this.#awaySinceMs >= AWAY_MS;
  }

  /** Gets a certificate; undefined when none is due and there is no new token. */
  async #obtain(
    addresses: readonly Address[],
    { isDue }: { readonly isDue: boolean },
  ): Promise<Parameters<CertificateOwner["adopt"]>[0] | undefined> {
    const { source, node } = this.#options;
    const { certificate, key, tokenId } = this.#owner.state;
    const signingRequest = createSigningRequest(key);
    const order = { signingRequest, addresses };
    if (source.kind === "own") {
      const credentials = await source.sign({ ...order, name: node });
      return { credentials };
    }
    const { issuers } = source;
    const signal = AbortSignal.any([
      this.#stop.signal,
      AbortSignal.timeout(ATTEMPT_TIMEOUT_MS),
    ]);
    let refusal: unknown;
    if (certificate && isDue && this.#mayRenew) {
      try {
        const credentials = await askInTurn(
          issuers,
          (issuer) => issuer.renew(order, signal),
        );
        return { credentials };
      } catch (error) {
        refusal = error;
      }
    }
    const token = await this.#readToken(source, refusal);
    if (!token || certificate && token.id === tokenId) {
      if (refusal !== undefined) throw refusal;
      if (certificate) return undefined;
      throw new NetError("failed_precondition", NO_TOKEN);
    }
    const credentials = await askInTurn(
      issuers,
      (issuer) =>
        issuer.enrol(
          { ...order, token, name: node, roles: ["node"] },
          signal,
        ),
    );
    return { credentials, token };
  }

  /**
   * The token; undefined when there is none. A token that cannot be read counts
   * only where it is needed: without a certificate, or when a renewal is refused.
   */
  async #readToken(
    source: CertificateSource & { readonly kind: "others" },
    refusal: unknown,
  ) {
    try {
      return await source.readToken();
    } catch (error) {
      if (!this.#owner.state.certificate) throw error;
      // The file may be deleted once this host has joined.
      const isGone = error instanceof NetError && error.code === "not_found";
      const isNeeded = refusal instanceof NetError && isRefusal(refusal);
      if (isGone || !isNeeded) return undefined;
      throw error;
    }
  }
}

/**
 * The time of the next renewal, in ms since 1970: at once when the addresses
 * have changed or the authority is not trusted, soon after a later authority
 * begins to sign, and otherwise after two thirds of the lifetime.
 */
export function renewalDueMs(facts: RenewalFacts): number {
  const { certificate, authorities, addresses, jitter } = facts;
  const { identity } = certificate;
  if (!isSame(certificate.addresses, addresses)) return 0;
  const own = authorities.find(({ generation, clusterId }) =>
    generation === identity.generation && clusterId === identity.clusterId
  );
  if (!own) return 0;
  const rotations = authorities
    .filter(({ generation }) => generation > identity.generation)
    .map(({ signsFromMs }) => {
      const leftMs = Math.max(0, own.trustedUntilMs - signsFromMs);
      const spreadMs = Math.min(MAX_SPREAD_MS, leftMs * SPREAD_SHARE);
      return signsFromMs + jitter * spreadMs;
    });
  return Math.min(renewalTimeMs(identity, jitter), ...rotations);
}

function isSame(a: readonly Address[], b: readonly Address[]): boolean {
  return textOf(a) === textOf(b);
}

function textOf(addresses: readonly Address[]): string {
  return [...new Set(addresses.map(formatAddress))].sort().join(" ");
}
