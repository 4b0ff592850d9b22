import assert from "node:assert/strict";
import {
  createClient,
  createRouterTransport,
  type Interceptor,
  type ServiceImpl,
} from "@connectrpc/connect";
import type { AuditLog, AuditRecord } from "../../../src/audit/audit.ts";
import { NetError } from "../../../src/base/error.ts";
import { AgentService } from "../../../src/gen/stellar/net/v1/agent_pb.ts";
import { IdentityService } from "../../../src/gen/stellar/net/v1/identity_pb.ts";
import { IpamService } from "../../../src/gen/stellar/net/v1/ipam_pb.ts";
import { RegistryService } from "../../../src/gen/stellar/net/v1/registry_pb.ts";
import type { Role } from "../../../src/security/pki/identity.ts";
import { authorizing } from "../../../src/api/access/authorize.ts";
import {
  CALLER,
  type Caller,
  formatCaller,
} from "../../../src/api/access/call_context.ts";
import { answerCalls } from "../../../src/api/server/call.ts";
import { collectLogs } from "../../support/collect_logs.ts";

const ADDRESS = "192.0.2.7";

function memberOf(role: Role, name: string): Caller {
  return {
    kind: "member",
    address: ADDRESS,
    identity: {
      ...{ role, name, clusterId: "c", serial: "1", fingerprint: "f" },
      ...{ issuedAtMs: 0, notBeforeMs: 0, notAfterMs: 1, generation: 1 },
      addresses: [],
    },
  };
}

const NODE = memberOf("node", "host2");
const OPERATOR = memberOf("operator", "alice");
const READONLY = memberOf("readonly", "bob");
const ANONYMOUS: Caller = { kind: "anonymous", address: ADDRESS };

/** Keeps records in memory. */
class FakeAudit implements AuditLog {
  readonly records: AuditRecord[] = [];
  readonly durable: boolean[] = [];
  /** What it waits for before it has kept a record for good. */
  kept: Promise<void> = Promise.resolve();

  async record(
    record: AuditRecord,
    { isDurable }: { readonly isDurable: boolean },
  ): Promise<void> {
    this.records.push(record);
    this.durable.push(isDurable);
    await this.kept;
  }
}

interface Handlers {
  readonly agent?: Partial<ServiceImpl<typeof AgentService>>;
  readonly identity?: Partial<ServiceImpl<typeof IdentityService>>;
  readonly ipam?: Partial<ServiceImpl<typeof IpamService>>;
  readonly registry?: Partial<ServiceImpl<typeof RegistryService>>;
}

/** An agent of node `host1` in memory, as one caller sees it. */
function createAgent(
  caller: Caller,
  { audit, now = () => 5, ...handlers }: Handlers & {
    readonly audit?: AuditLog;
    readonly now?: () => number;
  },
) {
  const isCaller: Interceptor = (next) => (request) => {
    request.contextValues.set(CALLER, caller);
    return next(request);
  };
  const { agent = {}, identity = {}, ipam = {}, registry = {} } = handlers;
  const transport = createRouterTransport((bare) => {
    authorizing(bare, { node: "host1", audit, now })
      .service(AgentService, agent)
      .service(IdentityService, identity)
      .service(IpamService, ipam)
      .service(RegistryService, registry);
  }, { router: { interceptors: [isCaller, answerCalls({})] } });
  return {
    agent: createClient(AgentService, transport),
    identity: createClient(IdentityService, transport),
    ipam: createClient(IpamService, transport),
    registry: createClient(RegistryService, transport),
  };
}

type Clients = ReturnType<typeof createAgent>;

