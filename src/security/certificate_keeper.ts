import { getLogger } from "@logtape/logtape";
import { NetError } from "../base/error.ts";
import type { Address } from "../net/address.ts";
import { createSigningRequest } from "./pki/signing_request.ts";
import {
  askInTurn,
  type CertificateSource,
  isRefusal,
} from "./certificate_source.ts";
import type { IdentityState } from "./identity_state.ts";
import { renewalDueMs } from "./renewal_plan.ts";
import type { Credentials } from "./trust.ts";

/** How often it is looked whether there is something to do, in ms: clocks are set, and hosts sleep. */
const LOOK_MS = 2_000;
const FIRST_BACK_OFF_MS = 500;
const MAX_BACK_OFF_MS = 15_000;
/** The same while there is a certificate. */
const MAX_RENEWAL_BACK_OFF_MS = 60_000;
/** How long an attempt may take, in ms. */
const ATTEMPT_TIMEOUT_MS = 20_000;
/** How long this node may be out of its cluster before a new token is used, in ms. */
const AWAY_MS = 10_000;

const NO_TOKEN =
  'Cannot join: this host has no certificate, and no token to get one with; make one with "stellar-net token create" on a host of the registry, and name its file with --token-file';

const log = getLogger(["stellar-net", "identity"]);

/** What certificates are kept with. */
export interface CertificateKeeperOptions {
  readonly node: string;
  readonly source: CertificateSource;
  /** Whether this node is where it belongs: in its cluster. Default: always. */
  readonly isAtHome?: () => boolean;
  /** The time in ms since 1970. */
  readonly now: () => number;
  /** A random number from 0 to 1. */
  readonly random: () => number;
  /** Waits for some milliseconds, or until a signal ends the wait. */
  readonly wait: (ms: number, signal: AbortSignal) => Promise<void>;
}

/** Whose certificate it is. */
export interface Certified {
  readonly state: IdentityState;
  /** Takes up what was certified. @throws {NetError} when it is for somebody else */
  adopt(
    given: { readonly credentials: Credentials; readonly tokenId: string },
  ): Promise<void>;
}

/** Gets a node's certificate, and renews it in time, whatever happens. */
export class CertificateKeeper {
  readonly #options: CertificateKeeperOptions;
  readonly #of: Certified;
  readonly #stop = new AbortController();
  #wake = new AbortController();
  #running: Promise<void> | undefined;
  #addresses: readonly Address[] | undefined;
  /** Drawn anew for each certificate. */
  #jitter: number;
  #failures = 0;
  #problem = "";
  #isRefused = false;
  #awaySinceMs: number | undefined;
  /** Whether a new certificate is wanted although the one there is good. */
  #isWanted = false;

  constructor(options: CertificateKeeperOptions, of: Certified) {
    this.#options = options;
    this.#of = of;
    this.#jitter = options.random();
  }

  /** Why the last attempt came to nothing; empty when it did not. */
  get problem(): string {
    return this.#problem;
  }

  /** Whether that was an answer, and not that none came. */
  get isRefused(): boolean {
    return this.#isRefused;
  }

  /** Takes in which addresses are to be certified. Before that nothing is asked for. */
  setAddresses(addresses: readonly Address[]): void {
    this.#addresses = addresses;
    this.lookSoon();
  }

  /** Looks at once whether there is something to do. */
  lookSoon(): void {
    this.#wake.abort();
  }

  /** Renews at once, whether that is due or not; again and again until it is done. */
  renewNow(): void {
    this.#isWanted = true;
    this.lookSoon();
  }

  /** Begins. */
  start(): void {
    this.#running ??= this.#run();
  }

  /** Ends, once an attempt that is under way has ended. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { wait } = this.#options;
    const { signal } = this.#stop;
    while (!signal.aborted) {
      this.#wake = new AbortController();
      const ms = await this.#look();
      await wait(ms, AbortSignal.any([signal, this.#wake.signal]));
    }
  }

  /** Does what is due. @returns when to look again, in ms */
  async #look(): Promise<number> {
    const { now } = this.#options;
    if (this.#addresses === undefined) return LOOK_MS;
    const dueMs = this.#dueMs(this.#addresses);
    const isWanted = this.#isWanted;
    const isDue = isWanted || dueMs <= now();
    if (!isDue && !this.#isAway()) {
      return Math.min(LOOK_MS, dueMs - now());
    }
    this.#isWanted = false;
    try {
      const given = await this.#certify(this.#addresses, { isDue });
      if (given) await this.#of.adopt(given);
      if (given || isDue) this.#succeed();
      return LOOK_MS;
    } catch (error) {
      if (this.#stop.signal.aborted) return LOOK_MS;
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
    // Half of it to all of it: many hosts do not come back at once.
    const limit = this.#of.state.certificate && this.#isAtHome
      ? MAX_RENEWAL_BACK_OFF_MS
      : MAX_BACK_OFF_MS;
    return Math.min(most, limit) * (0.5 + this.#options.random() / 2);
  }

  #dueMs(addresses: readonly Address[]): number {
    const { certificate, trust } = this.#of.state;
    if (!certificate) return 0;
    return renewalDueMs({
      certificate,
      authorities: trust.authorities,
      addresses,
      jitter: this.#jitter,
    });
  }

  get #isAtHome(): boolean {
    return this.#options.isAtHome?.() ?? true;
  }

  /** Whether this node has been out of its cluster for a while: a new token may help. */
  #isAway(): boolean {
    const { source, now } = this.#options;
    if (source.kind === "own" || this.#isAtHome) {
      this.#awaySinceMs = undefined;
      return false;
    }
    this.#awaySinceMs ??= now();
    return now() - this.#awaySinceMs >= AWAY_MS;
  }

  /** Gets a certificate; undefined when none is due and there is no new token. */
  async #certify(
    addresses: readonly Address[],
    { isDue }: { readonly isDue: boolean },
  ): Promise<Parameters<Certified["adopt"]>[0] | undefined> {
    const { source, node } = this.#options;
    const { certificate, key, tokenId } = this.#of.state;
    const signingRequest = createSigningRequest(key);
    const order = { signingRequest, addresses };
    if (source.kind === "own") {
      const credentials = await source.sign({ ...order, name: node });
      return { credentials, tokenId };
    }
    const { enrollers } = source;
    const signal = AbortSignal.any([
      this.#stop.signal,
      AbortSignal.timeout(ATTEMPT_TIMEOUT_MS),
    ]);
    let refusal: unknown;
    if (certificate && isDue) {
      try {
        const credentials = await askInTurn(
          enrollers,
          (enroller) => enroller.renew(order, signal),
        );
        return { credentials, tokenId };
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
      enrollers,
      (enroller) =>
        enroller.enrol(
          { ...order, token, name: node, roles: ["node"] },
          signal,
        ),
    );
    return { credentials, tokenId: token.id };
  }

  /** The token; undefined when there is none, or a certificate is there and the file is gone. */
  async #readToken(
    source: CertificateSource & { readonly kind: "others" },
    refusal: unknown,
  ) {
    try {
      return await source.readToken();
    } catch (error) {
      // The file may be gone once this host is in.
      if (refusal !== undefined || this.#of.state.certificate) return undefined;
      throw error;
    }
  }
}
