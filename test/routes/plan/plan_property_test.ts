import assert from "node:assert/strict";
import fc from "fast-check";
import { formatPrefix } from "../../../src/net/prefix.ts";
import { formatBatchLines } from "../../../src/routes/plan/ip_batch.ts";
import {
  formatKernelRoute,
  type KernelState,
} from "../../../src/routes/plan/kernel_route.ts";
import { planRoutes } from "../../../src/routes/plan/route_plan.ts";
import type { FakeIp } from "../../fake/fake_ip.ts";
import { formatWays } from "../../fake/fake_ip_text.ts";
import {
  anyDesire,
  anyRoutes,
  createFakeHost,
  PROTOCOL,
  readKernel,
  type,
} from "./kernels.ts";

// A way of ours in a multipath that others share goes in the first round; what
// is left of it is seen to be theirs in the second, or in the third where two of
// them had joined.
const MAX_ROUNDS = 3;

Deno.test("planRoutes() leaves nothing to do once it is carried out", async () => {
  await fc.assert(
    fc.asyncProperty(anyRoutes, anyDesire, async (commands, desired) => {
      const ip = await createFakeHost(commands);
      for (let round = 0; round < MAX_ROUNDS; round++) {
        const kernel = await readKernel(ip);
        await carryOut(ip, planRoutes(desired, kernel, { protocol: PROTOCOL }));
      }
      const kernel = await readKernel(ip);
      const plan = planRoutes(desired, kernel, { protocol: PROTOCOL });
      assert.deepEqual(plan.operations, []);
      assert.deepEqual(
        ownRoutes(kernel).toSorted(),
        plan.routes.filter(({ state }) => state.kind === "installed")
          .map(({ actual }) => actual.map(formatKernelRoute)).flat()
          .filter((route) => route.includes(`proto ${PROTOCOL}`)).toSorted(),
      );
      assert.ok(plan.routes.every(({ state }) => state.kind !== "pending"));
    }),
    { numRuns: 500 },
  );
});

Deno.test("planRoutes() never changes a route of others", async () => {
  await fc.assert(
    fc.asyncProperty(anyRoutes, anyDesire, async (commands, desired) => {
      const ip = await createFakeHost(commands);
      const before = formatWays(ip, (route) => route.protocol !== PROTOCOL);
      for (let round = 0; round < MAX_ROUNDS; round++) {
        const kernel = await readKernel(ip);
        await carryOut(ip, planRoutes(desired, kernel, { protocol: PROTOCOL }));
      }
      const after = formatWays(ip, (route) => route.protocol !== PROTOCOL);
      assert.deepEqual(after, before);
    }),
    { numRuns: 500 },
  );
});

Deno.test("planRoutes() never changes a route of others that came since the kernel was read", async () => {
  await fc.assert(
    fc.asyncProperty(
      anyRoutes,
      anyRoutes,
      anyDesire,
      async (commands, later, desired) => {
        const ip = await createFakeHost(commands);
        const plan = planRoutes(desired, await readKernel(ip), {
          protocol: PROTOCOL,
        });
        for (const command of later) await type(ip, command);
        const before = formatWays(ip, (route) => route.protocol !== PROTOCOL);
        await carryOut(ip, plan);
        const after = formatWays(ip, (route) => route.protocol !== PROTOCOL);
        assert.deepEqual(after, before);
      },
    ),
    { numRuns: 500 },
  );
});

Deno.test("planRoutes() leaves no moment without a route where there was one and will be", async () => {
  await fc.assert(
    fc.asyncProperty(anyRoutes, anyDesire, async (commands, desired) => {
      const ip = await createFakeHost(commands);
      const kernel = await readKernel(ip);
      const plan = planRoutes(desired, kernel, { protocol: PROTOCOL });
      const had = destinations(kernel);
      const kept = plan.routes
        .filter(({ state }) => ["installed", "pending"].includes(state.kind))
        .map(({ route }) => formatPrefix(route.destination))
        .filter((destination) => had.has(destination));
      for (const line of plan.operations.flatMap(formatBatchLines)) {
        await type(ip, line);
        const has = destinations(await readKernel(ip));
        assert.deepEqual(kept.filter((name) => !has.has(name)), [], line);
      }
    }),
    { numRuns: 300 },
  );
});

Deno.test("planRoutes() adds and replaces before it deletes", () => {
  return fc.assert(
    fc.asyncProperty(anyRoutes, anyDesire, async (commands, desired) => {
      const kernel = await readKernel(await createFakeHost(commands));
      const kinds = planRoutes(desired, kernel, { protocol: PROTOCOL })
        .operations.map(({ kind }) => kind === "delete");
      assert.deepEqual(kinds, kinds.toSorted((a, b) => Number(a) - Number(b)));
    }),
    { numRuns: 200 },
  );
});

async function carryOut(
  ip: FakeIp,
  { operations }: ReturnType<typeof planRoutes>,
): Promise<void> {
  const stdin = operations.flatMap(formatBatchLines).join("\n");
  if (stdin === "") return;
  await ip.run({ program: "ip", args: ["-force", "-batch", "-"], stdin });
}

function ownRoutes({ routes }: KernelState): string[] {
  return routes.filter(({ protocol }) => protocol === PROTOCOL)
    .map(formatKernelRoute);
}

function destinations({ routes }: KernelState): Set<string> {
  return new Set(routes.map(({ destination }) => formatPrefix(destination)));
}
