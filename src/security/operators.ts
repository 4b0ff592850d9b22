import { NetError } from "../base/error.ts";
import type { IdentityFiles } from "./files/identity_files.ts";
import { createKey } from "./pki/key.ts";
import type { PeerIdentity, Role } from "./pki/identity.ts";
import { createSigningRequest } from "./pki/signing_request.ts";
import type { JoinToken } from "./pki/token.ts";
import type { EnrolmentRequest, SigningOrder } from "./certificate_source.ts";
import { OperatorIdentity, saveOperator } from "./operator_identity.ts";
import { type Credentials, firstTrust } from "./trust.ts";

/** The roles of people. */
const ROLES: readonly Role[] = ["operator", "readonly"];

/** Options of operators' identities. */
export interface OperatorsOptions {
  readonly openFiles: (dir: string) => IdentityFiles;
  /** Reads the file with a token. @throws {NetError} naming the file */
  readonly readToken: (path: string) => Promise<JoinToken>;
  /** Gets a certificate with a token, from the agent at a URL. @throws {NetError} */
  readonly enrol: (
    url: string,
    order: EnrolmentRequest,
    signal: AbortSignal,
  ) => Promise<Credentials>;
  /** Renews a certificate, at one of the agents at some URLs. @throws {NetError} */
  readonly renew: (
    identity: OperatorIdentity,
    urls: readonly string[],
    options: { readonly order: SigningOrder; readonly timeoutMs: number },
  ) => Promise<Credentials>;
  /** The time in ms since 1970. */
  readonly now: () => number;
}

/** The holder of a folder's certificate, and the URLs of agents. */
export interface OperatorSummary extends PeerIdentity {
  readonly urls: readonly string[];
}

/** Makes and renews identities of operators, each in its folder. */
export class Operators {
  readonly #options: OperatorsOptions;

  constructor(options: OperatorsOptions) {
    this.#options = options;
  }

  /**
   * Makes a key, and gets a certificate for it with a token. After a failure
   * the caller can try again with the same folder: the key stays, and if the
   * answer was lost, the used token is still valid for the same key.
   *
   * @throws {NetError} `failed_precondition` when there is an identity in the
   * folder, and as `enrol` does
   */
  async create(order: {
    readonly dir: string;
    readonly urls: readonly string[];
    readonly tokenPath: string;
    readonly name: string;
    readonly timeoutMs: number;
  }): Promise<OperatorSummary> {
    const { dir, urls, tokenPath, name, timeoutMs } = order;
    const files = this.#options.openFiles(dir);
    const token = await this.#options.readToken(tokenPath);
    if (await files.read("chain.pem") !== undefined) {
      throw new NetError(
        "failed_precondition",
        `Cannot make an identity in "${dir}": there is one already; name another folder`,
      );
    }
    let key = await files.read("key.pem");
    if (key === undefined) {
      key = createKey();
      await files.write("key.pem", key);
    }
    const signingRequest = createSigningRequest(key);
    const credentials = await firstOf(urls, (url) =>
      this.#options.enrol(
        url,
        { token, name, roles: ROLES, signingRequest, addresses: [] },
        AbortSignal.timeout(timeoutMs),
      ));
    await files.write("urls", urls.map((url) => `${url}\n`).join(""));
    const { now } = this.#options;
    const { chain } = credentials;
    const { id: tokenId, fingerprint } = token;
    const trust = firstTrust(credentials.trust, { fingerprint, nowMs: now() });
    await saveOperator({ files, now }, {
      credentials: { chain, trust },
      tokenId,
    });
    return await this.show(dir);
  }

  /** Gets another certificate for the same key. @throws {NetError} as `open` and `renew` do */
  async renew(
    dir: string,
    options: { readonly url?: string | undefined; readonly timeoutMs: number },
  ): Promise<OperatorSummary> {
    const identity = await this.open(dir);
    identity.checkTime();
    const { url, timeoutMs } = options;
    const urls = url === undefined ? identity.urls : [url];
    await identity.renew((order) =>
      this.#options.renew(identity, urls, { order, timeoutMs })
    );
    return { ...identity.identity, urls: identity.urls };
  }

  /** The holder of a folder's certificate. @throws {NetError} as `open` does */
  async show(dir: string): Promise<OperatorSummary> {
    const { identity, urls } = await this.open(dir);
    return { ...identity, urls };
  }

  /** Reads an identity. @throws {NetError} `failed_precondition` when there is none */
  async open(dir: string): Promise<OperatorIdentity> {
    const { openFiles, now } = this.#options;
    const files = openFiles(dir);
    const identity = await OperatorIdentity.open({ files, now });
    if (identity) return identity;
    throw new NetError(
      "failed_precondition",
      `Cannot use "${dir}": there is no identity in it; ` +
        "name the folder that stellar-net identity create has made",
    );
  }
}

/** Asks one agent after another until one is reached. */
async function firstOf<T>(
  urls: readonly string[],
  ask: (url: string) => Promise<T>,
): Promise<T> {
  const failures: string[] = [];
  for (const url of urls) {
    try {
      return await ask(url);
    } catch (error) {
      const isOver = error instanceof Error && error.name === "TimeoutError";
      const isAway = error instanceof NetError && error.code === "unavailable";
      if (isOver) failures.push(`"${url}" did not answer in time`);
      else if (isAway) failures.push(error.message);
      else throw error;
    }
  }
  throw new NetError("unavailable", failures.join("; "));
}
