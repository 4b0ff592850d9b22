import { getLogger } from "@logtape/logtape";
import { NetError } from "../base/error.ts";
import type { IdentityFiles } from "./files/identity_files.ts";
import type { Address } from "../net/address.ts";
import { formatTrust } from "./pki/generations.ts";
import { parsePem } from "./pki/pem.ts";
import {
  type CertificateOwner,
  CertificateRenewer,
  type CertificateRenewerOptions,
} from "./certificate_renewer.ts";
import {
  formatTrustFile,
  type IdentityState,
  openIdentityState,
  saveCredentials,
  saveTrust,
} from "./identity_state.ts";
import { identityWarnings } from "./identity_warnings.ts";
import { type PeerRecognition, recognizePeer } from "./node_recognition.ts";
import type { Credentials, Trust } from "./trust.ts";

/** How long it is told that another has refused this host, in ms. */
const REFUSAL_MS = 60_000;

const log = getLogger(["stellar-net", "identity"]);

/** What an identity is kept with. */
export interface NodeIdentityOptions extends CertificateRenewerOptions {
  readonly files: IdentityFiles;
}

/** Texts in PEM, as TLS takes them. */
export interface NodeMaterial {
  readonly cert: string;
  readonly key: string;
  readonly ca: string;
}

/**
 * Who a node is to the other hosts of its cluster, and how it knows them: its
 * key, its certificate, and the authorities that are trusted. It is kept over
 * restarts.
 */
export class NodeIdentity implements CertificateOwner {
  /** Who has no certificate may prove a join token. */
  readonly acceptsAnonymous = true;
  readonly #options: NodeIdentityOptions;
  readonly #renewer: CertificateRenewer;
  readonly #listeners = new Set<() => void>();
  #state: IdentityState;
  #material: NodeMaterial | undefined;
  /** What was told by who refused this host last. */
  #refusal: { readonly why: string; readonly atMs: number } | undefined;
  #saving: Promise<void> = Promise.resolve();

  private constructor(options: NodeIdentityOptions, state: IdentityState) {
    this.#options = options;
    this.#state = state;
    this.#material = this.#newMaterial();
    this.#renewer = new CertificateRenewer(options, this);
  }

  /**
   * Reads what is kept, and makes the key where there is none.
   *
   * @throws {NetError} `failed_precondition` when a file is damaged or others
   * may use it, `unavailable` when one cannot be read or written
   */
  static async open(options: NodeIdentityOptions): Promise<NodeIdentity> {
    const state = await openIdentityState(options.files);
    return new NodeIdentity(options, state);
  }

  /** What is kept. */
  get state(): IdentityState {
    return this.#state;
  }

  /** What is shown and trusted; undefined before the first certificate. */
  get material(): NodeMaterial | undefined {
    return this.#material;
  }

  /** The file with the certificate. */
  get place(): string {
    return `${this.#options.files.dir}/chain.pem`;
  }

  /** When the certificate ends, in ms since 1970; undefined before the first. */
  get endsAtMs(): number | undefined {
    return this.#state.certificate?.identity.notAfterMs;
  }

  /** Why the last attempt to get a certificate failed; empty when it did not. */
  get renewalProblem(): string {
    return this.#renewer.problem;
  }

  /** Begins to get a certificate, and to renew it. */
  start(): void {
    this.#renewer.start();
  }

  /** Ends it, once all is kept. */
  async stop(): Promise<void> {
    await this.#renewer.stop();
    await this.#saving;
  }

  /** Takes in which addresses are to be certified. */
  setAddresses(addresses: readonly Address[]): void {
    this.#renewer.setAddresses(addresses);
  }

  /** Renews the certificate at once, or uses a new token. */
  renewNow(): void {
    this.#renewer.renewNow();
  }

