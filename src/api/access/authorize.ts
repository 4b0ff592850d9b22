import type { DescMethod, DescService, Message } from "@bufbuild/protobuf";
import type {
  ConnectRouter,
  HandlerContext,
  ServiceImpl,
} from "@connectrpc/connect";
import type { AuditLog } from "../../audit/audit.ts";
import { CallAudit } from "./call_audit.ts";
import { callerOf } from "./call_context.ts";
import { findRefusal, permissionOf } from "./permissions.ts";

/** What calls are authorised and recorded with. */
export interface AuthorizeOptions {
  /** Name of this agent's node: what is meant where a request names none. */
  readonly node: string;
  /** Where changes are recorded. Default: nowhere. */
  readonly audit?: AuditLog | undefined;
  /** The time in ms since 1970. */
  readonly now: () => number;
}

type Handler = (request: Message, context: HandlerContext) => unknown;

/**
 * A service whose calls are checked with the table of permissions before they
 * are answered, and recorded where they change something: those too that are
 * refused or fail. Who calls is known by the connection alone.
 */
export function authorized<
  S extends DescService,
  I extends Partial<ServiceImpl<S>>,
>(service: S, impl: I, options: AuthorizeOptions): I {
  const handlers = impl as Readonly<Record<string, Handler | undefined>>;
  const audit = options.audit &&
    new CallAudit({ audit: options.audit, now: options.now });
  const entries = Object.values(service.method).flatMap((method) => {
    const handler = handlers[method.localName];
    if (!handler) return [];
    const guard = { method, handler, node: options.node, audit };
    const authorizedHandler = method.methodKind === "unary"
      ? guardUnary(guard)
      : guardStream(guard);
    return [[method.localName, authorizedHandler]];
  });
  return Object.fromEntries(entries) as I;
}

/** A router that authorises the services that are registered with it. */
export function authorizing(
  router: ConnectRouter,
  options: AuthorizeOptions,
): ConnectRouter {
  const guarded: ConnectRouter = {
    handlers: router.handlers,
    service: (service, impl, serviceOptions) => {
      router.service(
        service,
        authorized(service, impl, options),
        serviceOptions,
      );
      return guarded;
    },
    rpc: (method) => {
      throw new TypeError(`Cannot route ${method.name}: route its service`);
    },
  };
  return guarded;
}

interface Guard {
  readonly method: DescMethod;
  readonly handler: Handler;
  readonly node: string;
  readonly audit: CallAudit | undefined;
}

/** What a call is checked with, made once a method. */
function createCheck({ method, node }: Guard) {
  const permission = permissionOf(method);
  return (request: object, context: HandlerContext) =>
    findRefusal({
      ...{ method, permission, request },
      caller: callerOf(context),
      self: node,
    });
}

function guardUnary(guard: Guard): Handler {
  const { method, handler, audit } = guard;
  const check = createCheck(guard);
  if (!audit || !permissionOf(method).changes) {
    return (request, context) => {
      const refusal = check(request, context);
      if (refusal) throw refusal;
      return handler(request, context);
    };
  }
  return async (request, context) => {
    const call = { method, request, caller: callerOf(context) };
    const refusal = check(request, context);
    if (refusal) {
      await audit.refused(call, refusal);
      throw refusal;
    }
    let response: unknown;
    try {
      response = await handler(request, context);
    } catch (error) {
      await audit.failed(call, error);
      throw error;
    }
    await audit.done(call);
    return response;
  };
}

function guardStream(guard: Guard): Handler {
  const { method, handler, audit } = guard;
  const check = createCheck(guard);
  const isRecorded = permissionOf(method).changes;
  return async function* (request, context) {
    const call = { method, request, caller: callerOf(context) };
    const refusal = check(request, context);
    if (refusal) {
      if (isRecorded) await audit?.refused(call, refusal);
      throw refusal;
    }
    try {
      yield* handler(request, context) as AsyncIterable<Message>;
    } catch (error) {
      if (isRecorded) await audit?.failed(call, error);
      throw error;
    }
    if (isRecorded) await audit?.done(call);
  };
}
