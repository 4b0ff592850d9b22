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

/** Makes the keeper of identities in folders. */
export function createOperators(): Operators {
  return new Operators({
    openFiles: (dir) => new DenoIdentityFiles(dir),
    readToken: readTokenFile,
    enrol,
    renew: (identity, urls, { order, timeoutMs }) =>
      renew(
        createOperatorTransport({
          ...{ tls: identity, urls, keptUrls: identity.urls, timeoutMs },
        }),
        order,
        AbortSignal.timeout(timeoutMs),
      ),
    now: Date.now,
  });
}

/** Makes a transport that calls with the certificate in a folder. */
export async function openTransportAs(
  { identity, url }: Extract<AgentTarget, { readonly identity: string }>,
  options: ConnectOptions,
): ReturnType<typeof openIdentityTransport> {
  const named = url === undefined ? undefined : [url];
  const given = await openGiven(identity);
  if (given) {
    const caller = { tls: given, urls: named ?? [], own: undefined };
    return await openIdentityTransport({ ...options, ...caller });
  }
  const own = await createOperators().open(identity);
  const caller = { tls: own, urls: named ?? own.urls, own };
  return await openIdentityTransport({ ...options, ...caller });
}

/** Opens a folder with a certificate of the operator's own CA; undefined where the certificate is the cluster's. */
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
    // The code that opens the file says why it cannot.
    return false;
  }
}
