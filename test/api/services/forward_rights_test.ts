import assert from "node:assert/strict";
import { once } from "node:events";
import { create } from "@bufbuild/protobuf";
import {
  Code,
  ConnectError,
  type ConnectRouter,
  createClient,
  createRouterTransport,
  type Interceptor,
  type Transport,
} from "@connectrpc/connect";
import { IdentityService } from "../../../src/gen/stellar/net/v1/identity_pb.ts";
import { RegistryService } from "../../../src/gen/stellar/net/v1/registry_pb.ts";
import type { Role } from "../../../src/security/pki/identity.ts";
import { CALLER, type Caller } from "../../../src/api/access/call_context.ts";
import { answerCalls } from "../../../src/api/server/call.ts";
import { forwarding } from "../../../src/api/services/router.ts";
import {
  callGrpc,
  dialTls,
  openTls,
  withClusterServer,
} from "../../support/cluster_tls.ts";

/** Sends all calls on to another agent. */
function toward(transport: Transport) {
  return () => Promise.resolve({ url: PEER_URL, transport });
}

/** A member of the cluster. */
function memberOf(role: Role, name: string): Caller {
  return {
    kind: "member",
    address: "192.0.2.7",
    identity: {
      ...{ role, name, clusterId: "c", serial: "1", fingerprint: "f" },
      ...{ issuedAtMs: 0, notBeforeMs: 0, notAfterMs: 1, generation: 1 },
      addresses: [],
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
    "gives readonly callers nothing that nodes may not have",
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
    "no anonymous caller, which has proven a token to this agent",
    { kind: "anonymous", address: "192.0.2.7" },
    (t) => createClient(IdentityService, t).finishJoin({}),
    Code.Unavailable,
  ],
];

Deno.test("forwarding() forwards calls that its own node may make, and redirects others", async (t) => {
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
        { router: { interceptors: [isCaller, answerCalls({})] } },
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

Deno.test("forwarding() redirects over every protocol", async () => {
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
