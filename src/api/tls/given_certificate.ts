import { getLogger } from "@logtape/logtape";
import { createPrivateKey, type X509Certificate } from "node:crypto";
import { readFile } from "node:fs/promises";
import { NetError } from "../../base/error.ts";
import type { TlsPaths } from "../../config/config.ts";
import { readGivenIdentity } from "../../security/pki/certificate_identity.ts";
import type { PeerIdentity } from "../../security/pki/identity.ts";
import { checkIdentity } from "../../security/pki/peer.ts";
import type { RevocationRecord } from "../../security/pki/revocation.ts";
import type { Trust } from "../../security/trust.ts";
import { findFault, parseCertificates } from "./certificate_fault.ts";
import type {
  Recognition,
  ShownCertificate,
  TlsCredentials,
  TlsMaterial,
} from "./credentials.ts";

const log = getLogger(["stellar-net", "rpc"]);

export interface TlsIdentityOptions {
  /** The node that its certificate has to be for; undefined for any. */
  readonly node?: string;
}

/** The certificate that an operator's own authority issued for an agent, as
 * server and as client, and the authorities that it trusts. The files may change
 * while the agent runs; invalid ones leave the previous ones in force.
 */
export class GivenCertificate implements TlsCredentials {
  readonly paths: TlsPaths;
  readonly #node: string | undefined;
  #clusterId = "";
  #revocations: readonly RevocationRecord[] = [];
  #material: TlsMaterial;
  #own: readonly X509Certificate[];
  #problem = "";
  readonly #onChange = new Set<() => void>();

  private constructor(
    paths: TlsPaths,
    { node, material }: TlsIdentityOptions & { readonly material: TlsMaterial },
  ) {
    this.paths = paths;
    this.#node = node;
    this.#material = material;
    this.#own = checkTlsFiles(paths, material);
  }

  /** Reads the files. @throws {NetError} `failed_precondition` naming the file and its fault */
  static async open(
    paths: TlsPaths,
    options: TlsIdentityOptions = {},
  ): Promise<GivenCertificate> {
    const material = await readTlsFiles(paths);
    const identity = new GivenCertificate(paths, { ...options, material });
    for (const warning of identity.warnings(Date.now())) {
      log.warn("{warning}", { warning });
    }
    return identity;
  }

  /** The material in force. */
  get material(): TlsMaterial {
    return this.#material;
  }

  get trusts(): string {
    return "in --tls-ca";
  }

  /** A joining host already has a certificate of the operator's authority. */
  get acceptsAnonymous(): boolean {
    return false;
  }

  get place(): string {
    return this.paths.certPath;
  }

