import { X509Certificate } from "node:crypto";
import { setImmediate } from "node:timers/promises";
import { getLogger } from "@logtape/logtape";
import { type Caller, describeCaller } from "../access/call_context.ts";
import { parseCertificates } from "./certificate_fault.ts";
import type { RpcLimits } from "../limits/limits.ts";
import type {
  Recognition,
  ShownCertificate,
  TlsCredentials,
} from "./credentials.ts";

/** Time for which clients are checked before other work gets its turn, in ms. */
const SLICE_MS = 10;
/** One round in so many checks all clients, even those that should not have changed. */
const FULL_ROUND = 60;

const log = getLogger(["stellar-net", "rpc"]);

/** A client over TLS, while its connection lasts. */
export interface ConnectedClient {
  readonly caller: Caller;
  /** The certificate that it showed, if any. */
  shown: ShownCertificate | undefined;
  /** The authorities, in PEM, that `shown` was verified with. */
  authorities: string;
  readonly sinceMs: number;
  /** Ends the connection at once. */
  end(): void;
}

/** Options of live clients. */
export interface ConnectedClientsOptions {
  readonly credentials: TlsCredentials;
  readonly limits: Pick<RpcLimits, "recheckIntervalMs" | "maxAnonymousMs">;
}

/** The clients that are connected over TLS. They are recognised again after each
 * change of the credentials, when their certificate expires, and periodically. A
 * client is disconnected when its certificate is no longer valid, or when it has
 * had none for too long. Recognising one takes some milliseconds.
 */
export class ConnectedClients {
  readonly #credentials: TlsCredentials;
  readonly #limits: ConnectedClientsOptions["limits"];
  readonly #clients = new Set<ConnectedClient>();
  readonly #timer: ReturnType<typeof setInterval>;
  readonly #stopFollowing: () => void;
  #isChecking = false;
  #isStale = false;
  #round = 0;

  constructor({ credentials, limits }: ConnectedClientsOptions) {
    this.#credentials = credentials;
    this.#limits = limits;
    this.#timer = setInterval(() => this.#tick(), limits.recheckIntervalMs);
    this.#stopFollowing = credentials.onChange(() => void this.#checkAll());
  }

  add(client: ConnectedClient): void {
    this.#clients.add(client);
  }

  /** Forgets a client whose connection has closed. */
  delete(client: ConnectedClient): void {
    this.#clients.delete(client);
  }

  /** Stops checking. */
  stop(): void {
    clearInterval(this.#timer);
    this.#stopFollowing();
  }

  #tick(): void {
    if (++this.#round % FULL_ROUND === 0) void this.#checkAll();
    const nowMs = Date.now();
    for (const client of this.#clients) {
      const { caller } = client;
      if (caller.kind !== "member") this.#checkDuration(client);
      else if (caller.identity.notAfterMs <= nowMs) this.#check(client);
    }
  }

  async #checkAll(): Promise<void> {
    this.#isStale = true;
    if (this.#isChecking) return;
    this.#isChecking = true;
    try {
      while (this.#isStale) {
        this.#isStale = false;
        let sliceMs = performance.now();
        for (const client of [...this.#clients]) {
          if (performance.now() - sliceMs > SLICE_MS) {
            await setImmediate();
            sliceMs = performance.now();
          }
          if (this.#clients.has(client)) this.#check(client);
        }
      }
    } finally {
      this.#isChecking = false;
    }
  }

  #checkDuration({ caller, sinceMs, end }: ConnectedClient): void {
    if (performance.now() - sinceMs <= this.#limits.maxAnonymousMs) return;
    log.debug("Disconnecting {client}: {why}", {
      client: describeClient(caller),
      why: "it has had no valid certificate for too long",
    });
    end();
  }

  #check(client: ConnectedClient): void {
    const { caller, shown } = client;
    if (!shown) return;
    const now = this.#recheck(client, shown);
    if (caller.kind === "member" && now.kind === "refused") {
      const properties = { client: describeClient(caller), why: now.why };
      // A client that has renewed its certificate comes back with the new one.
      if (now.expired) log.info("Disconnecting {client}: {why}", properties);
      else log.warn("Disconnecting {client}: {why}", properties);
      client.end();
    } else if (caller.kind === "refused" && now.kind === "member") {
      log.debug("Disconnecting {client}: its certificate is valid now", {
        client: describeClient(caller),
      });
      client.end();
    }
  }

  #recheck(client: ConnectedClient, shown: ShownCertificate): Recognition {
    try {
      return this.#recognize(client, shown);
    } catch (error) {
      log.error("Cannot check {client} again: {error}", {
        client: describeClient(client.caller),
        error,
      });
      return { kind: "refused", why: "Cannot tell whose certificate it is" };
    }
  }

  #recognize(client: ConnectedClient, shown: ShownCertificate): Recognition {
    const { material } = this.#credentials;
    if (material && material.ca !== client.authorities) {
      client.shown = {
        ...shown,
        isTrusted: shown.isTrusted &&
          isStillTrusted(shown, client.authorities, material.ca),
      };
      client.authorities = material.ca;
    }
    return this.#credentials.recognize(client.shown!);
  }
}

/** Whether a certificate that some authorities verified is valid under others: if
 * none of the former is missing, or one of the latter has signed it itself.
 */
function isStillTrusted(
  { der }: ShownCertificate,
  ...[before, now]: readonly [before: string, now: string]
): boolean {
  const authorities = parseCertificates(now);
  const kept = new Set(authorities.map(({ fingerprint256 }) => fingerprint256));
  if (
    parseCertificates(before)
      .every(({ fingerprint256 }) => kept.has(fingerprint256))
  ) return true;
  const certificate = new X509Certificate(der);
  return authorities.some((authority) =>
    certificate.checkIssued(authority) &&
    certificate.verify(authority.publicKey)
  );
}

function describeClient(caller: Caller): string {
  const from = "address" in caller ? ` at ${caller.address}` : "";
  return `${describeCaller(caller)}${from}`;
}
