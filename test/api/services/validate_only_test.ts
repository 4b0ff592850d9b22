import assert from "node:assert/strict";
import {
  create,
  type DescMethod,
  type DescService,
  fromJson,
  type JsonValue,
  ScalarType,
  toJson,
} from "@bufbuild/protobuf";
import {
  createContextValues,
  createRouterTransport,
  type Transport,
} from "@connectrpc/connect";
import { PERMISSIONS } from "../../../src/api/access/permissions.ts";
import { answerCalls } from "../../../src/api/server/call.ts";
import { createAgent } from "../../../src/api/services/agent.ts";
import { createIdentity } from "../../../src/api/services/identity.ts";
import { createIpam } from "../../../src/api/services/ipam.ts";
import { OwnerCalls } from "../../../src/api/services/owner_calls.ts";
import { createRegistry } from "../../../src/api/services/registry.ts";
import { AgentService } from "../../../src/gen/stellar/net/v1/agent_pb.ts";
import { ClusterService } from "../../../src/gen/stellar/net/v1/cluster_pb.ts";
import { IdentityService } from "../../../src/gen/stellar/net/v1/identity_pb.ts";
import { IpamService } from "../../../src/gen/stellar/net/v1/ipam_pb.ts";
import { RegistryService } from "../../../src/gen/stellar/net/v1/registry_pb.ts";
import { networks, startAgent, type TestAgent } from "../../agent/agents.ts";

const SERVICES: readonly DescService[] = [
  ...[IpamService, RegistryService, AgentService],
  ...[IdentityService, ClusterService],
];

/** Changes that agents make for themselves when they join and stay; nobody else calls them. */
const MEMBERSHIP: ReadonlySet<string> = new Set([
  ...["Join", "Heartbeat", "FinishHandover", "ReportOwners"],
  ...["BeginJoin", "FinishJoin", "RenewCertificate"],
]);
/** Recorded although they change nothing. */
const READS: ReadonlySet<string> = new Set(["Backup"]);
/** Calls whose work is gone when they end. */
const TRANSIENT: ReadonlySet<string> = new Set(["TestPaths", "HoldStation"]);

const owner = { containerId: "held" };

/** A request of each call that would change something on a prepared agent. */
const REQUESTS: Readonly<Record<string, JsonValue>> = {
  Allocate: { owner: { containerId: "new" } },
  BatchAllocate: { items: [{ owner: { containerId: "new" } }] },
  BatchRelease: { items: [{ owner }] },
  KeepAlive: { items: [{ owner }] },
  Release: { owner },
  ReleaseOthers: { network: "default", keepNone: true },
  Reserve: { address: "172.16.0.77" },
  Unreserve: { address: "172.16.0.9" },
  ClaimSubnets: { node: "c" },
  ReleaseSubnets: { node: "b" },
  RemoveNode: { node: "b", force: true },
  ReserveSubnet: { cidr: "172.16.40.0/22" },
  UnreserveSubnet: { cidr: "172.16.80.0/22" },
  "RegistryService/AddRoute": { cidr: "192.0.2.0/24", target: "198.18.0.1" },
  "RegistryService/DeleteRoute": { cidr: "203.0.113.0/24" },
  Leave: { force: true },
  CreateToken: {},
  RevokeToken: {},
  RevokeCertificates: { role: "ROLE_NODE", name: "b" },
  RotateAuthority: {},
};

/** The calls that change something, by what the permissions say and by their names. */
function changes(): DescMethod[] {
  return SERVICES.flatMap(({ methods }) => methods).filter((method) => {
    const name = `${method.parent.typeName}/${method.name}`;
    const isChange = PERMISSIONS.get(name)?.changes === true ||
      !/^(Get|List|Find|Check|Watch|Examine|Heartbeat|BeginJoin)/
        .test(method.name);
    return isChange && !MEMBERSHIP.has(method.name) &&
      !READS.has(method.name) && !TRANSIENT.has(method.name);
  });
}

async function dump({ store }: TestAgent): Promise<string> {
  const lines: string[] = [];
  for await (const { key, value } of store.list([])) {
    lines.push(JSON.stringify([key, value]));
  }
  return lines.join("\n");
}

/** An agent with something of everything, its services, and the id of a token. */
async function prepare(): Promise<
  { t: TestAgent; transport: Transport; tokenId: string }
