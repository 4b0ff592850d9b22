import {
  ConnectError,
  createClient,
  type Transport,
} from "@connectrpc/connect";
import { NetError } from "../../base/error.ts";
import { parseApiUrl } from "../../base/names.ts";
import { AgentService } from "../../gen/stellar/net/v1/agent_pb.ts";
import { IpamService } from "../../gen/stellar/net/v1/ipam_pb.ts";
import { IdentityService } from "../../gen/stellar/net/v1/identity_pb.ts";
import type { OperatorIdentity } from "../../security/operator_identity.ts";
import { RegistryService } from "../../gen/stellar/net/v1/registry_pb.ts";
import { readTrust } from "../messages/identity.ts";
import type { TlsCredentials } from "../tls/credentials.ts";
import { createRpcTransport, isUnreachable } from "./client.ts";
import { renew } from "./enrolment.ts";

/** The header of a refusal that names the agent to ask instead. */
export const ASK_HEADER = "stellar-net-ask";

/** The agents that an operator calls, and its credentials. */
export interface OperatorTransportOptions {
  readonly tls: TlsCredentials;
  /** URLs of agents, at least one, in the order to try. */
  readonly urls: readonly string[];
  /** URLs of agents that the operator knows besides. Default: none. */
  readonly keptUrls?: readonly string[];
  /** Deadline of a call, in ms. */
  readonly timeoutMs: number;
  /** Shows a line to the user, besides the answer. Default: no line. */
  readonly note?: (line: string) => void;
}

/** Makes the transport of an operator. If an agent is unreachable, it tries the
 * next. If an agent refuses a call and names another, it asks that one, once, with
 * the same certificate; but only for a call that names its subject, so that no
 * agent can turn a call about itself, such as Leave, against another host. The
 * other agent has to be at a URL that the operator knows, or that of a node that
 * the agents there list: a host that has left still has a certificate.
 * Every failure is a NetError, as of `createRpcTransport`.
 */
export function createOperatorTransport(
  { tls, urls, keptUrls = [], timeoutMs, note }: OperatorTransportOptions,
): Transport {
  const kept = [...new Set([...keptUrls, ...urls])];
  const open = (url: string, credentials: TlsCredentials) =>
    createRpcTransport({ url }, {
      timeoutMs,
      tls: credentials,
      allowsPlainText: false,
    });
  const known = new Map<string, Transport>();
  const at = (url: string) => {
    const found = known.get(url) ?? open(url, tls);
    known.set(url, found);
    return found;
  };
  /** The transport to the agent at `url`, which the one at `adviser` advised to ask. */
  const atAdvised = async (
    { url, adviser }: { readonly url: string; readonly adviser: string },
  ) => {
    if (kept.includes(url) || known.has(url)) return at(url);
    const others = kept.filter((one) => one !== adviser);
    const sources = others.length > 0 ? others : [adviser];
    const advised = open(url, restrictTo(tls, await listNodes(sources, at)));
    known.set(url, advised);
    return advised;
  };
  // It tries the one that it reached last first.
  let first = 0;

  async function call<T>(
    { isFollowed, use }: {
      readonly isFollowed: boolean;
      readonly use: (transport: Transport) => Promise<T>;
    },
  ) {
    let failure: unknown;
    for (let i = 0; i < urls.length; i++) {
      const index = (first + i) % urls.length;
      try {
        const answer = await use(at(urls[index]!));
        first = index;
        return answer;
      } catch (error) {
        const other = otherOf(error);
        if (other !== undefined && !isFollowed) throw notFollowed(error, other);
        if (other !== undefined) {
          const adviser = urls[index]!;
          const answer = await use(await atAdvised({ url: other, adviser }));
          note?.(`${other} has answered, as ${adviser} advised`);
          return answer;
        }
        if (!isUnreachable(error)) throw error;
        failure = failure === undefined ? error : both(failure, error);
      }
    }
    throw failure;
  }

  return {
    unary: (...args) =>
      call({
        isFollowed: namesSubject(args[0], args[4]),
        use: (transport) => transport.unary(...args),
      }),
    async stream(method, signal, timeout, header, input, values) {
      // It may have to be sent more than once.
      const messages = await Array.fromAsync(input);
      const isFollowed = messages.every((one) => namesSubject(method, one));
      const use = async (transport: Transport) => {
        const response = await transport.stream(
          method,
          signal,
          timeout,
          header,
          replay(messages),
          values,
        );
        // A refusal comes before the first message.
        const rest = response.message[Symbol.asyncIterator]();
        const head = await rest.next();
        return { ...response, message: from(head, rest) };
      };
      return await call({ isFollowed, use });
    },
  };
}

/**
 * Whether a request says what it is about. The calls of AgentService are about
 * the host that answers, and so are those of addresses without a node.
 */
function namesSubject(
  { parent }: { readonly parent: { readonly typeName: string } },
  request: object,
): boolean {
  if (parent.typeName === AgentService.typeName) return false;
  if (parent.typeName !== IpamService.typeName) return true;
  const { node = "" } = request as { readonly node?: unknown };
  return node !== "";
}

/** The nodes that an agent lists. */
interface NodeNames {
  readonly names: ReadonlySet<string>;
  /** URL of the agent. */
  readonly source: string;
}

/** Asks agents in turn for the names of the nodes. @throws {NetError} of the last one when none answers */
async function listNodes(
  sources: readonly string[],
  at: (url: string) => Transport,
): Promise<NodeNames> {
  let failure: unknown;
  for (const source of sources) {
    try {
      const client = createClient(RegistryService, at(source));
      const names = new Set<string>();
      let pageToken = "";
      do {
        const page = await client.listNodes({ pageToken }, {
          timeoutMs: ASIDE_MS,
        });
        for (const { name, joinedAt, problem } of page.nodes) {
          // The registry also lists nodes that it refuses, as not joined.
          if (joinedAt || problem === "") names.add(name);
        }
        pageToken = page.nextPageToken;
      } while (pageToken !== "");
      return { names, source };
    } catch (error) {
      failure = failure === undefined ? error : both(failure, error);
    }
  }
  throw failure;
}

