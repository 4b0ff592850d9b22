import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import {
  fromBinary,
  fromJson,
  type JsonObject,
  type JsonValue,
  toBinary,
  toJson,
} from "@bufbuild/protobuf";
import {
  file_google_protobuf_empty,
  FileDescriptorProtoSchema,
} from "@bufbuild/protobuf/wkt";
import * as grpc from "@grpc/grpc-js";
import {
  file_stellar_services_network_v1_network,
  Network,
} from "../../src/gen/stellar/services/network/v1/network_pb.ts";
import { createGrpcJsClient } from "./grpc_js.ts";
import { run } from "./run.ts";
import type { ShownCertificate } from "./test_authority.ts";

/**
 * What came of a call, the same over every protocol: the answer as protobuf's
 * JSON has it, or the error with the name of its code in lower case.
 */
export type Outcome =
  | { readonly answer: JsonObject }
  | { readonly code: string; readonly message: string };

/** A client of Stellar's network service. */
export interface StellarClient extends AsyncDisposable {
  /** Makes a call such as `AllocateIP`, with its request as JSON. */
  call(name: string, request?: JsonObject): Promise<Outcome>;
}

/** Where an agent serves. */
export interface StellarTarget {
  /** Such as `http://127.0.0.1:9000`. */
  readonly url: string;
  /** What grpc-js calls the server over TLS. Default `localhost`. */
  readonly serverName?: string;
  /** What the agent is checked with, and shown. Default: plain text. */
  readonly tls?: ShownCertificate;
}

const SCRIPT = fileURLToPath(new URL("stellar_client.py", import.meta.url));
const TRAILERS = 0x80;
const FRAME_HEADER_BYTES = 5;

/** Makes a client of each kind. */
export const STELLAR_CLIENTS: Readonly<
  Record<string, (target: StellarTarget) => StellarClient>
> = {
  "gRPC with grpc-js": createGrpcJs,
  "gRPC with Python's grpcio": createPython,
  "Connect JSON with curl": (target) => createCurl(target),
  "gRPC-Web with fetch": createGrpcWeb,
};

/** The same, and what else a client can choose over TLS, where curl speaks HTTP/2 by itself. */
export const STELLAR_TLS_CLIENTS: typeof STELLAR_CLIENTS = {
  ...STELLAR_CLIENTS,
  "Connect JSON with curl over HTTP/1.1": (target) =>
    createCurl(target, ["--http1.1"]),
};

function createGrpcJs({ url, serverName, tls }: StellarTarget): StellarClient {
  const client = createGrpcJsClient(new URL(url).host, {
    file: "stellar/services/network/v1/network.proto",
    service: Network.typeName,
    tls,
    serverName,
  });
  return {
    async call(name, request = {}) {
      const { output } = methodOf(name);
      try {
        const answer = await client.call<JsonObject>(name, request);
        // With the defaults left out, as in protobuf's JSON.
        return { answer: toObject(toJson(output, fromJson(output, answer))) };
      } catch (error) {
        const { code, details } = error as grpc.ServiceError;
        return { code: grpc.status[code]!.toLowerCase(), message: details };
      }
    },
    [Symbol.asyncDispose]: () => Promise.resolve(client.close()),
  };
}

