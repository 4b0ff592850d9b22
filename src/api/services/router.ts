import type {
  DescMessage,
  DescMethod,
  DescService,
  Message,
} from "@bufbuild/protobuf";
import type {
  ConnectRouter,
  HandlerContext,
  ServiceImpl,
  Transport,
} from "@connectrpc/connect";
import type { Agent } from "../../agent/agent.ts";
import type { AuditLog } from "../../audit/audit.ts";
import { NetError } from "../../base/error.ts";
import type { Doctor } from "../../doctor/doctor.ts";
import { ClusterService } from "../../gen/stellar/net/v1/cluster_pb.ts";
import { AgentService } from "../../gen/stellar/net/v1/agent_pb.ts";
import { IdentityService } from "../../gen/stellar/net/v1/identity_pb.ts";
import { IpamService } from "../../gen/stellar/net/v1/ipam_pb.ts";
import { RegistryService } from "../../gen/stellar/net/v1/registry_pb.ts";
import { Network } from "../../gen/stellar/services/network/v1/network_pb.ts";
import type { HostController } from "../../host/controller.ts";
import { quote } from "../../net/address.ts";
import type { Stations } from "../../station/stations.ts";
import { authorizing } from "../access/authorize.ts";
import { callerOf, describeCaller } from "../access/call_context.ts";
import { allowsNode } from "../access/authorize.ts";
import { noteRequester } from "../access/requester.ts";
import { permissionOf } from "../access/permissions.ts";
import { ASK_HEADER } from "../client/operator_transport.ts";
import type { Peer, Peers } from "../client/peers.ts";
import { createAgent, type ProcessInfo } from "./agent.ts";
import {
  type ClusterServiceParts,
  createCluster,
  createClusterHere,
} from "./cluster.ts";
import { contactWait, timeLeftMs } from "./first_contact.ts";
import { createIdentity } from "./identity.ts";
import { createIpam } from "./ipam.ts";
import { OwnerCalls } from "./owner_calls.ts";
import { createRegistry } from "./registry.ts";
import { createJoinedRegistry, withKnownLists } from "./registry_lists.ts";
import { createStellarNetwork } from "./stellar_network.ts";

/** The parts that an agent's services need. */
export interface RoutesOptions {
  readonly agent: Agent;
  readonly controller: HostController;
  readonly doctor: Doctor;
  readonly stations: Pick<Stations, "open">;
  readonly peers: Peers;
  readonly process: ProcessInfo;
  readonly cluster: ClusterServiceParts;
  /** Where changes and their callers are recorded. Default: nowhere. */
  readonly audit?: AuditLog | undefined;
}

/** Stellar's calls about the addresses of a node. */
const ADDRESS_CALLS: ReadonlySet<DescMethod> = new Set([
  Network.method.allocateIP,
  Network.method.getIP,
  Network.method.releaseIP,
]);

/** Stellar's calls about the registry. */
const REGISTRY_CALLS: ReadonlySet<DescMethod> = new Set([
  Network.method.deallocateSubnet,
  Network.method.addRoute,
  Network.method.deleteRoute,
  Network.method.routes,
]);

/** Stellar's calls about the registry, unless they are about this node. */
const SUBNET_CALLS: ReadonlySet<DescMethod> = new Set([
  Network.method.allocateSubnet,
  Network.method.getSubnet,
]);

/** Calls of members, which try another registry rather than wait for the first contact of this one with its store. */
const MEMBER_CALLS: ReadonlySet<DescMethod> = new Set([
  RegistryService.method.join,
  RegistryService.method.heartbeat,
  RegistryService.method.watch,
  RegistryService.method.reportOwners,
  RegistryService.method.getHandover,
  RegistryService.method.finishHandover,
]);

/** Calls about the cluster that each agent answers for its own host. */
const HERE_CALLS: ReadonlySet<DescMethod> = new Set([
  ClusterService.method.findHere,
  ClusterService.method.getReport,
]);

/** Puts the agent's services on a router. It forwards calls that belong to
 * another node, or to a registry elsewhere, and refuses those that the caller
 * may not make.
 */