> {
  const t = await startAgent({
    networks: networks(["172.16.0.0/12", 22]),
    now: Date.now,
  });
  const { agent } = t;
  const host = () => agent.requireHost();
  const unused = {} as never;
  const transport = createRouterTransport((router) => {
    router.service(IpamService, createIpam(agent, new OwnerCalls()));
    router.service(
      RegistryService,
      createRegistry(host, { self: "a", reports: unused, events: unused }),
    );
    router.service(IdentityService, createIdentity(host));
    router.service(
      AgentService,
      createAgent({
        ...{ agent, controller: unused, doctor: unused, process: unused },
        ...{ cluster: unused, peers: unused, stations: unused },
      }),
    );
  }, { router: { interceptors: [answerCalls({})] } });
  const attachment = { netns: "/n" };
  t.netns.set("/n", "there");
  const call = (method: DescMethod, request: JsonValue) =>
    unary(transport, method, request);
  const { allocate, reserve } = IpamService.method;
  await call(allocate, { owner, attachment });
  await call(reserve, { address: "172.16.0.9" });
  const { claimSubnets, reserveSubnet, addRoute } = RegistryService.method;
  await call(claimSubnets, { node: "b" });
  await call(reserveSubnet, { cidr: "172.16.80.0/22" });
  await call(addRoute, { cidr: "203.0.113.0/24", target: "198.18.0.1" });
  const { token } = await call(IdentityService.method.createToken, {}) as {
    token: { id: string };
  };
  return { t, transport, tokenId: token.id };
}

async function unary(
  transport: Transport,
  method: DescMethod,
  request: JsonValue,
): Promise<JsonValue> {
  const response = await transport.unary(
    method as Parameters<Transport["unary"]>[0],
    ...[undefined, undefined, undefined] as const,
    fromJson(method.input, request),
    createContextValues(),
  );
  return toJson(method.output, create(method.output, response.message));
}

Deno.test("validate_only: every call that changes something has it, and changes nothing with it", async (t) => {
  const methods = changes();
  assert.ok(methods.length >= 20, `${methods.length}`);
  for (const method of methods) {
    const name = `${method.parent.name}/${method.name}`;
    await t.step(name, async () => {
      const field = method.input.fields
        .find((each) => each.name === "validate_only");
      assert.equal(field?.fieldKind, "scalar", "it has no validate_only");
      assert.equal(field.scalar, ScalarType.BOOL);
      const prepared = await prepare();
      await using agents = prepared.t;
      const given = REQUESTS[name] ?? REQUESTS[method.name];
      assert.ok(given, "it has no request in this test");
      const request = {
        ...given as Record<string, JsonValue>,
        ...method.name === "RevokeToken" && { id: prepared.tokenId },
      };
      const { transport } = prepared;
      const before = await dump(agents);
      const { commits } = agents.store;
      await unary(transport, method, { ...request, validateOnly: true });
      assert.equal(agents.store.commits, commits);
      assert.equal(await dump(agents), before);
      // A keep-alive changes memory alone, and this agent has not joined.
      if (["KeepAlive", "Leave"].includes(method.name)) return;
      await unary(transport, method, request);
      assert.notEqual(await dump(agents), before);
    });
  }
});

Deno.test("validate_only runs the checks of the call", async (t) => {
  const { t: agents, transport, tokenId: _ } = await prepare();
  await using _agents = agents;
  const { registry, ipam } = {
    registry: RegistryService.method,
    ipam: IpamService.method,
  };
  const rows: readonly [DescMethod, JsonValue, RegExp][] = [
    [ipam.allocate, {
      owner: { containerId: "x" },
      addresses: ["172.16.0.9"],
    }, /reserved/],
    [ipam.batchAllocate, {
      items: [{ owner: { containerId: "x" }, addresses: ["10.0.0.1"] }],
    }, /items\[0\].*outside/],
    [ipam.reserve, { address: "172.16.0.2" }, /holds it/],
    [registry.reserveSubnet, { cidr: "172.16.0.0/22" }, /172\.16\.0\.0/],
    [
      registry.addRoute,
      { cidr: "203.0.113.0/24", target: "198.18.0.9" },
      /route exists/,
    ],
    [registry.releaseSubnets, { node: "a" }, /address is held/],
    [registry.removeNode, { node: "nobody" }, /not known/],
    [AgentService.method.leave, {}, /held/],
  ];
  for (const [method, request, message] of rows) {
    await t.step(method.name, async () => {
      await assert.rejects(
        unary(transport, method, {
          ...request as Record<string, JsonValue>,
          validateOnly: true,
        }),
        { message },
      );
    });
  }
});