Deno.test("authorized() names the missing right and the caller", async (t) => {
  const rows: readonly (readonly [
    what: string,
    caller: Caller,
    call: (agent: Clients) => Promise<unknown>,
    message: string,
  ])[] = [
    [
      "a node that does an operator's work",
      NODE,
      ({ registry }) => registry.addRoute({}),
      '[permission_denied] Cannot call AddRoute: node "host2" may not, only an operator; use --identity with an operator\'s certificate (stellar-net token create --role operator)',
    ],
    [
      "a node that speaks as another",
      NODE,
      ({ registry }) => registry.heartbeat({ node: 'host3"' }),
      '[permission_denied] Cannot call Heartbeat: the certificate is for node "host2", and the request is of node "host3\\"": the state of this host is a copy, or its name has changed; stop the agent, delete the whole state if it is a copy or else its folder "identity", and join with a token (--token-file)',
    ],
    [
      "a node that names none",
      NODE,
      ({ ipam }) => ipam.allocate({}),
      '[permission_denied] Cannot call Allocate: node "host2" may for itself alone, and the request names no node; name it, or use --identity with an operator\'s certificate (stellar-net token create --role operator)',
    ],
    [
      "a node that leaves without its instance",
      NODE,
      ({ registry }) => registry.removeNode({ node: "host2" }),
      '[permission_denied] Cannot call RemoveNode: node "host2" may with its instance_id alone, and there is none; use --identity with an operator\'s certificate (stellar-net token create --role operator)',
    ],
    [
      "one that may look",
      READONLY,
      ({ agent }) => agent.leave({}),
      '[permission_denied] Cannot call Leave: readonly "bob" may not, only an operator; use --identity with an operator\'s certificate (stellar-net token create --role operator)',
    ],
    [
      "an anonymous caller",
      ANONYMOUS,
      ({ registry }) => registry.listNodes({}),
      "[unauthenticated] Cannot call ListNodes: the connection has no certificate; join with a token (--token-file), or show a certificate with --identity",
    ],
    [
      "one whose certificate does not hold",
      { kind: "refused", why: "Cannot accept it: it is old", address: ADDRESS },
      ({ registry }) => registry.listNodes({}),
      "[unauthenticated] Cannot accept it: it is old",
    ],
    [
      "one of whom nothing is known",
      CALLER.defaultValue,
      ({ agent }) => agent.getStatus({}),
      "[unauthenticated] Cannot identify the caller",
    ],
    [
      "a stream",
      READONLY,
      ({ agent }) => Array.fromAsync(agent.backup({})),
      '[permission_denied] Cannot call Backup: readonly "bob" may not, only an operator; use --identity with an operator\'s certificate (stellar-net token create --role operator)',
    ],
  ];
  for (const [what, caller, call, message] of rows) {
    await t.step(what, async () => {
      const handler = () => assert.fail("it was let in");
      const clients = createAgent(caller, {
        agent: { leave: handler, getStatus: handler, backup: handler },
        ipam: { allocate: handler },
        registry: {
          ...{ addRoute: handler, heartbeat: handler, listNodes: handler },
          removeNode: handler,
        },
      });
      await assert.rejects(call(clients), { message });
    });
  }
});