  recognize(shown: ShownCertificate): Recognition {
    try {
      return { kind: "member", identity: this.#identify(shown) };
    } catch (error) {
      if (!(error instanceof NetError)) throw error;
      return { kind: "refused", why: error.message };
    }
  }

  /** Applies the cluster's revocations. */
  takeTrust({ authorities, revocations }: Trust): void {
    const before = JSON.stringify([this.#clusterId, this.#revocations]);
    this.#clusterId = authorities.at(-1)?.clusterId ?? this.#clusterId;
    this.#revocations = revocations;
    if (JSON.stringify([this.#clusterId, revocations]) !== before) {
      this.#notify();
    }
  }

  fault(nowMs: number): string {
    const fault = findFault(this.#own, { ca: this.#authorities(), nowMs });
    return fault === "" ? this.#wrongHolder() : fault;
  }

  /** When the certificate expires, in ms since 1970. */
  get endsAtMs(): number {
    return Date.parse(this.#own[0]!.validTo);
  }

  /** Why the files were not taken up when they changed; empty when they were. */
  get renewalProblem(): string {
    return this.#problem;
  }

  /** Warnings for the operator. */
  warnings(nowMs: number): string[] {
    const { certPath } = this.paths;
    const fault = this.fault(nowMs);
    const { validFrom, validTo } = this.#own[0]!;
    const endsMs = Date.parse(validTo);
    const lastsMs = endsMs - Date.parse(validFrom);
    const isEnding = fault === "" && endsMs - nowMs < lastsMs / 10;
    return [
      ...this.#problem === "" ? [] : [this.#problem],
      ...fault === ""
        ? []
        : [`no other host accepts the certificate in "${certPath}": ${fault}`],
      ...isEnding
        ? [
          `the certificate in "${certPath}" is valid until ${
            new Date(endsMs).toISOString()
          } only: replace the file in time; the agent then uses it by itself`,
        ]
        : [],
    ];
  }

  /** Calls back after each change. @returns a function that stops it */
  onChange(listener: () => void): () => void {
    this.#onChange.add(listener);
    return () => this.#onChange.delete(listener);
  }

  /** Uses the files if they have changed. A fault in them is logged once, and is a warning until it is fixed. */
  async reload(): Promise<void> {
    const problem = await this.#useFiles();
    if (problem !== "" && problem !== this.#problem) {
      log.warn("{problem}", { problem });
    }
    this.#problem = problem;
  }

  async #useFiles(): Promise<string> {
    try {
      const material = await readTlsFiles(this.paths);
      if (isSameMaterial(material, this.#material)) return "";
      this.#own = checkTlsFiles(this.paths, material);
      this.#material = material;
    } catch (error) {
      const { message } = error as Error;
      return `${message}; the certificate that was there before stays in use`;
    }
    this.#notify();
    log.info("Using the new certificate in {path}, valid until {until}", {
      path: this.paths.certPath,
      until: new Date(this.#own[0]!.validTo).toISOString(),
    });
    return "";
  }

  #identify({ der, isTrusted, usage }: ShownCertificate): PeerIdentity {
    const identity = readGivenIdentity(der);
    const { clusterId, role, name } = identity;
    if (!isTrusted) {
      throw refuseHolder(
        `the certificate of ${role} "${name}"`,
        "it is not valid now, or not signed by an authority in --tls-ca",
      );
    }
    checkIdentity(identity, {
      // A subject does not name the cluster, and at first the cluster is unknown.
      clusterId: clusterId === "" || this.#clusterId === ""
        ? clusterId
        : this.#clusterId,
      nowMs: Date.now(),
      revocations: this.#revocations,
    });
    if (usage === "client" || role === "node") return identity;
    throw refuseHolder(
      `${role} "${name}" as an agent`,
      "a node's certificate is asked for",
    );
  }

  /** The fault in the certificate's holder; empty when there is none. */
  #wrongHolder(): string {
    try {
      const { role, name } = readGivenIdentity(this.#own[0]!.raw);
      const node = this.#node ?? name;
      return role === "node" && name === node
        ? ""
        : `it is for ${role} "${name}", and this is node "${node}": give it the subject OU=node and CN=${node}`;
    } catch (error) {
      if (!(error instanceof NetError)) throw error;
      return error.message;
    }
  }

  #notify(): void {
    for (const listener of this.#onChange) listener();
  }

  #authorities(): X509Certificate[] {
    return parseCertificates(this.#material.ca);
  }
}

function refuseHolder(whom: string, what: string): NetError {
  return new NetError("unauthenticated", `Cannot accept ${whom}: ${what}`);
}

function isSameMaterial(a: TlsMaterial, b: TlsMaterial): boolean {
  return a.cert === b.cert && a.key === b.key && a.ca === b.ca;
}

/** Reads the files. @throws {NetError} `failed_precondition` naming the one that cannot be read */
async function readTlsFiles(paths: TlsPaths): Promise<TlsMaterial> {
  const [cert, key, ca] = await Promise.all([
    readText(paths.certPath, "--tls-cert"),
    readText(paths.keyPath, "--tls-key"),
    readText(paths.caPath, "--tls-ca"),
  ]);
  return { cert, key, ca };
}

async function readText(path: string, flag: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    const what = code === "ENOENT"
      ? "there is no such file"
      : code === "EACCES" || code === "EPERM"
      ? "this user may not read it"
      : message;
    throw refuse(path, `${what}; look at ${flag}`, cause);
  }
}

/** Returns the certificate, then its issuers. @throws {NetError} naming the invalid file */
function checkTlsFiles(
  paths: TlsPaths,
  material: TlsMaterial,
): X509Certificate[] {
  const { certPath, keyPath, caPath } = paths;
  const own = parse(material.cert, certPath, "--tls-cert");
  const authorities = parse(material.ca, caPath, "--tls-ca");
  const other = authorities.find(({ ca }) => !ca);
  if (other) {
    throw refuse(
      caPath,
      `the certificate of "${subjectOf(other)}" in it is not that of an ` +
        "authority; look at --tls-ca",
    );
  }
  let isOwn: boolean;
  try {
    isOwn = own[0]!.checkPrivateKey(createPrivateKey(material.key));
  } catch (cause) {
    throw refuse(
      keyPath,
      "it has no key in PEM without a passphrase; look at --tls-key",
      cause,
    );
  }
  if (isOwn) return own;
  throw refuse(
    keyPath,
    `it is not the key of the certificate in "${certPath}"; ` +
      "look at --tls-key and --tls-cert",
  );
}

function parse(text: string, path: string, flag: string): X509Certificate[] {
  let found: X509Certificate[];
  try {
    found = parseCertificates(text);
  } catch (cause) {
    throw refuse(
      path,
      `a certificate in it is damaged; look at ${flag}`,
      cause,
    );
  }
  if (found.length > 0) return found;
  throw refuse(path, `it has no certificate in PEM; look at ${flag}`);
}

function subjectOf({ subject }: X509Certificate): string {
  return subject.replaceAll("\n", ", ");
}

function refuse(path: string, what: string, cause?: unknown): NetError {
  return new NetError("failed_precondition", `Cannot use "${path}": ${what}`, {
    cause,
  });
}
