import { createPrivateKey, type X509Certificate } from "node:crypto";
import { readFile } from "node:fs/promises";
import { getLogger } from "@logtape/logtape";
import type { TlsPaths } from "../agent/config.ts";
import { NetError } from "../error.ts";
import { findFault, parseCertificates } from "./certificate_fault.ts";

const log = getLogger(["stellar-net", "rpc"]);

/** Texts in PEM, as node:tls takes them. */
export interface TlsMaterial {
  /** The certificate, and those between it and its authority. */
  readonly cert: string;
  readonly key: string;
  /** The authorities that are trusted. */
  readonly ca: string;
}

/**
 * The certificate that an agent shows to others, as server and as client, and
 * the authorities that it checks theirs with. The files may change while it
 * runs; those that cannot be right leave what was there in force.
 */
export class TlsIdentity {
  readonly paths: TlsPaths;
  #material: TlsMaterial;
  #own: readonly X509Certificate[];
  #problem = "";
  readonly #onChange = new Set<() => void>();

  private constructor(paths: TlsPaths, material: TlsMaterial) {
    this.paths = paths;
    this.#material = material;
    this.#own = check(paths, material);
  }

  /** Reads the files. @throws {NetError} `failed_precondition`, naming the file and what is wrong with it */
  static async open(paths: TlsPaths): Promise<TlsIdentity> {
    const identity = new TlsIdentity(paths, await read(paths));
    for (const warning of identity.warnings(Date.now())) {
      log.warn("{warning}", { warning });
    }
    return identity;
  }

  /** What is in force. */
  get material(): TlsMaterial {
    return this.#material;
  }

  /** What others would find wrong with the certificate now, empty when nothing is. */
  fault(nowMs: number): string {
    return findFault(this.#own, { ca: this.#authorities(), nowMs });
  }

  /** What an operator should know. */
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
          } only: replace the file in time, the agent takes it up by itself`,
        ]
        : [],
    ];
  }

  /** Calls back after each change. @returns what ends that */
  onChange(listener: () => void): () => void {
    this.#onChange.add(listener);
    return () => this.#onChange.delete(listener);
  }

  /** Takes up the files if they have changed. What is wrong with them is logged once, and is in the warnings. */
  async reload(): Promise<void> {
    const problem = await this.#takeUp();
    if (problem !== "" && problem !== this.#problem) {
      log.warn("{problem}", { problem });
    }
    this.#problem = problem;
  }

  async #takeUp(): Promise<string> {
    try {
      const material = await read(this.paths);
      if (isSame(material, this.#material)) return "";
      this.#own = check(this.paths, material);
      this.#material = material;
    } catch (error) {
      const { message } = error as Error;
      return `${message}; the certificate that was there before stays in use`;
    }
    for (const listener of this.#onChange) listener();
    log.info("Using the new certificate in {path}, valid until {until}", {
      path: this.paths.certPath,
      until: new Date(this.#own[0]!.validTo).toISOString(),
    });
    return "";
  }

  #authorities(): X509Certificate[] {
    return parseCertificates(this.#material.ca);
  }
}

function isSame(a: TlsMaterial, b: TlsMaterial): boolean {
  return a.cert === b.cert && a.key === b.key && a.ca === b.ca;
}

async function read(paths: TlsPaths): Promise<TlsMaterial> {
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

/** Returns the certificate and those above it. @throws {NetError} naming the file that cannot be right */
function check(paths: TlsPaths, material: TlsMaterial): X509Certificate[] {
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
