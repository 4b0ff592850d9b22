import type {
  DescMethod,
  DescMethodStreaming,
  DescMethodUnary,
  DescService,
} from "@bufbuild/protobuf";
import type {
  ConnectRouter,
  HandlerContext,
  Transport,
} from "@connectrpc/connect";
import { isRead } from "../api/access/reads.ts";
import { NetError } from "../base/error.ts";
import { AgentService } from "../gen/stellar/net/v1/agent_pb.ts";
import { ClusterService } from "../gen/stellar/net/v1/cluster_pb.ts";
import { IdentityService } from "../gen/stellar/net/v1/identity_pb.ts";
import { IpamService } from "../gen/stellar/net/v1/ipam_pb.ts";
import { RegistryService } from "../gen/stellar/net/v1/registry_pb.ts";
import { quote } from "../net/address.ts";

/** The services of the native API. */
export const SERVICES: readonly DescService[] = [
  AgentService,
  ClusterService,
  IdentityService,
  IpamService,
  RegistryService,
];

/**
 * Makes the routes that pass calls on to the agent behind a transport, with the
 * rights of that transport. They pass on only calls that change nothing, and
 * refuse all others with `permission_denied`, whoever makes them.
 */
export function createForwarding(
  transport: Transport,
): (router: ConnectRouter) => void {
  return (router) => {
    for (const { methods } of SERVICES) {
      for (const method of methods) {
        // The types of messages are known only to the method.
        const handler = handlerOf(method, transport) as never;
        router.rpc(method as never, handler);
      }
    }
  };
}

/** The refusal of a call. @param call its name, such as `stellar.net.v1.AgentService/Leave` */
export function notPassedOn(call: string): NetError {
  return new NetError(
    "permission_denied",
    `Cannot pass on ${
      quote(call)
    }: the map only reads; use the command line to change something`,
  );
}

type Request = Record<string, unknown>;

function handlerOf(method: DescMethod, transport: Transport): unknown {
  const { methodKind } = method;
  const isPassedOn = isRead(method);
  const refusal = notPassedOn(`${method.parent.typeName}/${method.name}`);
  if (methodKind === "unary") {
    return async (request: Request, context: HandlerContext) => {
      if (!isPassedOn) throw refusal;
      const answer = await transport.unary(
        method as DescMethodUnary,
        context.signal,
        context.timeoutMs(),
        undefined,
        request,
      );
      return answer.message;
    };
  }
  return async function* (request: Request, context: HandlerContext) {
    if (!isPassedOn || methodKind !== "server_streaming") throw refusal;
    const answer = await transport.stream(
      method as DescMethodStreaming,
      context.signal,
      // 0: no deadline of the transport's own.
      context.timeoutMs() ?? 0,
      undefined,
      once(request),
    );
    yield* answer.message;
  };
}

async function* once<T>(value: T): AsyncGenerator<T> {
  yield await Promise.resolve(value);
}
