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
import {
  type Credentials,
  firstTrust,
  type PeerRecognition,
  recognizePeer,
  type Trust,
  updateTrust,
} from "./trust.ts";

/** Time for which a refusal by another host stays a warning, in ms. */
const REFUSAL_MS = 60_000;

/** The last share of a certificate's lifetime, in which a failing renewal is a warning. */
const EXPIRING_SHARE = 1 / 10;

const RENEWS_ITSELF =
  "it is renewed as soon as a host of the registry is reached";

const log = getLogger(["stellar-net", "identity"]);

/** Options of a node's identity. */
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
 * The identity of a node: its key, its certificate, and the authorities that
 * it trusts. Files keep it over restarts.
 */
export class NodeIdentity implements CertificateOwner {
  /** A caller without a certificate can join with a token. */
  readonly acceptsAnonymous = true;
  readonly #options: NodeIdentityOptions;
  readonly #renewer: CertificateRenewer;
  readonly #listeners = new Set<() => void>();
  #state: IdentityState;
  #material: NodeMaterial | undefined;
  /** The last refusal by another host. */
  #refusal: { readonly why: string; readonly atMs: number } | undefined;
  #saving: Promise<void> = Promise.resolve();

  private constructor(options: NodeIdentityOptions, state: IdentityState) {
    this.#options = options;
    this.#state = state;
    this.#material = this.#newMaterial();
    this.#renewer = new CertificateRenewer(options, this);
  }

  /**
   * Reads the files, and makes the key if there is none.
   *
   * @throws {NetError} `failed_precondition` when a file is damaged or others
   * can use it, `unavailable` when one cannot be read or written
   */
  static async open(options: NodeIdentityOptions): Promise<NodeIdentity> {
    const state = await openIdentityState(options.files);
    return new NodeIdentity(options, state);
  }

  get state(): IdentityState {
    return this.#state;
  }

  /** For TLS; undefined before the first certificate. */
  get material(): NodeMaterial | undefined {
    return this.#material;
  }

  /** The file with the certificate. */
  get place(): string {
    return `${this.#options.files.dir}/chain.pem`;
  }

  /** When the certificate expires, in ms since 1970; undefined before the first one. */
  get endsAtMs(): number | undefined {
    return this.#state.certificate?.identity.notAfterMs;
  }

  /** Why the last attempt to get a certificate failed; empty when it did not. */
  get renewalProblem(): string {
    return this.#renewer.problem;
  }

  /** Starts to get and renew the certificate. */
  start(): void {
    this.#renewer.start();
  }

  /** Stops after pending writes. */
  async stop(): Promise<void> {
    await this.#renewer.stop();
    await this.#saving;
  }

  /** Sets the addresses for the certificate. */
  setAddresses(addresses: readonly Address[]): void {
    this.#renewer.setAddresses(addresses);
  }

  /** Renews the certificate at once, or uses a new token. */
  renewNow(): void {
    this.#renewer.renewNow();
  }

  /** Calls back after each change of the certificate or the trust. @returns ends the calls */
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

  /** Why there is no certificate yet; empty when it is being asked for. */
  missing(): string {
    return this.#renewer.problem;
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

  /** Notes that another host has refused this one. */
  noteRefusal(why: string): void {
    this.#refusal = { why, atMs: this.#options.now() };
  }

  /**
   * Updates the trust with what the registry says. Unless this agent hosts the
   * registry itself, an authority that is trusted already has to have signed it.
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
    const merged = source.kind === "own" ? trust : this.#update(trust);
    const { tokenId } = this.#state;
    const text = formatTrustFile({ trust: merged, tokenId });
    if (text === formatTrustFile(this.#state)) return;
    this.#set({ ...this.#state, trust: merged });
    this.#saving = this.#saving.then(() => saveTrust(files, this.#state))
      .catch((error) =>
        log.error("Cannot keep which authorities are trusted: {error}", {
          error,
        })
      );
    this.#renewer.checkNow();
  }

  async adopt(
    { credentials: { chain, trust }, token }: Parameters<
      CertificateOwner["adopt"]
    >[0],
  ): Promise<void> {
    const { files, source, now } = this.#options;
    const credentials = {
      chain,
      trust: source.kind === "own"
        ? trust
        : token
        ? firstTrust(trust, { ...token, nowMs: now() })
        : updateTrust(this.#state.trust, trust, now()),
    };
    const tokenId = token?.id ?? this.#state.tokenId;
    this.#checkOwn(credentials, {
      isNewToken: tokenId !== this.#state.tokenId,
    });
    // A pending write of the trust must not come after this one.
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

  #update(trust: Trust): Trust {
    const { now } = this.#options;
    try {
      return updateTrust(this.#state.trust, trust, now());
    } catch (error) {
      if (!(error instanceof NetError)) throw error;
      log.error("Refused what the registry trusts: {error}", {
        error: error.message,
      });
      return this.#state.trust;
    }
  }

  get #clusterId(): string | undefined {
    return this.#state.trust.authorities.at(-1)?.clusterId;
  }

  /** Refuses a certificate that this node could not use. */
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

/** The health of a node's identity. A text is empty where there is nothing to say. */
interface IdentityHealth {
  readonly nowMs: number;
  /** Why other hosts would refuse the certificate. */
  readonly fault: string;
  /** Why there is no new certificate. */
  readonly problem: string;
  /** Whether that was an answer, rather than the lack of one. */
  readonly isRefused: boolean;
  /** Why another host has refused this one recently. */
  readonly refusal: string;
  /** Whether this node's agent has the authority's key. */
  readonly signsItself: boolean;
}

/** The warning about a node's identity, with the way out. */
function identityWarnings(
  { certificate, trust }: IdentityState,
  health: IdentityHealth,
): string[] {
  const { nowMs, fault, problem, isRefused, refusal, signsItself } = health;
  if (!certificate) {
    return [
      `this host has no certificate yet, so that it reaches no other, and none reaches it: ${
        problem || "it is being asked for"
      }`,
    ];
  }
  const notAccepted = "other hosts do not accept this one";
  const { name } = certificate.identity;
  // The registry refuses a token for any name: the node is still known.
  const wayOut = signsItself
    ? ""
    : `; to admit this host again, run "stellar-net token create --name ${name}" on a host of the registry, and put the token into the file that --token-file names`;
  if (fault !== "") {
    const why = problem === "" || problem === fault ? "" : ` (${problem})`;
    const [der] = parsePem("CERTIFICATE", certificate.chain);
    const shown = recognizePeer({ der: der!, usage: "client" }, {
      trust,
      nowMs,
    });
    const isRenewable = !signsItself && !isRefused &&
      shown.kind === "refused" && shown.expired !== undefined;
    return [
      `${notAccepted}: ${fault}${why}${
        isRenewable ? `; ${RENEWS_ITSELF}` : wayOut
      }`,
    ];
  }
  if (refusal !== "") return [`${notAccepted}: ${refusal}${wayOut}`];
  const { issuedAtMs, notAfterMs } = certificate.identity;
  const isExpiring =
    notAfterMs - nowMs < (notAfterMs - issuedAtMs) * EXPIRING_SHARE;
  if (problem === "" || !isExpiring && !isRefused) return [];
  return [
    `this host's certificate is valid until ${
      new Date(notAfterMs).toISOString()
    } only, and is not renewed: ${problem}`,
  ];
}
