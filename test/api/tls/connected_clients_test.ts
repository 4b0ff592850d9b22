import assert from "node:assert/strict";
import { setTimeout as delay } from "node:timers/promises";
import {
  type ConnectedClient,
  ConnectedClients,
} from "../../../src/api/tls/connected_clients.ts";
import type { TlsCredentials } from "../../../src/api/tls/credentials.ts";
import { waitFor } from "../../support/wait_for.ts";

/** Credentials that no longer accept anybody, and tell nobody of it. */
const credentials: TlsCredentials = {
  material: undefined,
  acceptsAnonymous: false,
  place: "a test",
  recognize: () => ({ kind: "refused", why: "Cannot accept it" }),
  fault: () => "",
  warnings: () => [],
  onChange: () => () => {},
};

function createMember(end: () => void): ConnectedClient {
  return {
    caller: {
      kind: "member",
      address: "198.18.0.9",
      identity: {
        ...{ clusterId: "c", role: "node", name: "host2", serial: "01" },
        ...{ issuedAtMs: 0, notAfterMs: Date.now() + 3_600_000 },
        generation: 1,
      } as never,
    },
    shown: { der: new Uint8Array(), isTrusted: true, usage: "client" },
    authorities: "",
    sinceMs: performance.now(),
    end,
  };
}

Deno.test("ConnectedClients checks all clients again every sixty rounds, also without a change", async () => {
  const intervalMs = 5;
  const clients = new ConnectedClients({
    credentials,
    limits: { recheckIntervalMs: intervalMs, maxAnonymousMs: 60_000 },
  });
  let endedAtMs: number | undefined;
  const startedAtMs = performance.now();
  const member = createMember(() => {
    endedAtMs = performance.now();
    clients.delete(member);
  });
  clients.add(member);
  try {
    await waitFor(
      "the client to be disconnected",
      () => endedAtMs !== undefined,
    );
    assert.ok(endedAtMs! - startedAtMs >= 59 * intervalMs * 0.9);
    await delay(0);
  } finally {
    clients.stop();
  }
});
