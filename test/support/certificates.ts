import { join } from "node:path";
import type { EtcdCertificates } from "./etcd.ts";
import { run } from "./run.ts";

/**
 * Makes an authority and, signed by it, a certificate for 127.0.0.1 that
 * servers and clients can use, with openssl, in a new folder.
 */
export async function createCertificates(
  dir: string,
): Promise<EtcdCertificates> {
  await Deno.mkdir(dir);
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
    .concat("-nodes");
  const steps = [
    ["req", "-x509", ...key, "-keyout", "ca.key", "-out", "ca.pem"]
      .concat("-days", "2", "-subj", "/CN=authority"),
    ["req", ...key, "-keyout", "host.key", "-out", "host.csr"]
      .concat("-subj", "/CN=host"),
    ["x509", "-req", "-in", "host.csr", "-out", "host.pem", "-days", "2"]
      .concat("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial")
      .concat("-extfile", "host.ext"),
  ];
  await Deno.writeTextFile(
    join(dir, "host.ext"),
    "subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth,clientAuth\n",
  );
  for (const args of steps) {
    const { code, stderr } = await run("openssl", args, { cwd: dir });
    if (code !== 0) throw new Error(`Cannot run openssl ${args[0]}: ${stderr}`);
  }
  return {
    caPath: join(dir, "ca.pem"),
    certPath: join(dir, "host.pem"),
    keyPath: join(dir, "host.key"),
  };
}
