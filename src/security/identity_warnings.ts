import { parsePem } from "./pki/pem.ts";
import type { IdentityState } from "./identity_state.ts";
import { recognizePeer } from "./node_recognition.ts";

/** The part of a certificate's time at whose end it is told that it was not renewed. */
const ENDING_SHARE = 1 / 10;

const NEW_TOKEN =
  'let this host in anew: make a token with "stellar-net token create" on a host of the registry, and put it into the file that --token-file names';
const RENEWS_ITSELF =
  "it is renewed as soon as a host of the registry is reached";

/** How a node's identity is doing. Texts are empty where there is nothing to say. */
export interface IdentityHealth {
  readonly nowMs: number;
  /** Why others would not accept the certificate. */
  readonly fault: string;
  /** Why there is no new certificate. */
  readonly problem: string;
  /** Whether that was an answer, and not that none came. */
  readonly isRefused: boolean;
  /** Why another host has refused this one of late. */
  readonly refusal: string;
  /** Whether this node's agent has the authority's key. */
  readonly signsItself: boolean;
}

/** What a person should know of a node's identity, with the way out. */
export function identityWarnings(
  { certificate, trust }: IdentityState,
  health: IdentityHealth,
): string[] {
  const { nowMs, fault, problem, isRefused, refusal, signsItself } = health;
  if (!certificate) {
    return [
      `this host has no certificate yet, so that it reaches no other, and none reaches it: ${
        problem || "it is being asked for"
      }`,
    ];
  }
  const notAccepted = "other hosts do not accept this one";
  const wayOut = signsItself ? "" : `; ${NEW_TOKEN}`;
  if (fault !== "") {
    const why = problem === "" || problem === fault ? "" : ` (${problem})`;
    const [der] = parsePem("CERTIFICATE", certificate.chain);
    const shown = recognizePeer({ der: der!, usage: "client" }, {
      trust,
      nowMs,
    });
    const isRenewable = !signsItself && !isRefused &&
      shown.kind === "refused" && shown.expired !== undefined;
    return [
      `${notAccepted}: ${fault}${why}${
        isRenewable ? `; ${RENEWS_ITSELF}` : wayOut
      }`,
    ];
  }
  if (refusal !== "") return [`${notAccepted}: ${refusal}${wayOut}`];
  const { issuedAtMs, notAfterMs } = certificate.identity;
  const isEnding =
    notAfterMs - nowMs < (notAfterMs - issuedAtMs) * ENDING_SHARE;
  if (problem === "" || !isEnding && !isRefused) return [];
  return [
    `this host's certificate is valid until ${
      new Date(notAfterMs).toISOString()
    } only, and is not renewed: ${problem}`,
  ];
}