function createPython({ url, tls }: StellarTarget): StellarClient {
  const child = new Deno.Command("/usr/bin/python3", {
    args: [SCRIPT],
    // Its library tells of each handshake that fails.
    env: tls ? { GRPC_VERBOSITY: "NONE" } : {},
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  const lines = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  const write = (value: unknown) =>
    writer.write(new TextEncoder().encode(`${JSON.stringify(value)}\n`));
  const ready = write({
    target: new URL(url).host,
    tls,
    service: Network.typeName,
    files: [
      file_google_protobuf_empty,
      file_stellar_services_network_v1_network,
    ].map(({ proto }) => toBinary(FileDescriptorProtoSchema, proto).toBase64()),
  });
  return {
    async call(name, request = {}) {
      await ready;
      await write({ call: name, request });
      let line = "";
      while (!line.endsWith("\n")) {
        const { done, value } = await lines.read();
        assert.ok(!done, "the Python client ended");
        line += value;
      }
      return JSON.parse(line);
    },
    async [Symbol.asyncDispose]() {
      await writer.close();
      await lines.cancel();
      await child.status;
    },
  };
}

function createCurl(
  { url, tls }: StellarTarget,
  words: readonly string[] = [],
): StellarClient {
  return {
    async call(name, request = {}) {
      const { code, stdout, stderr } = await run("curl", [
        ...["--silent", "--show-error", "--max-time", "10"],
        ...["--write-out", "\n%{http_code}", "--json", JSON.stringify(request)],
        ...words,
        ...curlTlsArgs(tls),
        `${url}/${Network.typeName}/${name}`,
      ]);
      if (code !== 0) return { code: "unavailable", message: stderr };
      const end = stdout.lastIndexOf("\n");
      const body = JSON.parse(stdout.slice(0, end));
      if (stdout.slice(end) === "\n200") return { answer: body };
      // Not its details, which other clients do not show here.
      return { code: body.code, message: body.message };
    },
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

/** The options of curl that check and show certificates. */
export function curlTlsArgs(tls: ShownCertificate | undefined): string[] {
  if (!tls) return [];
  const { caPath, certPath, keyPath } = tls;
  return ["--cacert", caPath]
    .concat(certPath === undefined ? [] : ["--cert", certPath])
    .concat(keyPath === undefined ? [] : ["--key", keyPath]);
}

function createGrpcWeb({ url, tls }: StellarTarget): StellarClient {
  const client = tls && createHttpClient(tls);
  return {
    async call(name, request = {}) {
      const { input, output } = methodOf(name);
      let response: Response;
      try {
        response = await fetch(`${url}/${Network.typeName}/${name}`, {
          method: "POST",
          headers: {
            "content-type": "application/grpc-web+proto",
            "x-grpc-web": "1",
          },
          body: frame(toBinary(input, fromJson(input, request))),
          ...client && { client },
        });
      } catch (error) {
        return { code: "unavailable", message: String(error) };
      }
      assert.equal(response.status, 200);
      const frames = parseFrames(new Uint8Array(await response.arrayBuffer()));
      const status = readStatus(response.headers, frames.get(TRAILERS));
      const message = frames.get(0);
      return status ??
        { answer: toObject(toJson(output, fromBinary(output, message!))) };
    },
    [Symbol.asyncDispose]: () => Promise.resolve(client?.close()),
  };
}

function createHttpClient(tls: ShownCertificate): Deno.HttpClient {
  const { caPath, certPath, keyPath } = tls;
  const read = Deno.readTextFileSync;
  const caCerts = [read(caPath)];
  return Deno.createHttpClient(
    certPath === undefined || keyPath === undefined
      ? { caCerts }
      : { caCerts, cert: read(certPath), key: read(keyPath) },
  );
}

function methodOf(name: string): typeof Network.methods[number] {
  const method = Network.methods.find((method) => method.name === name);
  if (!method) throw new Error(`Cannot call "${name}": there is no such call`);
  return method;
}

function toObject(value: JsonValue): JsonObject {
  return value as JsonObject;
}

function frame(message: Uint8Array): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(FRAME_HEADER_BYTES + message.length);
  new DataView(bytes.buffer).setUint32(1, message.length);
  bytes.set(message, FRAME_HEADER_BYTES);
  return bytes;
}

/** The last frame of each kind: 0 for a message, 0x80 for the trailers. */
function parseFrames(bytes: Uint8Array<ArrayBuffer>): Map<number, Uint8Array> {
  const frames = new Map<number, Uint8Array>();
  const view = new DataView(bytes.buffer);
  for (let at = 0; at < bytes.length;) {
    const start = at + FRAME_HEADER_BYTES;
    const end = start + view.getUint32(at + 1);
    frames.set(bytes[at]!, bytes.subarray(start, end));
    at = end;
  }
  return frames;
}

/** The error in the trailers, or in the header where there is nothing else; undefined when all is well. */
function readStatus(
  headers: Headers,
  trailers: Uint8Array | undefined,
): Outcome | undefined {
  const read = new Headers(headers);
  for (const line of new TextDecoder().decode(trailers).split("\r\n")) {
    const colon = line.indexOf(":");
    if (colon > 0) read.set(line.slice(0, colon), line.slice(colon + 1));
  }
  const status = Number(read.get("grpc-status") ?? NaN);
  assert.ok(status in grpc.status, `there is no status in ${[...read]}`);
  if (status === grpc.status.OK) return undefined;
  return {
    code: grpc.status[status]!.toLowerCase(),
    message: decodeURIComponent(read.get("grpc-message") ?? ""),
  };
}
