import assert from "node:assert/strict";
import { connect } from "node:http2";
import {
  create,
  type DescMethod,
  type DescService,
  type Message,
} from "@bufbuild/protobuf";
import {
  Code,
  type ConnectRouter,
  createContextValues,
  createHandlerContext,
} from "@connectrpc/connect";
import { Health } from "../../../src/gen/grpc/health/v1/health_pb.ts";
import { ServerReflection } from "../../../src/gen/grpc/reflection/v1/reflection_pb.ts";
import { ServerReflection as ServerReflectionAlpha } from "../../../src/gen/grpc/reflection/v1alpha/reflection_pb.ts";
import { AgentService } from "../../../src/gen/stellar/net/v1/agent_pb.ts";
import { IdentityService } from "../../../src/gen/stellar/net/v1/identity_pb.ts";
import { ClusterService } from "../../../src/gen/stellar/net/v1/cluster_pb.ts";
import { IpamService } from "../../../src/gen/stellar/net/v1/ipam_pb.ts";
import { RegistryService } from "../../../src/gen/stellar/net/v1/registry_pb.ts";
import { Network } from "../../../src/gen/stellar/services/network/v1/network_pb.ts";
import { NetError } from "../../../src/base/error.ts";
import { authorized, authorizing } from "../../../src/api/access/authorize.ts";
import { CALLER, type Caller } from "../../../src/api/access/call_context.ts";
import { PERMISSIONS } from "../../../src/api/access/permissions.ts";
import {
  callGrpc,
  opened,
  openTls,
  withClusterServer,
} from "../../support/cluster_tls.ts";

/** What callers are in the columns of the table, in their order. */
const CALLERS = [
  ...["socket", "loopback", "plain"],
  ...["operator", "readonly", "node"],
  ...["anonymous", "expired", "refused"],
] as const;

/**
 * The permissions by role: y always, o where the request names the caller's node, i
 * where it names its instance id too, - never.
 */
const TABLE: readonly (readonly [
  service: DescService,
  calls: Readonly<Record<string, string>>,
])[] = [
  [Network, {
    Info: "yyy yyy ---",
    AllocateSubnet: "yyy y-o ---",
    GetSubnet: "yyy yyy ---",
    DeallocateSubnet: "yyy y-o ---",
    Subnets: "yyy yyy ---",
    AllocateIP: "yyy y-o ---",
    GetIP: "yyy yyo ---",
    ReleaseIP: "yyy y-o ---",
    Configure: "yyy y-- ---",
    AddRoute: "yyy y-- ---",
    DeleteRoute: "yyy y-- ---",
    Routes: "yyy yyy ---",
  }],
  [IpamService, {
    Allocate: "yyy y-o ---",
    BatchAllocate: "yyy y-o ---",
    BatchRelease: "yyy y-o ---",
    KeepAlive: "yyy y-o ---",
    Release: "yyy y-o ---",
    ReleaseOthers: "yyy y-o ---",
    CheckReady: "yyy yyo ---",
    GetAllocation: "yyy yyo ---",
    ListAllocations: "yyy yyo ---",
    WatchAllocations: "yyy yyy ---",
    Reserve: "yyy y-o ---",
    Unreserve: "yyy y-o ---",
    ListReservations: "yyy yyo ---",
    ListAddressRuns: "yyy yyy ---",
    ListHistory: "yyy yyy ---",
  }],
  [RegistryService, {
    ListNetworks: "yyy yyy ---",
    ClaimSubnets: "yyy y-o ---",
    ReleaseSubnets: "yyy y-o ---",
    Join: "yyy y-o ---",
    GetHandover: "yyy yyo ---",
    FinishHandover: "yyy y-o ---",
    ReportOwners: "yyy y-o ---",
    Heartbeat: "yyy y-o ---",
    Watch: "yyy yyy ---",
    ListNodes: "yyy yyy ---",
    RemoveNode: "yyy y-i ---",
    ListSubnets: "yyy yyy ---",
    ReserveSubnet: "yyy y-- ---",
    UnreserveSubnet: "yyy y-- ---",
    ListRoutes: "yyy yyy ---",
    AddRoute: "yyy y-- ---",
    DeleteRoute: "yyy y-- ---",
  }],
  [AgentService, {
    GetStatus: "yyy yyy ---",
    ListHostRoutes: "yyy yyy ---",
    Examine: "yyy yyy ---",
    ExamineAll: "yyy yyy ---",
    TestPaths: "yyy y-- ---",
    HoldStation: "yyy y-y ---",
    Leave: "yyy y-- ---",
    Backup: "yyy y-- ---",
    ListLog: "yyy yy- ---",
    ListAudit: "yyy yy- ---",
  }],
  [ClusterService, {
    GetOverview: "yyy yyy ---",
    Find: "yyy yyy ---",
    FindHere: "yyy yyy ---",
    GetReport: "yyy yyy ---",
    GetPaths: "yyy yyy ---",
    ListEvents: "yyy yyy ---",
    Watch: "yyy yyy ---",
  }],
  [IdentityService, {
    BeginJoin: "yyy y-- yy-",
    FinishJoin: "yyy y-- yy-",
    RenewCertificate: "yyy yyy -y-",
    GetTrust: "yyy yyy ---",
    CreateToken: "yyy y-- ---",
    ListTokens: "yyy yy- ---",
    RevokeToken: "yyy y-- ---",
    ListCertificates: "yyy yy- ---",
    RevokeCertificates: "yyy y-- ---",
    RotateAuthority: "yyy y-- ---",
  }],
  [Health, { Check: "yyy yyy ---", Watch: "yyy yyy ---" }],
  [ServerReflection, { ServerReflectionInfo: "yyy yyy ---" }],
  [ServerReflectionAlpha, { ServerReflectionInfo: "yyy yyy ---" }],
];

