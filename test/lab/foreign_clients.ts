import { fileURLToPath } from "node:url";
import {
  type DescFile,
  type DescMethod,
  type JsonObject,
  toBinary,
} from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import type { Outcome } from "../support/stellar_clients.ts";
import { curlTlsArgs } from "../support/stellar_clients.ts";
import type { ShownCertificate } from "../support/test_authority.ts";
import type { GrpcJsCalls } from "./grpc_js_calls_main.ts";
import type { LabHost } from "./lab_host.ts";

/** A call, as protobuf's JSON has its request. */
export interface ForeignCall {
  readonly method: DescMethod;
  readonly request: JsonObject;
}

/** The caller, the called agent, and the caller's credentials. */
export interface ForeignTarget {
  readonly from: LabHost;
  readonly to: LabHost;
  readonly tls: ShownCertificate;
}

/** Makes calls from a host, one after the other. @returns what came of each */
export type ForeignClient = (
  target: ForeignTarget,
  calls: readonly ForeignCall[],
) => Promise<Outcome[]>;

const PORT = 9000;
const PYTHON = fileURLToPath(
  new URL("../support/stellar_client.py", import.meta.url),
);
const GRPC_JS = fileURLToPath(
  new URL("grpc_js_calls_main.ts", import.meta.url),
);

/** Clients of the API by others, as they run on a host. */
export const FOREIGN_CLIENTS: Readonly<Record<string, ForeignClient>> = {
  "grpc-js": callWithGrpcJs,
  "Python's grpcio": callWithPython,
  "curl": callWithCurl,
};

/** Calls with grpc-js. */
export async function callWithGrpcJs(
  { from, to, tls }: ForeignTarget,
  calls: readonly ForeignCall[],
): Promise<Outcome[]> {
  const options: GrpcJsCalls = {
    target: `${to.address}:${PORT}`,
    calls: calls.map(({ method, request }) => ({
      client: {
        file: `${method.parent.file.name}.proto`,
        service: method.parent.typeName,
        channelOptions: { "grpc.ssl_target_name_override": to.name },
        tls,
      },
      method: method.name,
      request,
      isStream: method.methodKind !== "unary",
    })),
  };
  const printed = await from.must(Deno.execPath(), [
    ...["run", "-A", "--cached-only", GRPC_JS, JSON.stringify(options)],
  ]);
  return linesOf(printed);
}

async function callWithPython(
  { from, to, tls }: ForeignTarget,
  calls: readonly ForeignCall[],
): Promise<Outcome[]> {
  const outcomes: Outcome[] = [];
  // It is made for one service.
  for (const service of new Set(calls.map(({ method }) => method.parent))) {
    const own = calls.filter(({ method }) => method.parent === service);
    const lines = [
      {
        target: `${to.address}:${PORT}`,
        tls,
        service: service.typeName,
        files: filesOf(service.file).map(({ proto }) =>
          toBinary(FileDescriptorProtoSchema, proto).toBase64()
        ),
      },
      ...own.map(({ method, request }) => ({ call: method.name, request })),
    ];
    const stdin = lines.map((line) => `${JSON.stringify(line)}\n`).join("");
    const printed = linesOf(
      await from.must("/usr/bin/python3", [PYTHON], {
        stdin,
        env: { GRPC_VERBOSITY: "NONE" },
      }),
    );
    for (const [index, outcome] of printed.entries()) {
      outcomes[calls.indexOf(own[index]!)] = outcome;
    }
  }
  return outcomes;
}

async function callWithCurl(
  { from, to, tls }: ForeignTarget,
  calls: readonly ForeignCall[],
): Promise<Outcome[]> {
  const outcomes: Outcome[] = [];
  for (const { method, request } of calls) {
    const url = `https://${to.address}:${PORT}/${method.parent.typeName}`;
    const body = JSON.stringify(request);
    const stdout = method.methodKind === "unary"
      ? await from.must("curl", [
        ...[
          "--silent",
          "--show-error",
          "--max-time",
          "10",
          ...curlTlsArgs(tls),
        ],
        ...["--json", body, `${url}/${method.name}`],
      ])
      : await from.must("curl", [
        ...[
          "--silent",
          "--show-error",
          "--max-time",
          "10",
          ...curlTlsArgs(tls),
        ],
        ...["--header", "content-type: application/connect+json"],
        ...["--data-binary", "@-", `${url}/${method.name}`],
      ], { stdin: envelope(body) });
    const answer = JSON.parse(stdout.slice(stdout.indexOf("{")));
    const { code, message } = answer.error ?? answer;
    outcomes.push(code === undefined ? { answer } : { code, message });
  }
  return outcomes;
}

/** A message of a stream of Connect. Its length has to be a character. */
export function envelope(body: string): string {
  return `\0\0\0\0${String.fromCharCode(body.length)}${body}`;
}

function linesOf(printed: string): Outcome[] {
  return printed.trim().split("\n").map((line) => JSON.parse(line));
}

/** A file and those that it needs, those first. */
function filesOf(file: DescFile): DescFile[] {
  const all = [...file.dependencies.flatMap(filesOf), file];
  return all.filter(({ name }, index) =>
    all.findIndex((other) => other.name === name) === index
  );
}