export function createRoutes(
  options: RoutesOptions,
): (router: ConnectRouter) => void {
  const { agent, controller, peers, audit, process, cluster } = options;
  const { node } = agent;
  const ownerCalls = new OwnerCalls();
  const hereAfterContact = async (call: ForwardedCall): Promise<undefined> => {
    if (!MEMBER_CALLS.has(call.method)) await contacted(agent, call);
  };
  const atRegistry = async (call: ForwardedCall) => {
    await contacted(agent, call);
    return peers.registry();
  };
  return (bare) => {
    const router = authorizing(bare, {
      ...{ node, audit, now: process.now },
      onChange: (call) => noteRequester(cluster.requesters, call),
    });
    router.service(
      Network,
      forwarding(
        Network,
        createStellarNetwork(agent, { controller, ownerCalls }),
        {
          node,
          to: (call) => stellarPlace(call, options),
        },
      ),
    );
    router.service(
      IpamService,
      forwarding(
        IpamService,
        createIpam(agent, ownerCalls, { peers, now: process.now }),
        {
          node,
          to: (call) =>
            "allNodes" in call.request && call.request.allNodes === true
              ? atRegistry(call)
              : ownerOf(call, options),
        },
      ),
    );
    router.service(
      RegistryService,
      agent.isHost
        ? forwarding(
          RegistryService,
          withKnownLists(
            createRegistry(() => agent.requireHost(), {
              self: node,
              ...{ reports: cluster.reports, events: cluster.events },
              ...cluster.probeKeys && { probeKeys: cluster.probeKeys },
            }),
            agent,
          ),
          { node, to: hereAfterContact },
        )
        : forwarding(RegistryService, createJoinedRegistry(agent), {
          node,
          to: (call) => registryPlace(call, options),
        }),
    );
    router.service(
      IdentityService,
      agent.isHost
        ? forwarding(
          IdentityService,
          createIdentity(() => agent.requireHost()),
          { node, to: hereAfterContact },
        )
        : forwarding(IdentityService, {}, {
          node,
          to: atRegistry,
        }),
    );
    router.service(
      ClusterService,
      agent.isHost
        ? forwarding(
          ClusterService,
          createCluster({
            ...{ agent, peers, now: process.now },
            ...cluster,
            host: () => agent.requireHost(),
          }),
          { node, to: hereAfterContact },
        )
        : forwarding(ClusterService, createClusterHere({ agent, ...cluster }), {
          node,
          to: async (call) =>
            HERE_CALLS.has(call.method) ? undefined : await atRegistry(call),
        }),
    );
    router.service(
      AgentService,
      forwarding(AgentService, createAgent(options), {
        node,
        to: async (call) =>
          call.method === AgentService.method.listHostRoutes
            ? await ownerOf(call, options)
            : call.method === AgentService.method.examineAll && !agent.isHost
            ? await atRegistry(call)
            : undefined,
      }),
    );
  };
}

async function stellarPlace(
  call: ForwardedCall,
  options: RoutesOptions,
): Promise<Peer | undefined> {
  const { agent, peers } = options;
  const { method, request } = call;
  if (ADDRESS_CALLS.has(method)) return await ownerOf(call, options);
  const isOwn = SUBNET_CALLS.has(method) && nodeOf(request) === agent.node;
  if (isOwn) return await ownerOf(call, options);
  const isListed = method === Network.method.subnets;
  if (isListed && !agent.member.cluster) await contacted(agent, call);
  if (!REGISTRY_CALLS.has(method) && !SUBNET_CALLS.has(method)) {
    return undefined;
  }
  await contacted(agent, call);
  return agent.isHost ? undefined : peers.registry();
}

/** The agent of the node that a request names; undefined for this one. */
async function ownerOf(
  call: ForwardedCall,
  { agent, peers }: Pick<RoutesOptions, "agent" | "peers">,
): Promise<Peer | undefined> {
  const { member } = agent;
  const node = nodeOf(call.request);
  const isOwn = node === "" || node === agent.node;
  const isKnown = isOwn ? member.isKnown : member.view.nodes.has(node);
  if (!isKnown) await contacted(agent, call);
  return isOwn ? undefined : await peers.ofNode(node);
}

/**
 * Waits for the first contact with the registry: a call right after the start
 * does not fail. A list that the agent knows waits for one attempt only.
 */
async function contacted(agent: Agent, call: ForwardedCall): Promise<void> {
  const { member } = agent;
  if (member.link.state === "hosted") return;
  const orTried = isList(call) && member.view.revision > 0;
  await member.contacted({ ...contactWait(call.context), orTried });
}

/** Whether a call asks for a list that the agent knows without the registry. */
function isList({ method }: ForwardedCall): boolean {
  const { listNetworks, listNodes, listRoutes } = RegistryService.method;
  return method === listNetworks || method === listNodes ||
    method === listRoutes;
}

async function registryPlace(
  call: ForwardedCall,
  { agent, peers }: RoutesOptions,
): Promise<Peer | undefined> {
  const { method, request } = call;
  const { method: methods } = RegistryService;
  if (method === methods.join) throw refuseJoin(agent);
  await contacted(agent, call);
  const { link, view } = agent.member;
  const isUnknown = link.state === "unreachable" && view.revision === 0;
  // The agent answers with what it knows while the registry is unreachable.
  if (isList(call) && link.state !== "joined" && !isUnknown) return undefined;
  // The registry would take an empty node for its own.
  if (method === methods.claimSubnets && nodeOf(request) === "") {
    Object.assign(request, { node: agent.node });
  }
  return peers.registry();
}

/** A node that joined through a joined agent would depend on it. The refusal
 * names the registry, and the node may try again, there or elsewhere.
 */
function refuseJoin({ node, member }: Agent): NetError {
  const { url } = member.link;
  return new NetError(
    "unavailable",
    `Cannot join through node "${node}": it hosts no registry; name ${
      url === "" ? "the agent that does" : url
    } with --join`,
  );
}

