import type { AgentTarget, ConnectOptions } from "../cli/framework/io.ts";
import { DenoIdentityFiles } from "../security/files/deno_identity_files.ts";
import { checkSecretFile } from "../system/secret_file.ts";
import { Operators } from "../security/operators.ts";
import { enrol, renew } from "../api/client/enrolment.ts";
import {
  createOperatorTransport,
  openIdentityTransport,
} from "../api/client/operator_transport.ts";
import { GivenCertificate } from "../api/tls/given_certificate.ts";
import { readTokenFile } from "./token_file.ts";

/** Makes what keeps identities in folders. */
export function createOperators(): Operators {
  return new Operators({
    openFiles: (dir) => new DenoIdentityFiles(dir),
    readToken: readTokenFile,
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
async function openGiven(dir: string): Promise<GivenCertificate | undefined> {
  const certPath = `${dir}/chain.pem`;
  const keyPath = `${dir}/key.pem`;
  const caPath = `${dir}/ca.pem`;
  if (await isThere(`${dir}/trust.json`) || !await isThere(caPath)) {
    return undefined;
  }
  await checkSecretFile(keyPath);
  return await GivenCertificate.open({ certPath, keyPath, caPath });
}

async function isThere(path: string): Promise<boolean> {
  try {
    await Deno.stat(path);
    return true;
  } catch {
    // Whoever opens it says why it cannot be used.
    return false;
  }
}
