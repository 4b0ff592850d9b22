import assert from "node:assert/strict";
import { once } from "node:events";
import { create } from "@bufbuild/protobuf";
import {
  Code,
  ConnectError,
  type ConnectRouter,
  createClient,
  createRouterTransport,
  type HandlerContext,
  type Interceptor,
  type ServiceImpl,
  type Transport,
} from "@connectrpc/connect";
import { sleep } from "../../src/agent/sleep.ts";
import { NetError } from "../../src/error.ts";
import { IdentityService } from "../../src/gen/stellar/net/v1/identity_pb.ts";
import { RegistryService } from "../../src/gen/stellar/net/v1/registry_pb.ts";
import { Network } from "../../src/gen/stellar/services/network/v1/network_pb.ts";
import type { Role } from "../../src/pki/identity.ts";
import { CALLER, type Caller } from "../../src/rpc/caller.ts";
import { errorInterceptor } from "../../src/rpc/errors.ts";
import { type ForwardedCall, forwarding } from "../../src/rpc/forward.ts";
import type { Peer } from "../../src/rpc/peers.ts";
import {
  callGrpc,
  dialTls,
  openTls,
  withClusterServer,
} from "../support/cluster_tls.ts";

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
    { router: { interceptors: [errorInterceptor] } },
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

Deno.test("forwarding() answers what is its own", async () => {
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

Deno.test("forwarding() sends a call on with its request, and says who does", async () => {
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

Deno.test("forwarding() answers for another agent what it has sent on", async () => {
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

/** A member of the cluster. */
function memberOf(role: Role, name: string): Caller {
  return {
    kind: "member",
    address: "192.0.2.7",
    identity: {
      ...{ role, name, clusterId: "c", serial: "1", fingerprint: "f" },
      ...{ issuedAtMs: 0, notBeforeMs: 0, notAfterMs: 1, generation: 1 },
    },
  };
}

const PEER_URL = "https://peer:9000";
/** What is sent on for whom by node "a", and the code of what is not. */
const RIGHTS: readonly [
  what: string,
  caller: Caller,
  call: (transport: Transport) => Promise<unknown>,
  code: Code | undefined,
][] = [
  [
    "everything of the socket",
    { kind: "socket" },
    (t) => createClient(RegistryService, t).addRoute({}),
    undefined,
  ],
  [
    "everything of a lab without certificates",
    { kind: "plain", address: "192.0.2.7" },
    (t) => createClient(RegistryService, t).removeNode({ node: "c" }),
    undefined,
  ],
  [
    "what a node may know",
    memberOf("operator", "alice"),
    (t) => createClient(RegistryService, t).listSubnets({}),
    undefined,
  ],
  [
    "what is about this node",
    memberOf("operator", "alice"),
    (t) => createClient(RegistryService, t).releaseSubnets({ node: "a" }),
    undefined,
  ],
  [
    "nothing about another node",
    memberOf("operator", "alice"),
    (t) => createClient(RegistryService, t).releaseSubnets({ node: "b" }),
    Code.PermissionDenied,
  ],
  [
    "nothing that names no node",
    memberOf("operator", "alice"),
    (t) => createClient(RegistryService, t).claimSubnets({}),
    Code.PermissionDenied,
  ],
  [
    "nothing that only operators may",
    memberOf("operator", "alice"),
    (t) => createClient(RegistryService, t).addRoute({}),
    Code.PermissionDenied,
  ],
  [
    "nothing of those who look that nodes may not",
    memberOf("readonly", "bob"),
    (t) => createClient(IdentityService, t).listTokens({}),
    Code.PermissionDenied,
  ],
  [
    "nothing of another node about itself",
    memberOf("node", "b"),
    (t) => createClient(RegistryService, t).heartbeat({ node: "b" }),
    Code.PermissionDenied,
  ],
  [
    "no renewal, which would certify this node",
    memberOf("node", "b"),
    (t) => createClient(IdentityService, t).renewCertificate({}),
    Code.PermissionDenied,
  ],
  [
    "no renewal of the socket either",
    { kind: "socket" },
    (t) => createClient(IdentityService, t).renewCertificate({}),
    Code.Unavailable,
  ],
  [
    "no newcomer, who has proven a token to this agent",
    { kind: "newcomer", address: "192.0.2.7" },
    (t) => createClient(IdentityService, t).finishJoin({}),
    Code.Unavailable,
  ],
];

Deno.test("forwarding() sends on what its own node may, and tells others whom to ask", async (t) => {
  for (const [what, caller, call, code] of RIGHTS) {
    await t.step(what, async () => {
      let sent = 0;
      const count = () => {
        sent++;
        return {};
      };
      const end = createRouterTransport(({ service }) => {
        for (const desc of [RegistryService, IdentityService]) {
          const impl = desc.methods.map(({ localName }) => [localName, count]);
          service(desc, Object.fromEntries(impl));
        }
      });
      const options = { node: "a", to: toward(end) };
      const isCaller: Interceptor = (next) => (request) => {
        request.contextValues.set(CALLER, caller);
        return next(request);
      };
      const a = createRouterTransport(
        (router) =>
          router
            .service(RegistryService, forwarding(RegistryService, {}, options))
            .service(IdentityService, forwarding(IdentityService, {}, options)),
        { router: { interceptors: [isCaller, errorInterceptor] } },
      );
      let refusal: ConnectError | undefined;
      await call(a).catch((error) => refusal = ConnectError.from(error));
      assert.equal(refusal?.code, code);
      assert.equal(sent, code === undefined ? 1 : 0);
      assert.equal(
        refusal?.metadata.get("stellar-net-ask"),
        code === undefined ? undefined : PEER_URL,
      );
    });
  }
});

Deno.test("forwarding() tells whom to ask over every protocol", async () => {
  const end = createRouterTransport(() => {});
  const routes = (router: ConnectRouter) =>
    void router.service(
      RegistryService,
      forwarding(RegistryService, {}, { node: "host1", to: toward(end) }),
    );
  await withClusterServer({ routes }, async (running) => {
    const operator = await running.issue({ role: "operator", name: "alice" });
    const session = await openTls(running, operator);
    const { addRoute } = RegistryService.method;
    const request = create(addRoute.input);
    const { code, message, headers } = await callGrpc(
      session,
      addRoute,
      request,
    );
    session.destroy();
    assert.equal(code, Code.PermissionDenied);
    assert.equal(headers["stellar-net-ask"], PEER_URL);
    assert.equal(
      message,
      'Cannot send AddRoute on for operator "alice": node "host1" would ask https://peer:9000 for itself; ask that agent yourself',
    );

    const socket = await dialTls(running, operator);
    let got = "";
    socket.setEncoding("utf8").on("data", (text: string) => got += text);
    socket.write(
      `POST /${RegistryService.typeName}/AddRoute HTTP/1.1\r\nHost: a\r\n` +
        "Content-Type: application/json\r\nContent-Length: 2\r\n" +
        "Connection: close\r\n\r\n{}",
    );
    await once(socket, "close");
    assert.match(got, /^HTTP\/1\.1 403 [^]*\r\nstellar-net-ask: https:/i);
  });
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

Deno.test("forwarding() tells why it is not known who answers", async () => {
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
