import { createPrivateKey, type X509Certificate } from "node:crypto";
import { readFile } from "node:fs/promises";
import type { TlsPaths } from "../../config/config.ts";
import { NetError } from "../../base/error.ts";
import { parseCertificates } from "./certificate_fault.ts";
import type { TlsMaterial } from "./credentials.ts";

/** Whether files hold the same. */
export function isSameMaterial(a: TlsMaterial, b: TlsMaterial): boolean {
  return a.cert === b.cert && a.key === b.key && a.ca === b.ca;
}

/** Reads the files. @throws {NetError} `failed_precondition` naming the one that cannot be read */
export async function readTlsFiles(paths: TlsPaths): Promise<TlsMaterial> {
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
export function checkTlsFiles(
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
