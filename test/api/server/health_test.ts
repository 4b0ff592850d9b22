import assert from "node:assert/strict";
import {
  type Client,
  Code,
  createClient,
  createRouterTransport,
} from "@connectrpc/connect";
import {
  Health as HealthService,
  HealthCheckResponse_ServingStatus as Status,
} from "../../../src/gen/grpc/health/v1/health_pb.ts";
import { createHealth, type Health } from "../../../src/api/server/health.ts";

function createHealthClient(): {
  health: Health;
  client: Client<typeof HealthService>;
} {
  const health = createHealth(["a.A", "b.B"]);
  const transport = createRouterTransport((router) => health.routes(router));
  return { health, client: createClient(HealthService, transport) };
}

Deno.test("createHealth() has all services serving at first", async () => {
  const { client } = createHealthClient();
  for (const service of ["", "a.A", "b.B"]) {
    assert.equal((await client.check({ service })).status, Status.SERVING);
  }
});

Deno.test("Health.set() sets one service, setAll() every one", async () => {
  const { health, client } = createHealthClient();
  const statuses = () =>
    Promise.all(
      ["", "a.A", "b.B"].map(async (service) =>
        (await client.check({ service })).status
      ),
    );
  const { SERVING, NOT_SERVING } = Status;
  health.set("a.A", false);
  assert.deepEqual(await statuses(), [SERVING, NOT_SERVING, SERVING]);
  health.setAll(false);
  assert.deepEqual(await statuses(), [NOT_SERVING, NOT_SERVING, NOT_SERVING]);
  health.set("", true);
  assert.deepEqual(await statuses(), [SERVING, NOT_SERVING, NOT_SERVING]);
});

Deno.test("Check of an unknown service is NOT_FOUND and names it", async () => {
  const { client } = createHealthClient();
  await assert.rejects(client.check({ service: "c.C" }), {
    code: Code.NotFound,
    rawMessage: 'Cannot check "c.C": the agent has no such service',
  });
});

Deno.test("Watch tells the state at once and then every change, once", async () => {
  const { health, client } = createHealthClient();
  const stop = new AbortController();
  const watch = client.watch({ service: "a.A" }, { signal: stop.signal })
    [Symbol.asyncIterator]();
  const next = async () => (await watch.next()).value.status;
  assert.equal(await next(), Status.SERVING);
  const changed = next();
  health.set("b.B", false);
  health.set("a.A", true);
  health.set("a.A", false);
  assert.equal(await changed, Status.NOT_SERVING);
  const changedAgain = next();
  health.set("a.A", true);
  assert.equal(await changedAgain, Status.SERVING);
  const ended = assert.rejects(watch.next(), { code: Code.Canceled });
  stop.abort();
  await ended;
});

Deno.test("Watch of an unknown service tells so and waits for it", async () => {
  const { health, client } = createHealthClient();
  const stop = new AbortController();
  const watch = client.watch({ service: "c.C" }, { signal: stop.signal })
    [Symbol.asyncIterator]();
  assert.equal((await watch.next()).value.status, Status.SERVICE_UNKNOWN);
  const known = watch.next();
  health.set("c.C", true);
  assert.equal((await known).value.status, Status.SERVING);
  const ended = assert.rejects(watch.next(), { code: Code.Canceled });
  stop.abort();
  await ended;
});
