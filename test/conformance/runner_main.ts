/**
 * Makes the calls of a plan with a JavaScript library and generated code, in
 * Node and in Deno. The first argument names the library and the protocol (a
 * key of CLIENTS). The plan is JSON on the standard input; each outcome is a
 * line of JSON on the standard output.
 */
import { Buffer } from "node:buffer";
import { readFileSync } from "node:fs";
import process from "node:process";
import { setTimeout as delay } from "node:timers/promises";
import {
  createRegistry,
  type DescMessage,
  type DescMethod,
  type DescMethodStreaming,
  type DescMethodUnary,
  fromBinary,
  fromJson,
  type JsonObject,
  type Message,
  toBinary,
  toJson,
} from "@bufbuild/protobuf";
import { EmptySchema } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, type Transport } from "@connectrpc/connect";
import { compressionGzip } from "@connectrpc/connect-node";
import * as node from "@connectrpc/connect-node";
import * as web from "@connectrpc/connect-web";
import * as grpc from "@grpc/grpc-js";
import {
  BadRequestSchema,
  ErrorInfoSchema,
} from "../../src/gen/google/rpc/error_details_pb.ts";
import { StatusSchema } from "../../src/gen/google/rpc/status_pb.ts";
import { file_grpc_health_v1_health } from "../../src/gen/grpc/health/v1/health_pb.ts";
import { file_grpc_reflection_v1alpha_reflection } from "../../src/gen/grpc/reflection/v1alpha/reflection_pb.ts";
import { file_stellar_net_v1_agent } from "../../src/gen/stellar/net/v1/agent_pb.ts";
import { file_stellar_net_v1_cluster } from "../../src/gen/stellar/net/v1/cluster_pb.ts";
import { file_stellar_net_v1_identity } from "../../src/gen/stellar/net/v1/identity_pb.ts";
import { file_stellar_net_v1_ipam } from "../../src/gen/stellar/net/v1/ipam_pb.ts";
import { file_stellar_net_v1_registry } from "../../src/gen/stellar/net/v1/registry_pb.ts";
import { file_stellar_services_network_v1_network } from "../../src/gen/stellar/services/network/v1/network_pb.ts";
import type { ShownCertificate } from "../support/test_authority.ts";
import type { Line, Outcome, Plan, Role, Situation } from "./plan.ts";

/** Makes one call. `onOpen` is called when a stream has begun. */
type Caller = (situation: Situation, onOpen: () => void) => Promise<Outcome>;

/** Where a client connects. */
interface Target {
  readonly authority: string;
  readonly url: string;
  /** Undefined: plain text. */
  readonly tls?: Credentials | undefined;
}

type Compression = typeof compressionGzip;

interface Credentials {
  readonly ca: string;
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
}

const DEFAULT_TIMEOUT_MS = 20_000;
const KEEP_ALIVE_MS = 1_000;

const TYPES = createRegistry(
  file_grpc_health_v1_health,
  file_grpc_reflection_v1alpha_reflection,
  file_stellar_net_v1_agent,
  file_stellar_net_v1_cluster,
  file_stellar_net_v1_identity,
  file_stellar_net_v1_ipam,
  file_stellar_net_v1_registry,
  file_stellar_services_network_v1_network,
);

/** Each library, with each protocol that it speaks. */
const CLIENTS: Readonly<Record<string, (target: Target) => Caller>> = {
  "grpc-js": createGrpcJsCaller,
  "connect-node, gRPC": (target) =>
    createConnectCaller((sent) =>
      node.createGrpcTransport({
        ...nodeOptions(target, sent),
        pingIntervalMs: KEEP_ALIVE_MS,
        pingIdleConnection: true,
      })
    ),
  "connect-node, Connect over HTTP/2": (target) =>
    createConnectCaller((sent) =>
      node.createConnectTransport({
        ...nodeOptions(target, sent),
        httpVersion: "2",
        pingIntervalMs: KEEP_ALIVE_MS,
      })
    ),
  "connect-node, Connect over HTTP/1.1": (target) =>
    createConnectCaller((sent) =>
      node.createConnectTransport({
        ...nodeOptions(target, sent),
        httpVersion: "1.1",
      })
    ),
  "connect-node, gRPC-Web over HTTP/1.1": (target) =>
    createConnectCaller((sent) =>
      node.createGrpcWebTransport({
        ...nodeOptions(target, sent),
        httpVersion: "1.1",
      })
    ),
  // It leaves compression to the browser.
  "connect-web, Connect": (target) =>
    createConnectCaller(() => web.createConnectTransport(webOptions(target))),
  "connect-web, gRPC-Web": (target) =>
    createConnectCaller(() => web.createGrpcWebTransport(webOptions(target))),
};

