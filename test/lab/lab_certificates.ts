import { X509Certificate } from "node:crypto";
import type { LabHost } from "./lab_host.ts";

/** What is looked at of a certificate. */
export interface SeenCertificate {
  readonly serial: string;
  readonly notAfterMs: number;
  /** Of the authority that has signed it. */
  readonly generation: number;
}

/** The folder in which the agent of a host keeps its identity. */
export function identityDir({ agent }: LabHost): string {
  return `${agent.stateDir}/identity`;
}

/** The certificate that a folder has. */
export async function certificateIn(dir: string): Promise<SeenCertificate> {
  const pem = await Deno.readTextFile(`${dir}/chain.pem`);
  const { serialNumber, validTo, issuer } = new X509Certificate(pem);
  return {
    serial: serialNumber.toLowerCase(),
    notAfterMs: Date.parse(validTo),
    generation: Number(/(\d+)\D*$/.exec(issuer)![1]),
  };
}

/** Connections over TLS that a host's agent has from another host. */
export async function connectionsFrom(
  { to, from }: { readonly to: LabHost; readonly from: LabHost },
): Promise<string[]> {
  const shown = await to.must("ss", [
    ...["--tcp", "--numeric", "--no-header", "state", "established"],
    ...["sport", "=", ":9000", "and", "dst", "=", from.address],
  ]);
  return shown.split("\n").filter((line) => line !== "");
}

/**
 * Calls an agent over TLS from a host with the certificate of a folder, or
 * none.
 *
 * @param call such as `AgentService/GetStatus`
 * @returns its answer in JSON; empty when it has not answered
 */
export async function callWith(
  from: LabHost,
  { dir, to, call }: {
    readonly dir: string | undefined;
    readonly to: LabHost;
    readonly call: string;
  },
): Promise<string> {
  const { stdout } = await from.exec("curl", [
    ...["--silent", "--insecure", "--max-time", "10"],
    ...dir === undefined
      ? []
      : ["--cert", `${dir}/chain.pem`, "--key", `${dir}/key.pem`],
    ...["--header", "content-type: application/json", "--data", "{}"],
    `https://${to.address}:9000/stellar.net.v1.${call}`,
  ]);
  return stdout;
}
