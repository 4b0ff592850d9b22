import { createClient, type Transport } from "@connectrpc/connect";
import { NetError } from "../../base/error.ts";
import { IdentityService } from "../../gen/stellar/net/v1/identity_pb.ts";
import type { OperatorIdentity } from "../../security/operator_identity.ts";
import { readTrust } from "../messages/identity.ts";
import { renew } from "./enrolment.ts";
import { createOperatorTransport } from "./operator_transport.ts";
import type { TlsCredentials } from "../tls/credentials.ts";

/** How long what is done besides a call may take, in ms. */
const ASIDE_MS = 3_000;

/** Who calls, and how. */
export interface IdentityTransportOptions {
  readonly tls: TlsCredentials;
  /** Agents, in the order to try them in. */
  readonly urls: readonly string[];
  /** The same as `tls` where the cluster's own authority has certified it. */
  readonly own: OperatorIdentity | undefined;
  /** How long a call may take, in ms. */
  readonly timeoutMs: number;
  /** Takes what a person should know besides. */
  readonly note: (line: string) => void;
}

/**
 * Makes the transport of who has an identity in a folder. The identity renews
 * itself first when it is time, and takes in behind the first call whom the
 * cluster trusts: neither keeps a call from its answer.
 *
 * @throws {NetError} `failed_precondition` when the identity cannot be used
 */
export async function openIdentityTransport(
  options: IdentityTransportOptions,
): Promise<Transport> {
  const { tls, urls, own, timeoutMs, note } = options;
  if (urls.length === 0) {
    throw new NetError(
      "failed_precondition",
      `Cannot call an agent with the identity in "${tls.place}": it names none; name one with --url`,
    );
  }
  const transport = createOperatorTransport({ tls, urls, timeoutMs });
  if (!own) return transport;
  own.checkTime();
  if (!own.isDue) return follow(transport, own);
  const { role, name } = own.identity;
  try {
    await own.renew((order) =>
      renew(transport, order, AbortSignal.timeout(ASIDE_MS))
    );
    note(`Renewed the identity of ${role} ${name}, until ${untilOf(own)}`);
  } catch (error) {
    note(
      `The identity of ${role} ${name} is good until ${untilOf(own)}, ` +
        `and was not renewed: ${(error as Error).message}`,
    );
  }
  return transport;
}

/** A transport that takes in whom the cluster trusts behind its first answer. */
function follow(transport: Transport, own: OperatorIdentity): Transport {
  let isDone = false;
  const takeIn = async () => {
    if (isDone) return;
    isDone = true;
    try {
      const { trust } = await createClient(IdentityService, transport)
        .getTrust({}, { timeoutMs: ASIDE_MS });
      if (trust) await own.takeTrust(readTrust(trust));
    } catch (error) {
      // The next call comes; what cannot be read or written is told by then.
      if (!(error instanceof NetError || error instanceof RangeError)) {
        throw error;
      }
    }
  };
  return {
    stream: (...call) => transport.stream(...call),
    async unary(...call) {
      const answer = await transport.unary(...call);
      await takeIn();
      return answer;
    },
  };
}

function untilOf({ identity }: OperatorIdentity): string {
  return new Date(identity.notAfterMs).toISOString();
}