/** Those that come with each server. */
const BUILT_IN: readonly DescService[] = [
  ...[Health, ServerReflection, ServerReflectionAlpha],
];

type Kind = typeof CALLERS[number];

/** The node that is called, and the one that calls. */
const SELF = "host1";
const NODE = "host2";

/** Requests, and which of the rules they meet. */
const REQUESTS: readonly (readonly [
  what: string,
  meets: string,
  fields: Readonly<Record<string, string>>,
])[] = [
  ["without a node", "y", {}],
  ["for the agent's node", "y", { node: SELF, instanceId: "i" }],
  ["for another node", "y", { node: "host3", instanceId: "i" }],
  ["for the caller", "yo", { node: NODE }],
  ["for the caller's instance", "yoi", { node: NODE, instanceId: "i" }],
];

const OK = 0;

/** What a call of a caller has to come to. */
function expectedCode(rule: string, kind: Kind, meets: string): number {
  const isKnown = !["anonymous", "expired", "refused"].includes(kind);
  if (rule !== "-" && meets.includes(rule)) return OK;
  return isKnown ? Code.PermissionDenied : Code.Unauthenticated;
}

/** The fields of a request that the method has. */
function requestOf(
  method: DescMethod,
  fields: Readonly<Record<string, string>>,
): Message {
  const known = Object.entries(fields)
    .filter(([name]) => method.input.field[name] !== undefined);
  return create(method.input, Object.fromEntries(known));
}

/** Every cell: a call, the rule, and what has to come of each request. */
function* cells(kind: Kind) {
  const column = CALLERS.indexOf(kind);
  for (const [service, calls] of TABLE) {
    for (const method of service.methods) {
      const rule = calls[method.name]!.replaceAll(" ", "")[column]!;
      for (const [what, meets, fields] of REQUESTS) {
        const code = expectedCode(rule, kind, meets);
        const name = `${service.typeName}/${method.name} ${what}`;
        yield { method, name, code, request: requestOf(method, fields) };
      }
    }
  }
}

/** An implementation of which every call answers with nothing. */
function emptyImpl(service: DescService) {
  const entries = service.methods.map((method) => [
    method.localName,
    method.methodKind === "unary" ? () => ({}) : async function* () {},
  ]);
  return Object.fromEntries(entries);
}

function routes(bare: ConnectRouter): void {
  const router = authorizing(bare, { node: SELF, now: Date.now });
  for (const [service] of TABLE) {
    if (!BUILT_IN.includes(service)) {
      router.service(service, emptyImpl(service));
    }
  }
}

Deno.test("the table of permissions has every call of every service, and no other", () => {
  const expected = TABLE.flatMap(([{ typeName, methods }, calls]) => {
    assert.deepEqual(methods.map(({ name }) => name), Object.keys(calls));
    return methods.map(({ name }) => `${typeName}/${name}`);
  });
  assert.deepEqual([...PERMISSIONS.keys()], expected);
});