function nodeOptions({ url, tls }: Target, sent: Compression | null) {
  return {
    baseUrl: url,
    nodeOptions: { ...tls },
    acceptCompression: [compressionGzip],
    ...sent && { sendCompression: sent },
    compressMinBytes: 0,
  };
}

function webOptions({ url, tls }: Target) {
  if (!tls) return { baseUrl: url };
  const { ca, cert, key } = tls;
  const client = Deno.createHttpClient({
    caCerts: [ca],
    ...cert !== undefined && key !== undefined && { cert, key },
  });
  const call: typeof fetch = (input, init) => fetch(input, { ...init, client });
  return { baseUrl: url, fetch: call };
}

/** The method of a call; of one that is not known, a method with empty messages. */
function methodOf(call: string): DescMethod {
  const [service, name] = call.split("/") as [string, string];
  const found = TYPES.getService(service)?.methods.find((method) =>
    method.name === name
  );
  if (found) return found;
  const parent = { typeName: service } as DescMethod["parent"];
  return {
    ...{ kind: "rpc", name, parent, methodKind: "unary", idempotency: 0 },
    ...{ input: EmptySchema, output: EmptySchema, localName: name },
  } as unknown as DescMethod;
}

function requestOf({ input }: DescMethod, situation: Situation): Message {
  return fromJson(input, situation.request ?? {}, { registry: TYPES });
}

function answerOf({ output }: DescMethod, answer: Message): JsonObject {
  return toJson(output, answer, { registry: TYPES }) as JsonObject;
}

function detailsOf(details: readonly Message[]): Partial<Outcome> {
  let found: Partial<Outcome> = {};
  for (const detail of details) {
    const { reason, fieldViolations } = detail as unknown as {
      readonly reason?: string;
      readonly fieldViolations?: readonly { readonly field: string }[];
    };
    if (reason !== undefined) found = { ...found, reason };
    const field = fieldViolations?.[0]?.field;
    if (field !== undefined) found = { ...found, field };
  }
  return found;
}

/** @param create makes a transport that compresses what it sends, or one that does not */
function createConnectCaller(
  create: (sent: Compression | null) => Transport,
): Caller {
  const plain = create(null);
  const zipping = create(compressionGzip);
  return async (situation, onOpen) => {
    const transport = situation.gzip ? zipping : plain;
    const method = methodOf(situation.call);
    const { timeoutMs = DEFAULT_TIMEOUT_MS, cancelAfterMs } = situation;
    const abort = new AbortController();
    const timer = cancelAfterMs === undefined
      ? undefined
      : setTimeout(() => abort.abort(), cancelAfterMs);
    try {
      const request = requestOf(method, situation);
      const { signal } = abort;
      if (situation.stream === undefined) {
        const { message, header } = await transport.unary(
          method as DescMethodUnary,
          ...[signal, timeoutMs, undefined, request] as const,
        );
        const encoding = header.get("grpc-encoding") ??
          header.get("content-encoding");
        return {
          code: "OK",
          answer: answerOf(method, message as Message),
          ...encoding !== null && { encoding },
        };
      }
      const { message: messages } = await transport.stream(
        method as DescMethodStreaming,
        ...[signal, timeoutMs, undefined, once(request)] as const,
      );
      const first = await readStream(messages, situation, onOpen);
      return { code: "OK", answer: first ? answerOf(method, first) : {} };
    } catch (error) {
      const caught = ConnectError.from(error);
      return {
        code: nameOf(Code[caught.code]!),
        message: caught.rawMessage,
        ...detailsOf([
          ...caught.findDetails(ErrorInfoSchema),
          ...caught.findDetails(BadRequestSchema),
        ]),
      };
    } finally {
      clearTimeout(timer);
      if (situation.stream) abort.abort();
    }
  };
}

/** Reads a stream as its situation says. @returns the first message */
async function readStream(
  messages: AsyncIterable<unknown>,
  { stream }: Situation,
  onOpen: () => void,
): Promise<Message | undefined> {
  let first: unknown;
  for await (const message of messages) {
    if (first !== undefined) continue;
    first = message;
    if (stream === "first") break;
    if (stream === "until it ends") onOpen();
  }
  return first as Message | undefined;
}

async function* once(message: Message): AsyncIterable<Message> {
  yield await Promise.resolve(message);
}

