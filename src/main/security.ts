import type { Agent } from "../agent/agent.ts";
import type { AgentConfig } from "../config/config.ts";
import { isLoopback } from "../net/host.ts";
import { sleep } from "../base/periodic_task.ts";
import { DenoIdentityFiles } from "../security/files/deno_identity_files.ts";
import { checkSecretFile } from "../system/secret_file.ts";
import type { CertificateSource } from "../security/certificate_source.ts";
import type { Enroller } from "../security/enroller.ts";
import type { Trust } from "../security/trust.ts";
import type { Address } from "../net/address.ts";
import { createRpcTransport } from "../api/client/client.ts";
import type { TlsCredentials } from "../api/tls/credentials.ts";
import { followCertificates } from "./certificates.ts";
import { createEnroller } from "../api/client/enrolment.ts";
import { GivenCertificate } from "../api/tls/given_certificate.ts";
import { NodeIdentity } from "../security/node_identity.ts";
import { readTokenFile } from "./token_file.ts";

/** How an agent and others know each other. */
export interface Security {
  /** What it shows and knows others by; undefined where no other host is reached, or all in plain text. */
  readonly credentials:
    | TlsCredentials & { readonly endsAtMs: number | undefined }
    | undefined;
  /** Makes the transport to another agent. */
  readonly connect: (url: string) => ReturnType<typeof createRpcTransport>;
  /** Takes in what others are checked with. */
  readonly onTrust: (trust: Trust) => void;
  /** Takes in at which addresses other hosts reach this one. */
  readonly onReached: (addresses: readonly Address[]) => void;
  /** Begins to get certificates and to renew them. */
  start(agent: Agent): void;
  stop(): Promise<void>;
}

/**
 * Opens what an agent and others know each other by.
 *
 * @throws {NetError} `failed_precondition` when a file with a secret may be
 * read by others, or cannot be right
 */
export async function openSecurity(config: AgentConfig): Promise<Security> {
  for (const path of secretFiles(config)) await checkSecretFile(path);
  const { security } = config;
  if (security.kind === "given") {
    const identity = await GivenCertificate.open(security.paths, {
      node: config.node,
    });
    const stop = followCertificates(identity);
    return {
      ...common(config, identity),
      onTrust: (trust) => identity.takeTrust(trust),
      onReached: () => {},
      start: (agent) => reconnectOnChange(identity, agent),
      stop,
    };
  }
  if (security.kind === "none" || !needsCertificate(config)) {
    return {
      ...common(config, undefined),
      onTrust: () => {},
      onReached: () => {},
      start: () => {},
      stop: () => Promise.resolve(),
    };
  }
  return await openNodeIdentity(config, security.tokenPath);
}

async function openNodeIdentity(
  config: AgentConfig,
  tokenPath: string | undefined,
): Promise<Security> {
  let agent: Agent | undefined;
  const enrollers: Enroller[] = [];
  const source: CertificateSource = config.join.length === 0
    ? {
      kind: "own",
      // deno-lint-ignore require-await -- it throws as a promise does
      sign: async (order) =>
        agent!.requireHost().requireAuthority().signOwn(order),
    }
    : {
      kind: "others",
      enrollers,
      readToken: async () =>
        tokenPath === undefined ? undefined : await readTokenFile(tokenPath),
    };
  const identity = await NodeIdentity.open({
    node: config.node,
    files: new DenoIdentityFiles(`${config.stateDir}/identity`),
    source,
    isAtHome: () =>
      agent === undefined ||
      ["hosted", "joined", "left"].includes(agent.member.link.state),
    now: Date.now,
    random: Math.random,
    wait: sleep,
  });
  const parts = common(config, identity);
  enrollers.push(
    ...config.join.filter((url) => url.startsWith("https:"))
      .map((url) => createEnroller(url, parts.connect(url))),
  );
  const onHangUp = () => identity.renewNow();
  return {
    ...parts,
    onTrust: (trust) => identity.takeTrust(trust),
    onReached: (addresses) => identity.setAddresses(addresses),
    start(started) {
      agent = started;
      reconnectOnChange(identity, agent);
      identity.start();
      Deno.addSignalListener("SIGHUP", onHangUp);
    },
    stop() {
      Deno.removeSignalListener("SIGHUP", onHangUp);
      return identity.stop();
    },
  };
}

function common(
  { security }: AgentConfig,
  credentials: Security["credentials"],
): Pick<Security, "credentials" | "connect"> {
  const options = {
    tls: credentials,
    allowsPlainText: security.kind === "none",
  };
  return {
    credentials,
    connect: (url) => createRpcTransport({ url }, options),
  };
}

/** Whether other hosts reach this agent, or it reaches them. */
function needsCertificate({ listen, join }: AgentConfig): boolean {
  return listen.some(({ hostname }) => !isLoopback(hostname)) ||
    join.some((url) => url.startsWith("https:"));
}

/** What is followed over a connection moves to one with the new certificate. */
function reconnectOnChange(credentials: TlsCredentials, agent: Agent): void {
  let shown = credentials.material?.cert;
  credentials.onChange(() => {
    const cert = credentials.material?.cert;
    if (cert === shown) return;
    shown = cert;
    agent.member.reconnect?.();
  });
}

/** The files with secrets of an agent; those of its store are checked with that. */
function secretFiles({ security }: AgentConfig): string[] {
  return [
    security.kind === "given" ? security.paths.keyPath : undefined,
    security.kind === "cluster" ? security.tokenPath : undefined,
  ].filter((path) => path !== undefined);
}
