import assert from "node:assert/strict";
import {
  createClient,
  createRouterTransport,
  type HandlerContext,
  type ServiceImpl,
  type Transport,
} from "@connectrpc/connect";
import { sleep } from "../../../src/base/retry.ts";
import { NetError } from "../../../src/base/error.ts";
import { RegistryService } from "../../../src/gen/stellar/net/v1/registry_pb.ts";
import { Network } from "../../../src/gen/stellar/services/network/v1/network_pb.ts";
import { answerCalls } from "../../../src/api/server/call.ts";
import {
  type ForwardedCall,
  forwarding,
} from "../../../src/api/services/router.ts";
import type { Peer } from "../../../src/api/client/peers.ts";

const HEADER = "stellar-net-forwarded-by";
const NO_TIMEOUT_MS = 10_000;

/** An agent in memory: what it answers itself, and where it sends the rest. */
function createAgent(
  node: string,
  here: Partial<ServiceImpl<typeof Network>>,
  to: (call: ForwardedCall) => Promise<Peer | undefined>,
): Transport {
  return createRouterTransport(
    (router) =>
      router.service(Network, forwarding(Network, here, { node, to })),
    { router: { interceptors: [answerCalls({})] } },
  );
}

/** An agent that answers everything itself. */
function createEnd(
  node: string,
  getIP: ServiceImpl<typeof Network>["getIP"],
): Transport {
  return createAgent(node, { getIP }, () => Promise.resolve(undefined));
}

/** Sends all calls on to another agent. */
function toward(transport: Transport) {
  return () => Promise.resolve({ url: "https://peer:9000", transport });
}

Deno.test("forwarding() answers its own calls", async () => {
  const asked: string[] = [];
  const a = createAgent("a", {
    getIP: ({ id }) => ({ ip: `here: ${id}` }),
  }, ({ method, request }) => {
    asked.push(`${method.name} of ${(request as { id?: string }).id}`);
    return Promise.resolve(undefined);
  });
  const { ip } = await createClient(Network, a).getIP({ id: "c1" });
  assert.equal(ip, "here: c1");
  assert.deepEqual(asked, ["GetIP of c1"]);
});

Deno.test("forwarding() sends a call on with its request and the name of this node", async () => {
  let seen: HandlerContext | undefined;
  const b = createEnd("b", ({ id, node }, context) => {
    seen = context;
    return { ip: `${node} ${id}` };
  });
  const a = createAgent("a", {
    getIP: () => assert.fail("it is not this one's"),
  }, toward(b));
  const { ip } = await createClient(Network, a).getIP({ id: "c1", node: "b" });
  assert.equal(ip, "b c1");
  assert.equal(seen!.requestHeader.get(HEADER), "a");
});

Deno.test("forwarding() answers calls that another agent forwarded", async () => {
  const b = createEnd("b", () => ({ ip: "from b" }));
  const { ip } = await createClient(Network, b).getIP({}, {
    headers: { [HEADER]: "a" },
  });
  assert.equal(ip, "from b");
});

Deno.test("forwarding() sends nothing on twice", async () => {
  const c = createEnd("c", () => assert.fail("two agents have sent it on"));
  const b = createAgent("b", {}, toward(c));
  const a = createAgent("a", {}, toward(b));
  await assert.rejects(createClient(Network, a).getIP({}), {
    name: "ConnectError",
    message:
      /^\[unavailable\] Cannot answer GetIP on node "b": node "a" takes it for this one's; the cluster is changing, try again$/,
  });
});

Deno.test("forwarding() ends where two agents take each other for the right one", async () => {
  const b: Transport = createAgent("b", {}, () => toward(a)());
  const a: Transport = createAgent("a", {}, toward(b));
  await assert.rejects(createClient(Network, a).getIP({}), /\[unavailable\]/);
});

/** What the caller says of its time, in ms, and what the other agent has left of it. */
const DEADLINES: readonly [
  what: string,
  timeoutMs: number | undefined,
  most: number,
][] = [
  ["the deadline of its caller", 4_000, 4_000],
  ["ten seconds where its caller does not say", undefined, NO_TIMEOUT_MS],
];

for (const [what, timeoutMs, most] of DEADLINES) {
  Deno.test(`forwarding() sends a call on with ${what}`, async () => {
    let left: number | undefined;
    const b = createEnd("b", (_, context) => {
      left = context.timeoutMs();
      return {};
    });
    const a = createAgent("a", {}, toward(b));
    await createClient(Network, a).getIP(
      {},
      timeoutMs === undefined ? {} : { timeoutMs },
    );
    assert.ok(left! <= most && left! > most - 2_000, `${left} ms`);
  });
}

Deno.test("forwarding() gives up a call that its caller gives up", async () => {
  const reached = Promise.withResolvers<void>();
  const givenUp = Promise.withResolvers<void>();
  const b = createEnd("b", async (_, { signal }) => {
    signal.addEventListener("abort", () => givenUp.resolve());
    reached.resolve();
    await givenUp.promise;
    return {};
  });
  const a = createAgent("a", {}, toward(b));
  const abort = new AbortController();
  const call = createClient(Network, a).getIP({}, { signal: abort.signal });
  await reached.promise;
  abort.abort();
  await assert.rejects(call, /\[canceled\]/);
  await givenUp.promise;
});

Deno.test("forwarding() passes errors on as they are", async () => {
  const b = createEnd("b", () => {
    throw new NetError("already_exists", "it is held by another");
  });
  const a = createAgent("a", {}, toward(b));
  await assert.rejects(createClient(Network, a).getIP({}), {
    message: "[already_exists] it is held by another",
  });
});

Deno.test("forwarding() gives the reason when no agent is known to answer", async () => {
  const a = createAgent(
    "a",
    {},
    () => Promise.reject(new NetError("unavailable", "no registry in reach")),
  );
  await assert.rejects(createClient(Network, a).getIP({}), {
    message: "[unavailable] no registry in reach",
  });
});

Deno.test("forwarding() sends streams on, until they are given up", async () => {
  const idle = Promise.withResolvers<void>();
  const ended = Promise.withResolvers<void>();
  const b = createRouterTransport((router) =>
    router.service(RegistryService, {
      async *watch(_, { signal }) {
        yield* [{ revision: 1n }, { revision: 2n }];
        idle.resolve();
        await sleep(3_600_000, signal);
        ended.resolve();
      },
    })
  );
  const a = createRouterTransport((router) =>
    router.service(
      RegistryService,
      forwarding(RegistryService, {}, { node: "a", to: toward(b) }),
    )
  );
  const abort = new AbortController();
  const revisions: bigint[] = [];
  const watch = async () => {
    const events = createClient(RegistryService, a).watch({}, {
      signal: abort.signal,
    });
    for await (const { revision } of events) revisions.push(revision);
  };
  void idle.promise.then(() => abort.abort());
  await assert.rejects(watch(), /\[canceled\]/);
  assert.deepEqual(revisions, [1n, 2n]);
  await ended.promise;
});
