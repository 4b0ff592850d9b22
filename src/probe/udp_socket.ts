import { getLogger } from "@logtape/logtape";
import { NetError } from "../base/error.ts";
import { sleep } from "../base/retry.ts";
import { PROBE_PORT, type ProbeDatagram, type ProbeSocket } from "./port.ts";

/** Time to the next attempt to receive after one that failed, in ms. */
const RETRY_MS = 1_000;

const log = getLogger(["stellar-net", "agent", "probe"]);

/** Opens a UDP socket, as `OpenProbeSocket` says. */
export function openUdpSocket(
  address: string,
  onDatagram: (datagram: ProbeDatagram) => void,
): ProbeSocket {
  const conn = listen(address);
  const closed = new AbortController();
  void receive(conn, onDatagram, closed.signal);
  return {
    async send(payload, hostname) {
      const to = { transport: "udp", hostname, port: PROBE_PORT } as const;
      try {
        await conn.send(payload, to);
        return true;
      } catch (error) {
        // No route, no neighbour, or an address that is gone: the packet is lost.
        if (!closed.signal.aborted) {
          log.debug("Cannot send a probe: {error}", { error });
        }
        return false;
      }
    },
    close() {
      closed.abort();
      conn.close();
    },
  };
}

function listen(hostname: string): Deno.DatagramConn {
  try {
    return Deno.listenDatagram({
      transport: "udp",
      hostname,
      port: PROBE_PORT,
    });
  } catch (cause) {
    throw new NetError(
      "unavailable",
      `Cannot use UDP port ${PROBE_PORT} of ${hostname} for probes: ${
        reasonOf(cause)
      }`,
      { cause },
    );
  }
}

function reasonOf(error: unknown): string {
  if (error instanceof Deno.errors.AddrInUse) {
    return "another program has the port";
  }
  if (error instanceof Deno.errors.AddrNotAvailable) {
    return "this host does not have the address now";
  }
  return error instanceof Error ? error.message : String(error);
}

async function receive(
  conn: Deno.DatagramConn,
  onDatagram: (datagram: ProbeDatagram) => void,
  closed: AbortSignal,
): Promise<void> {
  for (;;) {
    try {
      const [payload, from] = await conn.receive();
      if (from.transport !== "udp") continue;
      onDatagram({ payload, from: from.hostname, port: from.port });
    } catch (error) {
      if (closed.aborted) return;
      log.debug("Cannot receive a probe: {error}", { error });
      await sleep(RETRY_MS, closed);
    }
  }
}
