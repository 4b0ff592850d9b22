import assert from "node:assert/strict";
import * as grpc from "@grpc/grpc-js";
import { createIpamClient, type IpamClient } from "../support/ipam_client.ts";
import { spawnAgent } from "../support/spawn_agent.ts";

const CLIENTS = 4;
/** Of each client, at once. */
const CALLERS = 4;
const ROUNDS = 3;
const MAX_ANSWERS = 200;
const STOP_MS = 60_000;

/** UNAVAILABLE; on a connection that was not in use yet Deno's HTTP/2 tells grpc-js the other. */
const REFUSED = [grpc.status.UNAVAILABLE, grpc.status.CANCELLED];

/** Allocates and releases until the agent takes no more; a refused call has done nothing. */
async function load(
  client: IpamClient,
  name: string,
  { held, onAnswer }: {
    readonly held: Map<string, string>;
    readonly onAnswer: () => void;
  },
): Promise<void> {
  for (let i = 0;; i++) {
    const id = `${name}-${i}`;
    try {
      const [address] = await client.allocate(id);
      held.set(id, address!);
      onAnswer();
      if (i % 2 === 0) continue;
      await client.release(id);
      held.delete(id);
    } catch (error) {
      const { code, details } = error as grpc.ServiceError;
      assert.ok(REFUSED.includes(code), details);
      return;
    }
  }
}

for (const signal of ["SIGTERM", "SIGINT"] as const) {
  Deno.test({
    name:
      `an agent that gets ${signal} under load answers what it has begun, and ends with 0`,
    // grpc-js leaves the timers of its next tries to connect behind.
    sanitizeOps: false,
    sanitizeResources: false,
    fn: async () => {
      await using agent = await spawnAgent({
        args: ["--network", "10.4.0.0/16", "--subnet-prefix", "16"],
      });
      const held = new Map<string, string>();
      for (let round = 0; round < ROUNDS; round++) {
        const loaded = Promise.withResolvers<void>();
        let left = 1 + Math.floor(Math.random() * MAX_ANSWERS);
        const onAnswer = () => {
          if (--left === 0) loaded.resolve();
        };
        const clients = Array.from(
          { length: CLIENTS },
          () => createIpamClient(agent.port),
        );
        const work = Promise.all(clients.flatMap((client, c) =>
          Array.from(
            { length: CALLERS },
            (_, i) => load(client, `${round}-${c}-${i}`, { held, onAnswer }),
          )
        ));
        await Promise.race([work, loaded.promise]);
        const before = performance.now();
        assert.equal(await agent.kill(signal), 0);
        assert.ok(performance.now() - before < STOP_MS);
        await work;
        for (const client of clients) client[Symbol.dispose]();
        await assert.rejects(
          Deno.lstat(agent.socketPath),
          Deno.errors.NotFound,
        );
        await agent.start();
        using client = createIpamClient(agent.port);
        const listed = (await client.list()).map(([id, [ip]]) => `${id} ${ip}`);
        const known = [...held].map(([id, ip]) => `${id} ${ip}`);
        assert.deepEqual(listed.sort(), known.sort());
      }
    },
  });
}
