import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { connect } from "node:tls";
import { publicPart } from "../../../src/security/pki/generations.ts";
import { ClientLimits, Refusals } from "../../../src/api/limits/clients.ts";
import { DEFAULT_LIMITS } from "../../../src/api/limits/limits.ts";
import { TlsHandshakes } from "../../../src/api/tls/handshakes.ts";
import {
  createIdentity,
  createTestAuthority,
} from "../../security/pki/identities.ts";
import { materialOf, TestCredentials } from "../../support/cluster_tls.ts";

Deno.test("TlsHandshakes tells of clients with an identity: they count as that, not as their address", async (t) => {
  const nowMs = Date.now();
  const authority = await createTestAuthority({ nowMs });
  const [server, client] = await Promise.all([
    createIdentity(authority, { nowMs, name: "host1" }),
    createIdentity(authority, { nowMs, name: "host2" }),
  ]);
  const refusals = new Refusals();
  const seen: string[] = [];
  const handshakes = new TlsHandshakes({
    credentials: new TestCredentials(
      { authorities: [publicPart(authority.record)], revocations: [] },
      materialOf(server, authority),
    ),
    limits: DEFAULT_LIMITS,
    clients: new ClientLimits(DEFAULT_LIMITS, refusals),
    refusals,
    onSecure: (socket, { caller }) => {
      seen.push(caller.kind);
      socket.end();
    },
  });
  const listener = createServer((socket) =>
    handshakes.accept(socket, {
      from: "198.18.0.9",
      onKnown: () => seen.push("known"),
    })
  );
  listener.listen(0, "127.0.0.1");
  await once(listener, "listening");
  const { port } = listener.address() as AddressInfo;
  const rows = [
    ["with a certificate", { cert: client.chain, key: client.key }, [
      "known",
      "member",
    ]],
    ["without one", {}, ["anonymous"]],
  ] as const;
  try {
    for (const [what, shown, expected] of rows) {
      await t.step(what, async () => {
        seen.length = 0;
        const socket = connect({
          ...{ host: "127.0.0.1", port, minVersion: "TLSv1.3" },
          ...shown,
          ca: authority.record.certificate,
        });
        await once(socket.resume(), "close");
        assert.deepEqual(seen, expected);
      });
    }
  } finally {
    handshakes.stop();
    listener.close();
    await once(listener, "close");
  }
});
