import { createHash } from "node:crypto";
import { NetError } from "../base/error.ts";
import { readRecord } from "../base/json_reader.ts";
import type { IdentityFiles } from "./files/identity_files.ts";
import { openIdentityState } from "./identity_state.ts";
import { readIdentity } from "./pki/certificate_identity.ts";
import type { PeerIdentity } from "./pki/identity.ts";
import { openKey, verifyBytes } from "./pki/key.ts";
import { verifyPeer } from "./pki/peer.ts";
import { parsePem } from "./pki/pem.ts";
import { base64url, fromBase64url } from "./pki/token.ts";
import { readCertificate } from "./pki/x509.ts";

/** Prefix of what is signed: no other signature of the key is valid here. */
const PREFIX = "stellar-net file v1\n";

/**
 * Signs a file with the key of an identity, a node's or an operator's.
 *
 * @param identity the folder of the identity
 * @returns the text of a file beside it: the certificate and the signature
 * @throws {NetError} `failed_precondition` when there is no identity
 */
export async function signFile(
  pieces: AsyncIterable<Uint8Array>,
  identity: IdentityFiles,
): Promise<string> {
  const { key, certificate } = await openSigner(identity);
  const [own] = parsePem("CERTIFICATE", certificate.chain);
  const signature = openKey(key).signBytes(await digestOf(pieces));
  const record = {
    certificate: base64url(own!),
    signature: base64url(signature),
  };
  return `${JSON.stringify(record)}\n`;
}

/**
 * Verifies the signature of a file against the authorities that an identity
 * trusts. The signer's certificate may have expired since.
 *
 * @param text of the file with the signature
 * @returns the signer
 * @throws {NetError} `unauthenticated`, with the reason
 */
export async function verifyFile(
  pieces: AsyncIterable<Uint8Array>,
  { text, identity }: {
    readonly text: string;
    readonly identity: IdentityFiles;
  },
): Promise<PeerIdentity> {
  const { trust } = await openSigner(identity);
  const { certificate, signature } = readSignature(text);
  const signer = readIdentity(certificate);
  verifyPeer(certificate, {
    trust: trust.authorities,
    clusterId: trust.authorities.at(-1)!.clusterId,
    usage: "client",
    nowMs: signer.issuedAtMs,
    revocations: trust.revocations,
  });
  if (signer.role === "readonly") {
    throw refused(`it is by readonly "${signer.name}"`);
  }
  const { publicKey } = readCertificate(certificate);
  const digest = await digestOf(pieces);
  if (verifyBytes(digest, { publicKey, signature })) return signer;
  throw refused(
    `it is not the file that ${signer.role} "${signer.name}" has signed`,
  );
}

async function openSigner(identity: IdentityFiles) {
  // Opening an identity makes a key where there is none.
  const hasKey = await identity.read("key.pem") !== undefined;
  const state = hasKey ? await openIdentityState(identity) : undefined;
  const { certificate } = state ?? {};
  if (state && certificate) return { ...state, certificate };
  throw new NetError(
    "failed_precondition",
    `Cannot use "${identity.dir}": there is no identity in it; name an operator's folder, or STATE/identity of a node`,
  );
}

function readSignature(text: string) {
  try {
    const reader = readRecord("signature", JSON.parse(text));
    const record = {
      certificate: fromBase64url(reader.text("certificate")),
      signature: fromBase64url(reader.text("signature")),
    };
    reader.end();
    return record;
  } catch (cause) {
    throw refused(cause instanceof Error ? cause.message : String(cause));
  }
}

async function digestOf(
  pieces: AsyncIterable<Uint8Array>,
): Promise<Uint8Array> {
  const hash = createHash("sha256");
  for await (const piece of pieces) hash.update(piece);
  return new TextEncoder().encode(`${PREFIX}${hash.digest("hex")}`);
}

function refused(what: string): NetError {
  return new NetError("unauthenticated", `Cannot trust the file: ${what}`);
}