Deno.test("authorized() records changes with their callers and outcomes", async (t) => {
  const rows: readonly (readonly [
    what: string,
    caller: Caller,
    call: (agent: Clients) => Promise<unknown>,
    record: Partial<AuditRecord>,
    isDurable: boolean,
  ])[] = [
    [
      "a route of an operator",
      OPERATOR,
      ({ registry }) =>
        registry.addRoute({ cidr: "10.0.0.0/8", target: "192.0.2.1" }),
      { call: "AddRoute", subject: "10.0.0.0/8 192.0.2.1" },
      true,
    ],
    [
      "an address of a container",
      NODE,
      ({ ipam }) =>
        ipam.allocate({
          node: "host2",
          owner: { network: "n", containerId: "c1", interfaceName: "eth0" },
        }),
      { call: "Allocate", subject: "host2 c1 eth0", caller: "node host2" },
      false,
    ],
    [
      "a user of the socket",
      { kind: "socket" },
      ({ registry }) => registry.removeNode({ node: "host3" }),
      { call: "RemoveNode", subject: "host3", caller: "socket", from: "" },
      true,
    ],
    [
      "an invalid name",
      OPERATOR,
      ({ registry }) => registry.removeNode({ node: "a\u001b[31m b" }),
      { call: "RemoveNode", subject: '"a\\u001b[31m b"' },
      true,
    ],
    [
      "a backup",
      OPERATOR,
      ({ agent }) => Array.fromAsync(agent.backup({})),
      { call: "Backup", subject: "" },
      true,
    ],
    [
      "a failure",
      OPERATOR,
      ({ registry }) => registry.deleteRoute({ cidr: "10.0.0.0/8" }),
      {
        call: "DeleteRoute",
        subject: "10.0.0.0/8",
        outcome: "not_found",
        message: "there is none",
      },
      true,
    ],
    [
      "a defect",
      OPERATOR,
      ({ agent }) => agent.leave({}),
      {
        call: "Leave",
        subject: "",
        outcome: "internal",
        message: "internal error; the agent's log has the cause",
      },
      true,
    ],
    [
      "a refusal",
      READONLY,
      ({ registry }) => registry.reserveSubnet({ cidr: "10.0.0.0/24" }),
      {
        caller: "readonly bob",
        call: "ReserveSubnet",
        subject: "10.0.0.0/24",
        outcome: "permission_denied",
        message:
          'Cannot call ReserveSubnet: readonly "bob" may not, only an operator; use --identity with an operator\'s certificate (stellar-net token create --role operator)',
      },
      false,
    ],
    [
      "an anonymous caller that was let in",
      ANONYMOUS,
      ({ identity }) => identity.finishJoin({ name: "host4", tokenId: "ab" }),
      { call: "FinishJoin", subject: "host4 ab", caller: "anonymous" },
      true,
    ],
  ];
  for (const [what, caller, call, record, isDurable] of rows) {
    await t.step(what, async () => {
      const audit = new FakeAudit();
      const clients = createAgent(caller, {
        audit,
        agent: {
          async *backup() {},
          leave() {
            throw new TypeError("a secret");
          },
        },
        identity: { finishJoin: () => ({}) },
        ipam: { allocate: () => ({}) },
        registry: {
          ...{ addRoute: () => ({}), removeNode: () => ({}) },
          reserveSubnet: () => assert.fail("it was let in"),
          deleteRoute() {
            throw new NetError("not_found", "there is none");
          },
        },
      });
      await collectLogs(async () => {
        await call(clients).catch(() => {});
      });
      const usual = {
        ...{ atMs: 5, caller: "operator alice", from: ADDRESS },
        ...{ outcome: "ok", message: "" },
      };
      assert.deepEqual(audit.records, [{ ...usual, ...record }]);
      assert.deepEqual(audit.durable, [isDurable]);
    });
  }
});

Deno.test("authorized() records no call that only reads, nor heartbeats", async () => {
  const audit = new FakeAudit();
  const { registry } = createAgent(NODE, {
    audit,
    registry: { listNodes: () => ({}), heartbeat: () => ({}) },
  });
  await registry.listNodes({});
  await registry.heartbeat({ node: "host2" });
  await assert.rejects(registry.heartbeat({ node: "host3" }));
  assert.deepEqual(audit.records, []);
});

Deno.test("authorized() answers a change when its record is kept, and the calls of containers at once", async () => {
  const audit = new FakeAudit();
  const kept = Promise.withResolvers<void>();
  audit.kept = kept.promise;
  const { registry, ipam } = createAgent(OPERATOR, {
    audit,
    registry: { addRoute: () => ({}) },
    ipam: { release: () => ({}) },
  });
  let isAnswered = false;
  const change = registry.addRoute({}).then(() => isAnswered = true);
  await ipam.release({});
  assert.equal(isAnswered, false);
  kept.resolve();
  await change;
});

Deno.test("authorized() answers a change whose record cannot be stored, and logs it", async () => {
  const audit: AuditLog = {
    record: () => Promise.reject(new Error("the disk is full")),
  };
  const { registry } = createAgent(OPERATOR, {
    audit,
    registry: { addRoute: () => ({}) },
  });
  const logged = await collectLogs(async () => {
    await registry.addRoute({ cidr: "10.0.0.0/8" });
  });
  assert.deepEqual(logged.length, 1);
  assert.match(
    logged[0]!,
    /^Cannot record AddRoute of 10\.0\.0\.0\/8 by operator alice: Error: the disk is full/,
  );
});

