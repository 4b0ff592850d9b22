import assert from "node:assert/strict";
import { Code } from "@connectrpc/connect";
import { Health } from "../../src/gen/grpc/health/v1/health_pb.ts";
import { Network } from "../../src/gen/stellar/services/network/v1/network_pb.ts";
import type { CallMetrics } from "../../src/metrics/counters.ts";
import { createClient } from "@connectrpc/connect";
import {
  createConnectTransport,
  createGrpcTransport,
} from "@connectrpc/connect-node";
import { createStubNetwork } from "../support/stub_network.ts";
import { withRpcServer } from "../support/rpc_server.ts";
import { waitFor } from "../support/wait_for.ts";

/** Keeps the calls that ended, as "method code". */
class FakeCallMetrics implements CallMetrics {
  readonly all: string[] = [];

  clock(): number {
    return 7;
  }

  ended(
    ...[method, { code, startedAtMs }]: Parameters<CallMetrics["ended"]>
  ): void {
    assert.equal(startedAtMs, 7);
    const end = code === undefined ? "OK" : Code[code];
    this.all.push(`${method.name} ${end}`);
  }
}

const KINDS = ["connect", "grpc"] as const;
/** A deadline of 20 ms. */
const DEADLINE = {
  connect: { "connect-timeout-ms": "20" },
  grpc: { "grpc-timeout": "20m" },
} as const;

Deno.test("a server counts each call once, with its code", async (t) => {
  for (const kind of KINDS) {
    await t.step(kind, async () => {
      const metrics = new FakeCallMetrics();
      const { routes } = createStubNetwork();
      const told = metrics.all;
      await withRpcServer({ routes, metrics }, async ({ url }) => {
        const transport = kind === "grpc"
          ? createGrpcTransport({ baseUrl: url })
          : createConnectTransport({ baseUrl: url, httpVersion: "1.1" });
        const client = createClient(Network, transport);
        const steps: readonly [() => Promise<unknown>, string][] = [
          [() => client.info({}), "Info OK"],
          [() => assert.rejects(client.getIP({})), "GetIP NotFound"],
          [() => assert.rejects(client.subnets({})), "Subnets Internal"],
          [
            () => assert.rejects(client.addRoute({})),
            "AddRoute Unimplemented",
          ],
          [
            // A client that kept the deadline itself might hang up before it.
            () =>
              assert.rejects(client.getSubnet({}, { headers: DEADLINE[kind] })),
            "GetSubnet DeadlineExceeded",
          ],
        ];
        for (const [call, end] of steps) {
          told.length = 0;
          await call();
          await waitFor(end, () => told.length > 0);
          assert.deepEqual(told, [end]);
        }
        const stop = new AbortController();
        const health = createClient(Health, transport);
        told.length = 0;
        await assert.rejects(async () => {
          for await (
            const _ of health.watch({}, { signal: stop.signal })
          ) stop.abort();
        });
        await waitFor("the end of the stream", () => told.length > 0);
        assert.deepEqual(told, ["Watch Canceled"]);
      });
    });
  }
});
