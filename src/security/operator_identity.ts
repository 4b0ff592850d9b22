import { NetError } from "../base/error.ts";
import type { IdentityFiles } from "./files/identity_files.ts";
import { parseApiUrl } from "../base/names.ts";
import { renewalTimeMs } from "./pki/profile.ts";
import { formatTrust } from "./pki/generations.ts";
import { createSigningRequest } from "./pki/signing_request.ts";
import { parsePem } from "./pki/pem.ts";
import type { PeerIdentity } from "./pki/identity.ts";
import type { SigningOrder } from "./certificate_source.ts";
import {
  formatTrustFile,
  type IdentityState,
  openIdentityState,
  type OwnCertificate,
  saveCredentials,
  saveTrust,
} from "./identity_state.ts";
import {
  type Credentials,
  type PeerRecognition,
  recognizePeer,
  type Trust,
  updateTrust,
} from "./trust.ts";

/** Options of an operator's identity. */
export interface OperatorIdentityOptions {
  readonly files: IdentityFiles;
  /** The time in ms since 1970. */
  readonly now: () => number;
}

type OperatorState = IdentityState & { readonly certificate: OwnCertificate };

/**
 * The identity of an operator: a key, a certificate of the cluster's authority,
 * and the URLs of agents. It implements `TlsCredentials` of the API.
 */
export class OperatorIdentity {
  /** In the order of preference. */
  readonly urls: readonly string[];
  readonly acceptsAnonymous = false;
  readonly #options: OperatorIdentityOptions;
  #state: OperatorState;
  readonly #onChange = new Set<() => void>();

  private constructor(
    options: OperatorIdentityOptions,
    kept: {
      readonly state: OperatorState;
      readonly urls: readonly string[];
    },
  ) {
    this.#options = options;
    this.#state = kept.state;
    this.urls = kept.urls;
  }

  /**
   * Reads an identity; undefined when the folder has none of the cluster's own
   * authority.
   *
   * @throws {NetError} `failed_precondition` when a file is damaged, or others
   * can use it; `unavailable` when one cannot be read
   */
  static async open(
    options: OperatorIdentityOptions,
  ): Promise<OperatorIdentity | undefined> {
    const { files } = options;
    // Opening must not create files.
    for (const file of ["key.pem", "chain.pem", "trust.json"] as const) {
      if (await files.read(file) === undefined) return undefined;
    }
    const state = await openIdentityState(
      files,
      (dir) =>
        `remove "${dir}", and make another identity with a new token: stellar-net identity create`,
    );
    const urls = parseUrls(files, await files.read("urls") ?? "");
    return new OperatorIdentity(options, {
      state: { ...state, certificate: state.certificate! },
      urls,
    });
  }

  /** The holder of the certificate. */
  get identity(): PeerIdentity {
    return this.#state.certificate.identity;
  }

  get material(): { cert: string; key: string; ca: string } {
    const { key, certificate, trust } = this.#state;
    const ca = formatTrust(trust.authorities, this.#options.now());
    return { cert: certificate.chain, key, ca };
  }

  get place(): string {
    return `${this.#options.files.dir}/chain.pem`;
  }

  recognize(
    shown: { readonly der: Uint8Array; readonly usage: "client" | "server" },
  ): PeerRecognition {
    const { trust } = this.#state;
    return recognizePeer(shown, { trust, nowMs: this.#options.now() });
  }

  fault(nowMs: number): string {
    const { notAfterMs } = this.identity;
    return nowMs < notAfterMs
      ? ""
      : `it was valid until ${new Date(notAfterMs).toISOString()}`;
  }

  warnings(): string[] {
    return [];
  }

  onChange(listener: () => void): () => void {
    this.#onChange.add(listener);
    return () => this.#onChange.delete(listener);
  }

  /** @throws {NetError} `failed_precondition` when the certificate has expired, with the way out */
  checkTime(): void {
    const fault = this.fault(this.#options.now());
    if (fault === "") return;
    const { role, name } = this.identity;
    throw new NetError(
      "failed_precondition",
      `Cannot use the identity of ${role} "${name}" in "${this.#options.files.dir}": ${fault}; ` +
        `make another one: stellar-net token create --role ${role} --name ${name}, then stellar-net identity create`,
    );
  }

  /** Whether two thirds of the certificate's lifetime are over, or a later authority signs. */
  get isDue(): boolean {
    const nowMs = this.#options.now();
    const { identity } = this;
    return nowMs >= renewalTimeMs(identity, 0) ||
      this.#state.trust.authorities.some(({ generation, signsFromMs }) =>
        generation > identity.generation && signsFromMs <= nowMs
      );
  }

  /** Gets another certificate for the same key. @throws {NetError} as `renew` and the files do */
  async renew(
    renew: (order: SigningOrder) => Promise<Credentials>,
  ): Promise<void> {
    const { key } = this.#state;
    const signingRequest = createSigningRequest(key);
    const { chain, trust: offered } = await renew({
      signingRequest,
      addresses: [],
    });
    const trust = updateTrust(this.#state.trust, offered, this.#options.now());
    const own = parsePem("CERTIFICATE", chain)[0]!;
    const shown = recognizePeer({ der: own, usage: "client" }, {
      trust,
      nowMs: this.#options.now(),
    });
    if (shown.kind === "refused") {
      throw new NetError(
        "unauthenticated",
        `Cannot use the certificate in the answer: ${shown.why}`,
      );
    }
    const credentials = { chain, trust };
    const certificate = await saveOperator(this.#options, {
      credentials,
      tokenId: this.#state.tokenId,
    });
    this.#state = { ...this.#state, certificate, trust };
    this.#tell();
  }

  /**
   * Updates the trust with what an agent says, if an authority that is trusted
   * already has signed it.
   *
   * @throws {NetError} `unauthenticated` if not
   */
  async takeTrust(offered: Trust): Promise<void> {
    const before = this.#state.trust;
    const trust = updateTrust(before, offered, this.#options.now());
    const textOf = (one: Trust) => formatTrustFile({ trust: one, tokenId: "" });
    if (textOf(trust) === textOf(before)) return;
    const { files, now } = this.#options;
    this.#state = { ...this.#state, trust };
    await saveTrust(files, this.#state);
    await files.write("ca.pem", formatTrust(trust.authorities, now()));
    this.#tell();
  }

  #tell(): void {
    for (const listener of this.#onChange) listener();
  }
}

/** Writes new credentials of an operator, and the trusted authorities for other programs. */
export async function saveOperator(
  { files, now }: OperatorIdentityOptions,
  kept: { readonly credentials: Credentials; readonly tokenId: string },
): Promise<OwnCertificate> {
  const { authorities } = kept.credentials.trust;
  await files.write("ca.pem", formatTrust(authorities, now()));
  return await saveCredentials(files, kept);
}

function parseUrls(files: IdentityFiles, text: string): string[] {
  try {
    return text.split("\n").filter((line) => line !== "").map(parseApiUrl);
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause;
    throw new NetError(
      "failed_precondition",
      `Cannot use "${files.dir}/urls": ${cause.message}; write a URL a line`,
      { cause },
    );
  }
}
