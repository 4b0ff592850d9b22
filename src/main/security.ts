import type { Agent } from "../agent/agent.ts";
import { type AgentConfig, speaksPlainText } from "../config/config.ts";
import { type Address, isLoopback } from "../net/address.ts";
import { startPeriodicTask } from "../base/periodic_task.ts";
import { sleep } from "../base/retry.ts";
import { DenoIdentityFiles } from "../security/files/deno_identity_files.ts";
import { checkSecretFile } from "../system/secret_file.ts";
import type {
  CertificateSource,
  IssuingAgent,
} from "../security/certificate_source.ts";
import type { Trust } from "../security/trust.ts";
import { createRpcTransport } from "../api/client/client.ts";
import type { TlsCredentials } from "../api/tls/credentials.ts";
import { createIssuingAgent } from "../api/client/enrolment.ts";
import { GivenCertificate } from "../api/tls/given_certificate.ts";
import { NodeIdentity } from "../security/node_identity.ts";
import { readTokenFile } from "./token_file.ts";

/** Interval between looks for new certificate files, in ms. */
const CERTIFICATE_INTERVAL_MS = 3_000;

/** The means by which an agent authenticates itself and others. */
export interface Security {
  /** Its certificate and the CAs that it trusts; undefined where it reaches no other host, or speaks plain text. */
  readonly credentials:
    | TlsCredentials & {
      readonly endsAtMs: number | undefined;
      /** Why the certificate was not renewed; empty while nothing is wrong. */
      readonly renewalProblem: string;
    }
    | undefined;
  /** Makes the transport to another agent. */
  readonly connect: (url: string) => ReturnType<typeof createRpcTransport>;
  /** Sets the CAs and revocations that it checks others with. */
  readonly onTrust: (trust: Trust) => void;
  /** Sets the addresses at which other hosts reach this one. */
  readonly onReached: (addresses: readonly Address[]) => void;
  /** Starts to get and renew certificates. */
  start(agent: Agent): void;
  stop(): Promise<void>;
}

/**
 * Opens the agent's certificate and the CAs that it trusts.
 *
 * @throws {NetError} `failed_precondition` when others may read a file with a
 * secret, or a file is not valid
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

/** Loads certificates when their files change, and at once on SIGHUP. @returns the function that stops this */
function followCertificates(
  identity: GivenCertificate,
): () => Promise<void> {
  const task = startPeriodicTask("look for new certificates", {
    intervalMs: CERTIFICATE_INTERVAL_MS,
    run: () => identity.reload(),
  });
  const onHangUp = () => void identity.reload();
  Deno.addSignalListener("SIGHUP", onHangUp);
  return () => {
    Deno.removeSignalListener("SIGHUP", onHangUp);
    return task.stop();
  };
}

async function openNodeIdentity(
  config: AgentConfig,
  tokenPath: string | undefined,
): Promise<Security> {
  let agent: Agent | undefined;
  const issuers: IssuingAgent[] = [];
  const source: CertificateSource = config.join.length === 0
    ? {
      kind: "own",
      // deno-lint-ignore require-await -- so that it throws as a promise does
      sign: async (order) =>
        agent!.requireHost().requireAuthority().signOwn(order),
    }
    : {
      kind: "others",
      issuers,
      readToken: async () =>
        tokenPath === undefined ? undefined : await readTokenFile(tokenPath),
    };
  const identity = await NodeIdentity.open({
    node: config.node,
    files: new DenoIdentityFiles(`${config.stateDir}/identity`),
    source,
    mayRenew: () => !agent?.member.isCopy,
    isInCluster: () =>
      agent === undefined ||
      ["hosted", "joined", "left"].includes(agent.member.link.state),
    now: Date.now,
    random: Math.random,
    wait: sleep,
  });
  const parts = common(config, identity);
  issuers.push(
    ...config.join.filter((url) => url.startsWith("https:"))
      .map((url) => createIssuingAgent(url, parts.connect(url))),
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
    allowsPlainText: speaksPlainText(security),
  };
  return {
    credentials,
    connect: (url) =>
      createRpcTransport({
        // A peer that speaks TLS may accept plain text too, on the same port.
        url: security.kind === "none" ? url.replace(/^https:/, "http:") : url,
      }, options),
  };
}

/** Whether other hosts reach this agent over TLS, or it reaches them. */
function needsCertificate({ listen, join }: AgentConfig): boolean {
  return listen.some(({ hostname }) => !isLoopback(hostname)) ||
    join.some((url) => url.startsWith("https:"));
}

/** Moves open watches to a connection with the new certificate. */
function reconnectOnChange(credentials: TlsCredentials, agent: Agent): void {
  let shown = credentials.material?.cert;
  credentials.onChange(() => {
    const cert = credentials.material?.cert;
    if (cert === shown) return;
    shown = cert;
    agent.member.reconnect?.();
  });
}

/** The agent's files with secrets, without those of its store, which are checked with the store. */
function secretFiles({ security }: AgentConfig): string[] {
  return [
    security.kind === "given" ? security.paths.keyPath : undefined,
    security.kind === "cluster" ? security.tokenPath : undefined,
  ].filter((path) => path !== undefined);
}
