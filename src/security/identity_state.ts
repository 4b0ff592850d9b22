import { readRecord } from "../base/json_reader.ts";
import { NetError } from "../base/error.ts";
import type { IdentityFile, IdentityFiles } from "./files/identity_files.ts";
import { type Address, compareAddresses } from "../net/address.ts";
import { createKey, openKey } from "./pki/key.ts";
import { readIdentity } from "./pki/certificate_identity.ts";
import type { PeerIdentity } from "./pki/identity.ts";
import { parsePem } from "./pki/pem.ts";
import { readRevocationRecord, readTrustRecord } from "./pki/records.ts";
import { addressesOf, readCertificate } from "./pki/x509.ts";
import { parseTokenId } from "./pki/token.ts";
import { type Credentials, NO_TRUST, type Trust } from "./trust.ts";

/** The certificate of this host or operator. */
export interface OwnCertificate {
  /** PEM: the certificate, then its authority's. */
  readonly chain: string;
  readonly identity: PeerIdentity;
  readonly addresses: readonly Address[];
}

/** The files of an identity, read. */
export interface IdentityState {
  /** PKCS#8 in PEM. */
  readonly key: string;
  /** Undefined before the first one. */
  readonly certificate: OwnCertificate | undefined;
  /** Empty before the first certificate. */
  readonly trust: Trust;
  /** Id of the last used join token; empty for none. */
  readonly tokenId: string;
}

/**
 * Reads the files, and makes the key if there is none.
 *
 * @throws {NetError} `failed_precondition` when a file is damaged, or others
 * can use it; `unavailable` when one cannot be read or written
 * @param wayOut says what to do about damage. Default: what to do on a node
 */
export async function openIdentityState(
  files: IdentityFiles,
  wayOut: (dir: string) => string = nodeWayOut,
): Promise<IdentityState> {
  const key = await files.read("key.pem") ?? await makeKey(files);
  const parsed = <T>(file: IdentityFile, parse: () => T | Promise<T>) =>
    parseFile(
      { path: `${files.dir}/${file}`, wayOut: wayOut(files.dir) },
      parse,
    );
  await parsed("key.pem", () => openKey(key));
  const chain = await files.read("chain.pem");
  const trust = await files.read("trust.json");
  return {
    key,
    certificate: chain === undefined
      ? undefined
      : await parsed("chain.pem", () => readChain(chain)),
    ...trust === undefined
      ? { trust: NO_TRUST, tokenId: "" }
      : await parsed("trust.json", () => readTrust(trust)),
  };
}

/** Writes new credentials: the certificate first, so that the token counts as used only when there is one. */
export async function saveCredentials(
  files: IdentityFiles,
  { credentials, tokenId }: {
    readonly credentials: Credentials;
    readonly tokenId: string;
  },
): Promise<OwnCertificate> {
  const certificate = readChain(credentials.chain);
  await files.write("chain.pem", credentials.chain);
  await saveTrust(files, { trust: credentials.trust, tokenId });
  return certificate;
}

/** Writes the trust. */
export async function saveTrust(
  files: IdentityFiles,
  state: Pick<IdentityState, "trust" | "tokenId">,
): Promise<void> {
  await files.write("trust.json", formatTrustFile(state));
}

/** The text of the file with the trust. */
export function formatTrustFile(
  { trust, tokenId }: Pick<IdentityState, "trust" | "tokenId">,
): string {
  const { authorities, revocations } = trust;
  return `${JSON.stringify({ tokenId, authorities, revocations }, null, 2)}\n`;
}

async function makeKey(files: IdentityFiles): Promise<string> {
  const key = createKey();
  await files.write("key.pem", key);
  return key;
}

function readChain(chain: string): OwnCertificate {
  const [own] = parsePem("CERTIFICATE", chain);
  return {
    chain,
    identity: readIdentity(own!),
    addresses: addressesOf(readCertificate(own!)).sort(compareAddresses),
  };
}

function readTrust(text: string): Pick<IdentityState, "trust" | "tokenId"> {
  const reader = readRecord("trust", JSON.parse(text));
  const state = {
    trust: {
      authorities: reader.list("authorities", readTrustRecord),
      revocations: reader.list("revocations", readRevocationRecord),
    },
    tokenId: reader.text("tokenId", (id) => id === "" ? "" : parseTokenId(id)),
  };
  reader.end();
  return state;
}

function nodeWayOut(dir: string): string {
  return `stop the agent, move "${dir}" away, and start it again: ` +
    "an agent that hosts the registry certifies itself anew, another joins with a new token in --token-file";
}

async function parseFile<T>(
  { path, wayOut }: { readonly path: string; readonly wayOut: string },
  parse: () => T | Promise<T>,
): Promise<T> {
  try {
    return await parse();
  } catch (cause) {
    const what = cause instanceof Error ? cause.message : String(cause);
    throw new NetError(
      "failed_precondition",
      `Cannot use "${path}": it is damaged (${what}); ${wayOut}`,
      { cause },
    );
  }
}