function createGrpcJsCaller({ authority, tls }: Target): Caller {
  const options = {
    "grpc.keepalive_time_ms": KEEP_ALIVE_MS,
    "grpc.keepalive_permit_without_calls": 1,
  };
  const credentials = tls
    ? grpc.credentials.createSsl(
      bytesOf(tls.ca),
      bytesOf(tls.key),
      bytesOf(tls.cert),
    )
    : grpc.credentials.createInsecure();
  const plain = new grpc.Client(authority, credentials, options);
  const zipping = new grpc.Client(authority, credentials, {
    ...options,
    "grpc.default_compression_algorithm": 2,
  });
  return async (situation, onOpen) => {
    const method = methodOf(situation.call);
    const client = situation.gzip ? zipping : plain;
    const send = () =>
      Buffer.from(
        situation.raw === undefined
          ? toBinary(method.input, requestOf(method, situation))
          : Buffer.from(situation.raw, "base64"),
      );
    const read = (bytes: Buffer) => fromBinary(method.output, bytes);
    const deadline = Date.now() + (situation.timeoutMs ?? DEFAULT_TIMEOUT_MS);
    const path = `/${situation.call}`;
    try {
      const answer = await new Promise<Message | undefined>(
        (resolve, reject) => {
          if (situation.stream !== undefined) {
            const open = () => {
              if (situation.stream !== "bidi") {
                return client.makeServerStreamRequest(
                  ...[path, send, read, undefined, { deadline }] as const,
                );
              }
              const both = client.makeBidiStreamRequest(
                ...[path, send, read, { deadline }] as const,
              );
              both.write({});
              both.end();
              return both;
            };
            const messages = open();
            let first: Message | undefined;
            messages.on("data", (message: Message) => {
              if (first) return;
              first = message;
              if (situation.stream === "first") {
                resolve(message);
                messages.cancel();
              } else if (situation.stream === "until it ends") onOpen();
            }).on("error", reject).on("end", () => resolve(first));
            return;
          }
          const call = client.makeUnaryRequest(
            ...[path, send, read, undefined, { deadline }] as const,
            (error, answer) => error ? reject(error) : resolve(answer),
          );
          if (situation.cancelAfterMs !== undefined) {
            setTimeout(() => call.cancel(), situation.cancelAfterMs);
          }
        },
      );
      return { code: "OK", answer: answer ? answerOf(method, answer) : {} };
    } catch (error) {
      const { code, details, metadata } = error as grpc.ServiceError;
      const [status] = metadata?.get("grpc-status-details-bin") ?? [];
      const found = status ? fromBinary(StatusSchema, status as Buffer) : null;
      return {
        code: nameOf(grpc.status[code] ?? String(error)),
        message: details,
        ...detailsOf((found?.details ?? []).flatMap(unpack)),
      };
    }
  };
}

function unpack(
  { typeUrl, value }: { readonly typeUrl: string; readonly value: Uint8Array },
): Message[] {
  return [ErrorInfoSchema, BadRequestSchema as DescMessage]
    .filter(({ typeName }) => typeUrl.endsWith(`/${typeName}`))
    .map((schema) => fromBinary(schema, value));
}

function bytesOf(text: string | undefined): Buffer | null {
  return text === undefined ? null : Buffer.from(text);
}

/** The name of a code as protobuf has it. */
function nameOf(code: string): string {
  const name = /^[A-Z_]+$/.test(code)
    ? code
    : code.replaceAll(/(?<=[a-z])(?=[A-Z])/g, "_").toUpperCase();
  return name.replace("CANCELLED", "CANCELED");
}

function targetOf({ plain, tls, identities }: Plan, role: Role): Target {
  if (role === "plain") return { authority: plain, url: `http://${plain}` };
  const credentials = readCredentials(identities[role]);
  return { authority: tls, url: `https://${tls}`, tls: credentials };
}

function readCredentials(shown: ShownCertificate): Credentials {
  const read = (path: string | undefined) =>
    path === undefined ? undefined : readFileSync(path, "utf8");
  return {
    ca: read(shown.caPath)!,
    cert: read(shown.certPath),
    key: read(shown.keyPath),
  };
}

function write(line: Line): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

// Node 20 has no Array.fromAsync.
async function readAll(chunks: AsyncIterable<Buffer>): Promise<Buffer[]> {
  const all: Buffer[] = [];
  for await (const chunk of chunks) all.push(chunk);
  return all;
}

const [kind] = process.argv.slice(2) as [string];
const plan: Plan = JSON.parse(
  Buffer.concat(await readAll(process.stdin)).toString(),
);
const callers = new Map<Role, Caller>();
// Streams that are read until they end are open together.
const open: Promise<void>[] = [];
for (const situation of plan.situations) {
  const { name, as } = situation;
  const caller = callers.get(as) ?? CLIENTS[kind]!(targetOf(plan, as));
  callers.set(as, caller);
  await delay(situation.pauseMs ?? 0);
  const reported = caller(situation, () => write({ name, isOpen: true }))
    .then((outcome) => write({ name, outcome }));
  if (situation.stream === "until it ends") open.push(reported);
  else await reported;
}
await Promise.all(open);
process.exit(0);