Deno.test("the server lets each caller make the calls of the table, over real connections", async (t) => {
  await withClusterServer({ routes }, async (running) => {
    const { server, issue, dir } = running;
    const { port } = await server.listenTcp({ hostname: "127.0.0.1", port: 0 });
    await server.listenUnix(`${dir}/s`);
    const dayMs = 24 * 3600_000;
    const [node, operator, readonly, expired] = await Promise.all([
      issue({ role: "node", name: NODE }),
      issue({ role: "operator", name: "alice" }),
      issue({ role: "readonly", name: "bob" }),
      issue({ role: "node", name: NODE, nowMs: Date.now() - 2 * dayMs }),
    ]);
    const refused = await issue({
      role: "operator",
      name: "alice",
      nowMs: Date.now() - 60 * dayMs,
    });
    const sessions: Readonly<Record<Exclude<Kind, "plain">, () => unknown>> = {
      socket: () => opened(connect("http://localhost", { path: `${dir}/s` })),
      loopback: () => opened(connect(`http://127.0.0.1:${port}`)),
      operator: () => openTls(running, operator),
      readonly: () => openTls(running, readonly),
      node: () => openTls(running, node),
      anonymous: () => openTls(running),
      expired: () => openTls(running, expired),
      refused: () => openTls(running, refused),
    };
    for (const [kind, open] of Object.entries(sessions)) {
      await t.step(kind, async () => {
        const session = await open() as ReturnType<typeof connect>;
        for (const cell of cells(kind as Kind)) {
          const { code } = await callGrpc(session, cell.method, cell.request);
          assert.equal(code, cell.code, cell.name);
        }
        session.destroy();
      });
    }
  });
});

/** Calls through the wrapper alone, as somebody. */
async function callAs(
  caller: Caller,
  method: DescMethod,
  request: Message,
): Promise<number> {
  const service = method.parent;
  const impl = authorized(service, emptyImpl(service), {
    node: SELF,
    now: Date.now,
  });
  const context = createHandlerContext({
    service,
    method,
    protocolName: "grpc",
    requestMethod: "POST",
    url: "http://localhost/",
    contextValues: createContextValues().set(CALLER, caller),
  });
  const handler = impl[method.localName] as (
    ...args: unknown[]
  ) => AsyncIterable<unknown>;
  try {
    const answer = handler(request, context);
    if (method.methodKind === "unary") await answer;
    else await Array.fromAsync(answer);
    return OK;
  } catch (error) {
    assert.ok(error instanceof NetError);
    return error.code === "permission_denied"
      ? Code.PermissionDenied
      : Code.Unauthenticated;
  }
}

Deno.test("authorized() lets every caller in a lab without certificates make every call", async () => {
  const caller: Caller = { kind: "plain", address: "192.0.2.1" };
  for (const { method, request, name, code } of cells("plain")) {
    assert.equal(await callAs(caller, method, request), code, name);
  }
});

function memberOf(
  role: "node" | "operator" | "readonly",
  name: string,
): Caller {
  return {
    kind: "member",
    address: "192.0.2.1",
    identity: {
      ...{ role, name, clusterId: "c", serial: "1", fingerprint: "f" },
      ...{ issuedAtMs: 0, notBeforeMs: 0, notAfterMs: 1, generation: 1 },
      addresses: [],
    },
  };
}

Deno.test("authorized() takes no node for the agent's own, but where another may be meant", async () => {
  const self = memberOf("node", SELF);
  const { claimSubnets } = RegistryService.method;
  const { deallocateSubnet } = Network.method;
  const claim = create(claimSubnets.input);
  const deallocate = create(deallocateSubnet.input, {
    subnetCidr: "10.0.0.0/8",
  });
  assert.equal(await callAs(self, claimSubnets, claim), OK);
  assert.equal(
    await callAs(self, deallocateSubnet, deallocate),
    Code.PermissionDenied,
  );
});

Deno.test("authorized() leaves a call that is not in the table to the socket", async () => {
  const { info } = Network.method;
  const unknown = { ...info, name: "Unheard" } as DescMethod;
  const service = {
    ...Network,
    method: { info: unknown },
    methods: [unknown],
  } as unknown as DescService;
  const method = { ...unknown, parent: service } as DescMethod;
  Object.assign(service, { method: { info: method }, methods: [method] });
  const rows: readonly [caller: Caller, code: number][] = [
    [{ kind: "socket" }, OK],
    [{ kind: "loopback", address: "127.0.0.1" }, Code.PermissionDenied],
    [{ kind: "plain", address: "192.0.2.1" }, Code.PermissionDenied],
    [memberOf("operator", "alice"), Code.PermissionDenied],
    [memberOf("readonly", "bob"), Code.PermissionDenied],
    [memberOf("node", SELF), Code.PermissionDenied],
    [{ kind: "anonymous", address: "192.0.2.1" }, Code.Unauthenticated],
    [CALLER.defaultValue, Code.Unauthenticated],
  ];
  for (const [caller, code] of rows) {
    const request = create(info.input);
    assert.equal(await callAs(caller, method, request), code, caller.kind);
  }
});