Deno.test("authorized() records some of many refusals of one caller, and counts the others", async () => {
  const audit = new FakeAudit();
  let nowMs = 0;
  const now = () => nowMs;
  const refuse = () => {
    throw new NetError("unauthenticated", "it is wrong");
  };
  const handlers = {
    ...{ audit, now, identity: { finishJoin: refuse } },
    registry: { addRoute: () => ({}) },
  };
  const anonymous = createAgent(ANONYMOUS, handlers);
  const node = createAgent(NODE, handlers);
  const guess = async (times: number) => {
    for (let i = 0; i < times; i++) {
      await assert.rejects(anonymous.identity.finishJoin({ name: "x" }));
    }
  };
  await guess(100);
  assert.equal(audit.records.length, 20);
  // Others have their own count.
  await assert.rejects(node.registry.addRoute({}));
  assert.equal(audit.records.length, 21);
  nowMs += 2_000;
  await guess(10);
  assert.equal(audit.records.length, 23);
  assert.deepEqual(
    audit.records.slice(-2).map(({ message }) => message),
    ["it is wrong (80 more of anonymous were not recorded)", "it is wrong"],
  );
});

Deno.test("authorized() records some of a host's repeated failures, and all of an operator's", async () => {
  const rows = [[NODE, 20], [OPERATOR, 100]] as const;
  for (const [caller, recorded] of rows) {
    const audit = new FakeAudit();
    const { registry } = createAgent(caller, {
      ...{ audit, now: () => 0 },
      registry: {
        join: () => {
          throw new NetError("failed_precondition", "it is fenced");
        },
      },
    });
    for (let i = 0; i < 100; i++) {
      await assert.rejects(registry.join({ node: "host2" }));
    }
    assert.equal(audit.records.length, recorded, formatCaller(caller));
  }
});

Deno.test("authorized() records no call that changes nothing", async () => {
  const audit = new FakeAudit();
  let nowMs = 0;
  let released: string[] = [];
  let updated = false;
  const handlers = {
    ...{ audit, now: () => nowMs },
    registry: { join: () => ({}), reportOwners: () => ({}) },
    ipam: {
      release: () => ({ addresses: released }),
      allocate: () => ({ created: released.length > 0, updated }),
    },
  };
  const calls = () => audit.records.splice(0).map(({ call }) => call);
  const node = createAgent(NODE, handlers);
  for (let i = 0; i < 50; i++) {
    await node.registry.join({ node: "host2" });
    await node.registry.reportOwners({ node: "host2" });
    await node.ipam.release({ node: "host2" });
    await node.ipam.allocate({ node: "host2" });
  }
  assert.deepEqual(calls(), ["Join", "ReportOwners"]);
  released = ["172.16.0.2"];
  await node.ipam.release({ node: "host2" });
  await node.ipam.allocate({ node: "host2" });
  assert.deepEqual(calls(), ["Release", "Allocate"]);
  released = [];
  updated = true;
  await node.ipam.allocate({ node: "host2" });
  assert.deepEqual(calls(), ["Allocate"]);
  nowMs += 600_000;
  await node.registry.join({ node: "host2" });
  assert.deepEqual(calls(), ["Join"]);
  const operator = createAgent(OPERATOR, handlers);
  await operator.registry.join({ node: "host2" });
  await operator.registry.join({ node: "host2" });
  assert.deepEqual(calls(), ["Join", "Join"]);
});

Deno.test("authorized() counts the refusals of callers without a certificate by their address", async () => {
  const audit = new FakeAudit();
  const refuse = () => {
    throw new NetError("unauthenticated", "it is wrong");
  };
  const handlers = {
    ...{ audit, now: () => 0, identity: { finishJoin: refuse } },
  };
  for (const address of ["198.18.0.7", "198.18.0.8"]) {
    const caller = { ...ANONYMOUS, address } as typeof ANONYMOUS;
    const { identity } = createAgent(caller, handlers);
    for (let i = 0; i < 100; i++) {
      await assert.rejects(identity.finishJoin({ name: "x" }));
    }
  }
  const addresses = audit.records.map(({ from }) => from);
  assert.deepEqual(addresses, [
    ...Array(20).fill("198.18.0.7"),
    ...Array(20).fill("198.18.0.8"),
  ]);
});
