import type { AgentTarget, ConnectOptions } from "../cli/io.ts";
import { NetError } from "../error.ts";
import { DenoIdentityFiles } from "../host/deno_identity_files.ts";
import { checkSecretFile } from "../host/secret_file.ts";
import { Operators } from "../identity/operators.ts";
import { type JoinToken, parseToken } from "../pki/token.ts";
import { enrol, renew } from "../rpc/enrolment.ts";
import { openIdentityTransport } from "../rpc/identity_transport.ts";
import { createOperatorTransport } from "../rpc/operator_transport.ts";
import { TlsIdentity } from "../rpc/tls_identity.ts";

/** Makes what keeps identities in folders. */
export function createOperators(): Operators {
  return new Operators({
    openFiles: (dir) => new DenoIdentityFiles(dir),
    readToken,
    enrol,
    renew: (identity, urls, { order, timeoutMs }) =>
      renew(
        createOperatorTransport({ tls: identity, urls, timeoutMs }),
        order,
        AbortSignal.timeout(timeoutMs),
      ),
    now: Date.now,
  });
}

/** Makes what calls as whom the certificate in a folder names. */
export async function openTransportAs(
  { identity, url }: Extract<AgentTarget, { readonly identity: string }>,
  options: ConnectOptions,
): ReturnType<typeof openIdentityTransport> {
  const named = url === undefined ? undefined : [url];
  const given = await openGiven(identity);
  if (given) {
    const who = { tls: given, urls: named ?? [], own: undefined };
    return await openIdentityTransport({ ...options, ...who });
  }
  const own = await createOperators().open(identity);
  const who = { tls: own, urls: named ?? own.urls, own };
  return await openIdentityTransport({ ...options, ...who });
}

/** A folder with a certificate of an authority of one's own; undefined where it is the cluster's. */
async function openGiven(dir: string): Promise<TlsIdentity | undefined> {
  const files = new DenoIdentityFiles(dir);
  if (await files.read("trust.json") !== undefined) return undefined;
  if (await files.read("ca.pem") === undefined) return undefined;
  return await TlsIdentity.open({
    certPath: `${dir}/chain.pem`,
    keyPath: `${dir}/key.pem`,
    caPath: `${dir}/ca.pem`,
  });
}

/** Reads the file with a token. @throws {NetError} `failed_precondition` naming the file */
async function readToken(path: string): Promise<JoinToken> {
  await checkSecretFile(path);
  try {
    return parseToken(await Deno.readTextFile(path));
  } catch (cause) {
    const what = cause instanceof Deno.errors.NotFound
      ? "there is no such file"
      : cause instanceof Error
      ? cause.message
      : String(cause);
    throw new NetError(
      "failed_precondition",
      `Cannot use the token in "${path}": ${what}`,
      { cause },
    );
  }
}