/** The node that a request names. */
function nodeOf(request: object): string {
  return "node" in request && typeof request.node === "string"
    ? request.node
    : "";
}

/** The header that names the agent that forwarded a call. */
const FORWARDED_HEADER = "stellar-net-forwarded-by";
/** Deadline of a forwarded call whose caller set none, in ms. */
const DEFAULT_TIMEOUT_MS = 10_000;

/** The part of a call that decides which agent answers it. */
export interface ForwardedCall {
  readonly method: DescMethod;
  /** A message of the method's input type. */
  readonly request: Message;
  readonly context: HandlerContext;
}

/** Which agent answers calls. */
export interface ForwardOptions {
  /** Name of this agent's node. */
  readonly node: string;
  /** The agent that answers a call; undefined for this one. */
  readonly to: (call: ForwardedCall) => Promise<Peer | undefined>;
}

type Handler = (request: Message, context: HandlerContext) => unknown;

/** A service whose calls this agent answers or forwards to another: once,
 * with the caller's deadline and the rights of this agent's node.
 * A call with a certificate is forwarded if the node's rights alone suffice.
 * Otherwise the refusal names the agent to ask, since the node cannot pass the
 * caller's rights on.
 *
 * @param here the calls that this agent answers itself; it forwards all others
 */
export function forwarding<S extends DescService>(
  service: S,
  here: Partial<ServiceImpl<S>>,
  options: ForwardOptions,
): ServiceImpl<S> {
  const handlers = here as Readonly<Record<string, Handler | undefined>>;
  const methods = Object.values(service.method).map((method) => {
    const own = handlers[method.localName];
    const handler = method.methodKind === "unary"
      ? forwardUnary(method, own, options)
      : forwardStream(method, own, options);
    return [method.localName, handler];
  });
  return Object.fromEntries(methods) as ServiceImpl<S>;
}

function forwardUnary(
  method: DescMethod,
  own: Handler | undefined,
  options: ForwardOptions,
): Handler {
  return async (request, context) => {
    const peer = await find(method, request, { own, options, context });
    if (!peer) return await own!(request, context);
    const { transport } = peer;
    const response = await transport.unary(
      method as Parameters<Transport["unary"]>[0],
      context.signal,
      timeLeftMs(context) ?? DEFAULT_TIMEOUT_MS,
      { [FORWARDED_HEADER]: options.node },
      request,
    );
    return response.message;
  };
}

function forwardStream(
  method: DescMethod,
  own: Handler | undefined,
  options: ForwardOptions,
): Handler {
  return async function* (request, context) {
    const peer = await find(method, request, { own, options, context });
    if (!peer) {
      yield* own!(request, context) as AsyncIterable<Message>;
      return;
    }
    const response = await peer.transport.stream<DescMessage, DescMessage>(
      method as Parameters<Transport["stream"]>[0],
      context.signal,
      timeLeftMs(context),
      { [FORWARDED_HEADER]: options.node },
      once(request),
    );
    yield* response.message;
  };
}

async function find(
  method: DescMethod,
  request: Message,
  call: {
    readonly own: Handler | undefined;
    readonly options: ForwardOptions;
    readonly context: HandlerContext;
  },
): Promise<Peer | undefined> {
  const { own, options, context } = call;
  const peer = await options.to({ method, request, context });
  if (!peer) {
    if (own) return undefined;
    throw new NetError(
      "internal",
      `Cannot answer ${method.name}: no agent answers it`,
    );
  }
  const by = context.requestHeader.get(FORWARDED_HEADER);
  if (by === null) {
    checkRights({ method, request, context }, { options, peer });
    return peer;
  }
  throw new NetError(
    "unavailable",
    `Cannot answer ${method.name} on node "${options.node}": node ${
      quote(by)
    } takes it for this one's; the cluster is changing, try again`,
  );
}

/**
 * @throws {NetError} `permission_denied` where this agent's node has not the
 * rights of a caller with a certificate, `unavailable` where it cannot speak
 * for the caller at all
 */
function checkRights(
  { method, request, context }: ForwardedCall,
  { options, peer }: {
    readonly options: ForwardOptions;
    readonly peer: Peer;
  },
): void {
  const caller = callerOf(context);
  const { node } = options;
  const permission = permissionOf(method);
  // A forwarded request without a node is not about this one.
  const mayAsk = !permission.isPersonal && (caller.kind !== "member" ||
    allowsNode(permission, request, { node, self: "" }));
  if (mayAsk) return;
  context.responseHeader.set(ASK_HEADER, peer.url);
  throw new NetError(
    caller.kind === "member" ? "permission_denied" : "unavailable",
    `Cannot send ${method.name} on for ${describeCaller(caller)}: node ${
      quote(node)
    } would ask ${peer.url} for itself; ask that agent yourself`,
    { reason: "OTHER_AGENT", metadata: { url: peer.url } },
  );
}

async function* once<T>(value: T): AsyncGenerator<T> {
  yield value;
}