/** Credentials that recognise only the agents of some nodes. */
function restrictTo(
  tls: TlsCredentials,
  { names, source }: NodeNames,
): TlsCredentials {
  return {
    get material() {
      return tls.material;
    },
    acceptsAnonymous: tls.acceptsAnonymous,
    place: tls.place,
    ...tls.trusts === undefined ? {} : { trusts: tls.trusts },
    recognize(shown) {
      const found = tls.recognize(shown);
      if (found.kind === "refused" || names.has(found.identity.name)) {
        return found;
      }
      const why =
        `it is node "${found.identity.name}", which ${source} does not list; ` +
        "name that agent with --url if you mean it";
      return { kind: "refused", why };
    },
    fault: (nowMs) => tls.fault(nowMs),
    warnings: (nowMs) => tls.warnings(nowMs),
    onChange: (listener) => tls.onChange(listener),
  };
}

function notFollowed(error: unknown, url: string): NetError {
  const { code, message } = error as NetError;
  return new NetError(
    code,
    `${message}; ${url} was not asked, because the call is about the host that answers: name that agent with --url if you mean it`,
    { cause: error },
  );
}

/** The agent that a refusal names; undefined when it names none. */
function otherOf(error: unknown): string | undefined {
  if (!(error instanceof NetError) || error.code !== "permission_denied") {
    return undefined;
  }
  const { cause } = error;
  const url = cause instanceof ConnectError && cause.metadata.get(ASK_HEADER);
  if (!url || !url.startsWith("https:")) return undefined;
  try {
    return parseApiUrl(url);
  } catch (parsing) {
    if (!(parsing instanceof RangeError)) throw parsing;
    return undefined;
  }
}

function both(one: unknown, other: unknown): unknown {
  if (!(one instanceof NetError && other instanceof NetError)) return other;
  return new NetError(one.code, `${one.message}; ${other.message}`, {
    cause: other,
  });
}

async function* replay<T>(messages: readonly T[]): AsyncGenerator<T> {
  yield* await Promise.resolve(messages);
}

async function* from<T>(
  head: IteratorResult<T>,
  rest: AsyncIterator<T>,
): AsyncGenerator<T> {
  try {
    for (let next = head; !next.done; next = await rest.next()) {
      yield next.value;
    }
  } finally {
    await rest.return?.();
  }
}

/** Deadline of the calls besides the caller's own, in ms. */
const ASIDE_MS = 3_000;

/** An identity, and the agents that it calls. */
export interface IdentityTransportOptions {
  readonly tls: TlsCredentials;
  /** URLs of agents, in the order to try. */
  readonly urls: readonly string[];
  /** The same as `tls`, for an identity that the cluster's authority certified. */
  readonly own: OperatorIdentity | undefined;
  /** Time limit of a call, in ms. */
  readonly timeoutMs: number;
  /** Shows a line to the user, besides the answer. */
  readonly note: (line: string) => void;
}

/** Makes the transport of an identity in a folder. It renews the identity first
 * when that is due, and updates the identity's trust after the first call. A
 * failure of either does not fail a call.
 *
 * @throws {NetError} `failed_precondition` when the identity cannot be used
 */
export async function openIdentityTransport(
  options: IdentityTransportOptions,
): Promise<Transport> {
  const { tls, urls, own, timeoutMs, note } = options;
  if (urls.length === 0) {
    throw new NetError(
      "failed_precondition",
      `Cannot call an agent with the identity in "${tls.place}": it has none; name one with --url`,
    );
  }
  const transport = createOperatorTransport({
    ...{ tls, urls, timeoutMs, note },
    keptUrls: own?.urls ?? [],
  });
  if (!own) return transport;
  own.checkTime();
  if (!own.isDue) return follow(transport, { own, note });
  const { role, name } = own.identity;
  try {
    await own.renew((order) =>
      renew(transport, order, AbortSignal.timeout(ASIDE_MS))
    );
    note(`Renewed the identity of ${role} ${name}, until ${untilOf(own)}`);
  } catch (error) {
    note(
      `The identity of ${role} ${name} is good until ${untilOf(own)}, ` +
        `and was not renewed: ${(error as Error).message}`,
    );
  }
  return transport;
}

/** A transport that updates the identity's trust after its first answer. */
function follow(
  transport: Transport,
  { own, note }: {
    readonly own: OperatorIdentity;
    readonly note: (line: string) => void;
  },
): Transport {
  let isDone = false;
  const takeIn = async () => {
    if (isDone) return;
    isDone = true;
    try {
      const { trust } = await createClient(IdentityService, transport)
        .getTrust({}, { timeoutMs: ASIDE_MS });
      if (trust) await own.takeTrust(readTrust(trust));
    } catch (error) {
      if (!(error instanceof NetError || error instanceof RangeError)) {
        throw error;
      }
      // The next call tries again, and reports that an agent is unreachable.
      const isForged = error instanceof RangeError ||
        error.code === "unauthenticated";
      if (isForged) note(`Ignored the agent's trust: ${error.message}`);
    }
  };
  return {
    stream: (...call) => transport.stream(...call),
    async unary(...call) {
      const answer = await transport.unary(...call);
      await takeIn();
      return answer;
    },
  };
}

function untilOf({ identity }: OperatorIdentity): string {
  return new Date(identity.notAfterMs).toISOString();
}
