import assert from "node:assert/strict";
import { ClientLimits, Refusals } from "../../../src/api/limits/clients.ts";
import { DEFAULT_LIMITS } from "../../../src/api/limits/limits.ts";
import { collectLogs } from "../../support/collect_logs.ts";

const LIMITS = {
  ...DEFAULT_LIMITS,
  maxConnectionsPerAddress: 2,
  maxConnectionsPerIdentity: 3,
  maxConnectionsPerAnonymous: 1,
  maxCallsPerClient: 2,
  maxCallsPerAnonymous: 1,
  maxReceivedBytesPerClient: 100,
  maxReceivedBytesPerAnonymous: 10,
};

Deno.test("ClientLimits.enter() bounds the connections of each client by itself", () => {
  const clients = new ClientLimits(LIMITS, new Refusals());
  const rows = [["address", 2], ["identity", 3], ["anonymous", 1]] as const;
  for (const [kind, most] of rows) {
    const shares = Array.from({ length: most }, () => clients.enter(kind, "a"));
    assert.equal(new Set(shares).size, 1);
    assert.equal(clients.enter(kind, "a"), undefined, kind);
    const other = clients.enter(kind, "b");
    assert.ok(other);
    clients.leave(kind, shares[0]!);
    const again = clients.enter(kind, "a");
    assert.ok(again, kind);
    for (const share of [...shares.slice(1), again]) {
      clients.leave(kind, share!);
    }
    clients.leave(kind, other);
  }
  assert.equal(clients.count, 0);
});

Deno.test("ClientLimits.enter() bounds anonymous clients together, and nobody else", () => {
  const limits = { ...LIMITS, maxAnonymousConnections: 3 };
  const clients = new ClientLimits(limits, new Refusals());
  const names = ["a", "b", "c"];
  const shares = names.map((name) => clients.enter("anonymous", name)!);
  assert.equal(clients.enter("anonymous", "d"), undefined);
  assert.ok(clients.enter("address", "d"));
  assert.ok(clients.enter("identity", "node d"));
  clients.leave("anonymous", shares[0]!);
  assert.ok(clients.enter("anonymous", "d"));
});

Deno.test("ClientShare bounds the calls and the bytes of a client", () => {
  const clients = new ClientLimits(LIMITS, new Refusals());
  const rows = [["identity", 2, 100], ["anonymous", 1, 10]] as const;
  for (const [kind, calls, bytes] of rows) {
    const share = clients.enter(kind, "a")!;
    for (let i = 0; i < calls; i++) share.begin();
    assert.throws(() => share.begin(), {
      message:
        `[resource_exhausted] Cannot take the call of a: it has ${calls} calls in flight, which is the limit; try again`,
    });
    share.receive(bytes);
    assert.throws(() => share.receive(1), {
      message:
        `[resource_exhausted] Cannot take the call of a: it is sending more than ${bytes} bytes at once; try again`,
    });
    share.end(bytes);
    share.begin();
    share.receive(bytes);
  }
});

Deno.test("Refusals.report() logs one in ten seconds, and counts the others", async () => {
  let nowMs = 0;
  const refusals = new Refusals(() => nowMs);
  const logged = await collectLogs(() => {
    for (nowMs = 0; nowMs <= 20_000; nowMs += 2_500) {
      refusals.report({ from: "192.0.2.1", why: `at ${nowMs}` });
    }
    return Promise.resolve();
  });
  assert.deepEqual(logged, [
    "Refused a client at 192.0.2.1: at 0 (0 others before)",
    "Refused a client at 192.0.2.1: at 10000 (3 others before)",
    "Refused a client at 192.0.2.1: at 20000 (3 others before)",
  ]);
});