  /** Calls back after each change of what is shown, trusted or revoked. @returns what ends that */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  recognize(
    shown: { readonly der: Uint8Array; readonly usage: "client" | "server" },
  ): PeerRecognition {
    const { trust } = this.#state;
    return recognizePeer(shown, { trust, nowMs: this.#options.now() });
  }

  fault(nowMs: number): string {
    const { certificate, trust } = this.#state;
    if (!certificate) return "there is none yet";
    const own = recognizePeer(
      { der: derOf(certificate.chain), usage: "server" },
      { trust, nowMs },
    );
    return own.kind === "member" ? "" : own.why;
  }

  warnings(nowMs: number): string[] {
    const refusal = this.#refusal;
    return identityWarnings(this.#state, {
      nowMs,
      fault: this.fault(nowMs),
      problem: this.#renewer.problem,
      isRefused: this.#renewer.isRefused,
      refusal: refusal && nowMs - refusal.atMs < REFUSAL_MS ? refusal.why : "",
      signsItself: this.#options.source.kind === "own",
    });
  }

  /** Takes in that another host has refused this one, although it is at that address. */
  noteRefusal(why: string): void {
    this.#refusal = { why, atMs: this.#options.now() };
  }

  /**
   * Takes in what others are checked with from now on. Nothing of another
   * cluster is taken, unless this agent hosts the registry itself; and the
   * last authority is never given up.
   */
  takeTrust(trust: Trust): void {
    const { files, source } = this.#options;
    const clusterId = trust.authorities.at(-1)?.clusterId;
    const known = this.#clusterId;
    if (clusterId === undefined) return;
    if (
      source.kind === "others" && known !== undefined && known !== clusterId
    ) {
      log.error(
        'Refused the authority of cluster "{clusterId}": this host is in "{known}"',
        { clusterId, known },
      );
      return;
    }
    const { tokenId } = this.#state;
    const text = formatTrustFile({ trust, tokenId });
    if (text === formatTrustFile(this.#state)) return;
    this.#set({ ...this.#state, trust });
    this.#saving = this.#saving.then(() => saveTrust(files, this.#state))
      .catch((error) =>
        log.error("Cannot keep which authorities are trusted: {error}", {
          error,
        })
      );
    this.#renewer.checkNow();
  }

  async adopt(
    { credentials, tokenId }: {
      readonly credentials: Credentials;
      readonly tokenId: string;
    },
  ): Promise<void> {
    const { files } = this.#options;
    this.#checkOwn(credentials, {
      isNewToken: tokenId !== this.#state.tokenId,
    });
    // What is written meanwhile must not come after it.
    await this.#saving;
    const certificate = await saveCredentials(files, { credentials, tokenId });
    this.#refusal = undefined;
    this.#set({
      key: this.#state.key,
      certificate,
      trust: credentials.trust,
      tokenId,
    });
    const { notAfterMs, generation } = certificate.identity;
    log.info("Certified until {until} by authority {generation}", {
      until: new Date(notAfterMs).toISOString(),
      generation,
    });
  }

  get #clusterId(): string | undefined {
    return this.#state.trust.authorities.at(-1)?.clusterId;
  }

  /** Checks what has come: nothing is given up for what would be of no use. */
  #checkOwn(
    { chain, trust }: Credentials,
    { isNewToken }: { readonly isNewToken: boolean },
  ): void {
    const { node, source, now } = this.#options;
    const own = recognizePeer(
      { der: derOf(chain), usage: "server" },
      { trust, nowMs: now() },
    );
    if (own.kind === "refused") {
      throw new NetError(
        "unauthenticated",
        `Cannot use the certificate that was given: ${own.why}`,
      );
    }
    const { name, clusterId } = own.identity;
    const isOther = source.kind === "others" && !isNewToken &&
      this.#clusterId !== undefined && this.#clusterId !== clusterId;
    if (name === node && !isOther) return;
    throw new NetError(
      "unauthenticated",
      `Cannot use the certificate that was given: it is for node "${name}" of cluster "${clusterId}"`,
    );
  }

  #set(state: IdentityState): void {
    this.#state = state;
    this.#material = this.#newMaterial();
    for (const listener of this.#listeners) listener();
  }

  #newMaterial(): NodeMaterial | undefined {
    const { certificate, key, trust } = this.#state;
    if (!certificate) return undefined;
    return {
      cert: certificate.chain,
      key,
      ca: formatTrust(trust.authorities, this.#options.now()),
    };
  }
}

function derOf(chain: string): Uint8Array {
  const [own] = parsePem("CERTIFICATE", chain);
  return own!;
}
