import type {
  DescMessage,
  DescMethod,
  DescService,
  Message,
} from "@bufbuild/protobuf";
import type {
  HandlerContext,
  ServiceImpl,
  Transport,
} from "@connectrpc/connect";
import { NetError } from "../error.ts";

/** Tells that a call was sent on by another agent, and by which. */
const FORWARDED_HEADER = "stellar-net-forwarded-by";
/** How long a call that is sent on may take where its caller does not say, in ms. */
const DEFAULT_TIMEOUT_MS = 10_000;

/** A call, as far as it decides who answers it. */
export interface ForwardedCall {
  readonly method: DescMethod;
  /** Of the method's input. */
  readonly request: Message;
}

/** Where calls go. */
export interface ForwardOptions {
  /** Name of this agent's node. */
  readonly node: string;
  /** The agent that answers a call; undefined for this one. */
  readonly to: (call: ForwardedCall) => Promise<Transport | undefined>;
}

type Handler = (request: Message, context: HandlerContext) => unknown;

/**
 * A service whose calls are answered by this agent or sent on to another: once,
 * with the deadline of their caller.
 *
 * @param here what this agent answers itself; of what is missing everything is sent on
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
    const transport = await find(method, request, { own, options, context });
    if (!transport) return await own!(request, context);
    const response = await transport.unary(
      method as Parameters<Transport["unary"]>[0],
      context.signal,
      context.timeoutMs() ?? DEFAULT_TIMEOUT_MS,
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
    const transport = await find(method, request, { own, options, context });
    if (!transport) {
      yield* own!(request, context) as AsyncIterable<Message>;
      return;
    }
    const response = await transport.stream<DescMessage, DescMessage>(
      method as Parameters<Transport["stream"]>[0],
      context.signal,
      context.timeoutMs(),
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
): Promise<Transport | undefined> {
  const { own, options, context } = call;
  const transport = await options.to({ method, request });
  if (!transport) {
    if (own) return undefined;
    throw new NetError(
      "internal",
      `Cannot answer ${method.name}: it is answered nowhere`,
    );
  }
  const by = context.requestHeader.get(FORWARDED_HEADER);
  if (by === null) return transport;
  throw new NetError(
    "unavailable",
    `Cannot answer ${method.name} on node "${options.node}": node "${by}" takes it for this one's; the cluster is changing, try again`,
  );
}

async function* once<T>(value: T): AsyncGenerator<T> {
  yield value;
}
