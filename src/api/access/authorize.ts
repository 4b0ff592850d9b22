import type { DescMethod, DescService, Message } from "@bufbuild/protobuf";
import type {
  ConnectRouter,
  HandlerContext,
  ServiceImpl,
} from "@connectrpc/connect";
import type { AuditLog } from "../../audit/audit.ts";
import { NetError } from "../../base/error.ts";
import { quote } from "../../net/address.ts";
import { CallAudit, type RecordedCall } from "./call_audit.ts";
import {
  type Caller,
  callerOf,
  describeCaller,
  textOf,
} from "./call_context.ts";
import { type Column, type Permission, permissionOf } from "./permissions.ts";

const OPERATOR =
  "use --identity with an operator's certificate (stellar-net token create --role operator)";
const HOW_TO_JOIN =
  "join with a token (--token-file), or show a certificate with --identity";
const OTHER_NAME =
  'the state of this host is a copy, or its name has changed; stop the agent, delete the whole state if it is a copy or else its folder "identity", and join with a token (--token-file)';
const NOT_IN_TABLE = "it is not in the table of permissions";

/** The parts that authorise and record calls. */
export interface AuthorizeOptions {
  /** Name of this agent's node, which a request without a node is about. */
  readonly node: string;
  /** Where changes are recorded. Default: nowhere. */
  readonly audit?: AuditLog | undefined;
  /** Called with each change that a caller may make, before it is made; not with joins and heartbeats. */
  readonly onChange?: ((call: RecordedCall) => Promise<void>) | undefined;
  /** The time in ms since 1970. */
  readonly now: () => number;
}

type Handler = (request: Message, context: HandlerContext) => unknown;

/**
 * A service that checks each call against the table of permissions before it
 * answers, and records the calls that change something, including those that
 * it refuses and those that fail. Only the connection identifies the caller.
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
    const permission = permissionOf(method);
    const { changes, isFrequent, isMembership } = permission;
    const guard: Guard = {
      ...{ method, permission, handler, self: options.node },
      audit: changes ? audit : undefined,
      onChange: changes && !isFrequent && !isMembership
        ? options.onChange
        : undefined,
    };
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

/** A method with its handler and what it is guarded by. */
interface Guard {
  readonly method: DescMethod;
  readonly permission: Permission;
  readonly handler: Handler;
  /** The node of this agent. */
  readonly self: string;
  /** Undefined: its calls are not recorded. */
  readonly audit: CallAudit | undefined;
  readonly onChange: AuthorizeOptions["onChange"];
}

function guardUnary(guard: Guard): Handler {
  const { handler, audit } = guard;
  if (!audit) {
    return (request, context) => {
      const refusal = findRefusal(guard, request, callerOf(context));
      if (refusal) throw refusal;
      return handler(request, context);
    };
  }
  return async (request, context) => {
    const call = await admit(guard, request, context);
    let response: unknown;
    try {
      response = await handler(request, context);
    } catch (error) {
      await audit.failed(call, error);
      throw error;
    }
    await audit.done(call, response);
    return response;
  };
}

function guardStream(guard: Guard): Handler {
  const { handler, audit } = guard;
  return async function* (request, context) {
    const call = await admit(guard, request, context);
    try {
      yield* handler(request, context) as AsyncIterable<Message>;
    } catch (error) {
      await audit?.failed(call, error);
      throw error;
    }
    await audit?.done(call, {});
  };
}

/** Lets a call in. @throws {NetError} the refusal, which is recorded */
async function admit(
  guard: Guard,
  request: Message,
  context: HandlerContext,
): Promise<RecordedCall> {
  const { method, permission, audit, onChange } = guard;
  const caller = callerOf(context);
  const call = { method, permission, request, caller };
  const refusal = findRefusal(guard, request, caller);
  if (!refusal) {
    await onChange?.(call);
    return call;
  }
  await audit?.refused(call, refusal);
  throw refusal;
}

/**
 * Why a caller may not make a call; undefined when it may.
 *
 * @returns `permission_denied` naming what is missing, or `unauthenticated`
 * when the caller is unknown
 */
function findRefusal(
  guard: Guard,
  request: object,
  caller: Caller,
): NetError | undefined {
  const { method, permission, self } = guard;
  const column = columnOf(caller);
  const rule = column === undefined ? "no" : permission.rules[column];
  if (rule === "yes") return undefined;
  if (caller.kind === "refused") {
    return new NetError("unauthenticated", caller.why);
  }
  if (caller.kind === "anonymous") {
    return new NetError(
      "unauthenticated",
      `Cannot call ${method.name}: the connection has no certificate; ${HOW_TO_JOIN}`,
    );
  }
  if (caller.kind !== "member") return deny(method, NOT_IN_TABLE);
  const { role, name } = caller.identity;
  if (role === "node" && rule !== "no") {
    return allowsNode(permission, request, { node: name, self })
      ? undefined
      : deny(method, explainOwn(permission, request, name));
  }
  if (role === "operator") return deny(method, NOT_IN_TABLE);
  const others = permission.rules.readonly === "yes" ? " or readonly" : "";
  return deny(
    method,
    `${describeCaller(caller)} may not, only an operator${others}; ${OPERATOR}`,
  );
}

function explainOwn(
  permission: Permission,
  request: object,
  name: string,
): string {
  const who = `node ${quote(name)}`;
  const named = textOf(request, "node");
  if (permission.rules.node === "own instance" && named === name) {
    return `${who} may with its instance_id alone, and there is none; ${OPERATOR}`;
  }
  if (permission.isMembership && named !== "") {
    return `the certificate is for ${who}, and the request is of node ${
      quote(named)
    }: ${OTHER_NAME}`;
  }
  return named === ""
    ? `${who} may for itself alone, and the request names no node; name it, or ${OPERATOR}`
    : `${who} may for itself alone, not for node ${quote(named)}; ${OPERATOR}`;
}

function deny(method: DescMethod, why: string): NetError {
  return new NetError(
    "permission_denied",
    `Cannot call ${method.name}: ${why}`,
  );
}

/** The column of a caller in the table; undefined for one without rights. */
function columnOf(caller: Caller): Column | undefined {
  switch (caller.kind) {
    case "member":
      return caller.identity.role;
    case "refused":
      return caller.expired && "expired";
    default:
      return caller.kind;
  }
}

/**
 * Whether a rule lets a node make a call.
 *
 * @param self the node that a request without one is about; empty for none
 */
export function allowsNode(
  { rules, emptyIsSelf }: Permission,
  request: object,
  { node, self }: { readonly node: string; readonly self: string },
): boolean {
  const { node: rule } = rules;
  if (rule === "yes" || rule === "no") return rule === "yes";
  const named = textOf(request, "node") || (emptyIsSelf ? self : "");
  return named !== "" && named === node &&
    (rule === "own" || textOf(request, "instanceId") !== "");
}
