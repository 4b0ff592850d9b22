import assert from "node:assert/strict";
import {
  Code,
  ConnectError,
  createClient,
  type Transport,
} from "@connectrpc/connect";
import {
  createConnectTransport,
  createGrpcTransport,
  createGrpcWebTransport,
} from "@connectrpc/connect-node";
import { type ErrorCode, NetError } from "../../../src/base/error.ts";
import {
  BadRequestSchema,
  ErrorInfoSchema,
} from "../../../src/gen/google/rpc/error_details_pb.ts";
import { IpamService } from "../../../src/gen/stellar/net/v1/ipam_pb.ts";
import { Network } from "../../../src/gen/stellar/services/network/v1/network_pb.ts";
import {
  ERROR_DOMAIN,
  fromConnectError,
  REASONS,
  RPC_CODES,
  toConnectError,
} from "../../../src/api/messages/errors.ts";
import { invalidField } from "../../../src/api/messages/fields.ts";
import { run } from "../../support/run.ts";
import { withRpcServer } from "../../support/rpc_server.ts";

const TRANSPORTS: Readonly<Record<string, (url: string) => Transport>> = {
  gRPC: (baseUrl) => createGrpcTransport({ baseUrl }),
  "Connect over HTTP/1.1": (baseUrl) =>
    createConnectTransport({ baseUrl, httpVersion: "1.1" }),
  "Connect in JSON": (baseUrl) =>
    createConnectTransport({
      ...{ baseUrl, httpVersion: "1.1", useBinaryFormat: false },
    }),
  "gRPC-Web": (baseUrl) =>
    createGrpcWebTransport({ baseUrl, httpVersion: "1.1" }),
};

/** The error of a call, with its details. */
async function errorOf(call: Promise<unknown>): Promise<
  { code: Code; reason: string; metadata: unknown; fields: string[] }
> {
  const error = await call.then(() => assert.fail("it worked"), (e) => e);
  const { code } = ConnectError.from(error);
  const [info] = ConnectError.from(error).findDetails(ErrorInfoSchema);
  const [bad] = ConnectError.from(error).findDetails(BadRequestSchema);
  assert.equal(info?.domain, ERROR_DOMAIN);
  const fields = bad?.fieldViolations.map(({ field }) => field) ?? [];
  return { code, reason: info.reason, metadata: info.metadata, fields };
}

Deno.test("Python's grpc-status reads the details", async () => {
  await withRpcServer({
    routes: (router) =>
      void router.service(Network, {
        getIP() {
          throw invalidField("id", "it is bad");
        },
      }),
  }, async ({ authority }) => {
    const program = `
import grpc, sys
with grpc.insecure_channel(sys.argv[1]) as channel:
    call = channel.unary_unary("/stellar.services.network.v1.Network/GetIP")
    try:
        call(b"", timeout=10)
    except grpc.RpcError as error:
        print(error.code().name, dict(error.trailing_metadata())["grpc-status-details-bin"])
`;
    const { stdout } = await run("/usr/bin/python3", [
      "-c",
      program,
      authority,
    ]);
    assert.match(
      stdout,
      /^INVALID_ARGUMENT b.*google\.rpc\.ErrorInfo.*INVALID_FIELD.*stellar-net.*BadRequest/,
    );
  });
});

Deno.test("every error has its reason, over every protocol", async (t) => {
  await withRpcServer({
    limits: { maxMessageBytes: 1000 },
    routes: (router) =>
      void router.service(Network, {
        info() {
          throw new NetError("not_found", "none");
        },
        getIP() {
          throw invalidField("id", "it is bad");
        },
        subnets() {
          throw new TypeError("a secret");
        },
        allocateIP() {
          throw new NetError("permission_denied", "ask another", {
            reason: "OTHER_AGENT",
            metadata: { url: "https://198.18.0.2:9000" },
          });
        },
        getSubnet: () => new Promise(() => {}),
      }),
  }, async ({ url }) => {
    for (const [name, create] of Object.entries(TRANSPORTS)) {
      const client = createClient(Network, create(url));
      const other = createClient(IpamService, create(url));
      const late = { "grpc-timeout": "20m", "connect-timeout-ms": "20" };
      const rows: readonly [
        what: string,
        call: () => Promise<unknown>,
        code: Code,
        reason: string,
        metadata?: object,
      ][] = [
        ["a code", () => client.info({}), Code.NotFound, "NOT_FOUND"],
        [
          "a field",
          () => client.getIP({}),
          Code.InvalidArgument,
          "INVALID_FIELD",
          { field: "id" },
        ],
        ["a defect", () => client.subnets({}), Code.Internal, "INTERNAL"],
        [
          "a reason",
          () => client.allocateIP({}),
          Code.PermissionDenied,
          "OTHER_AGENT",
          { url: "https://198.18.0.2:9000" },
        ],
        [
          "a deadline",
          () => client.getSubnet({}, { headers: late }),
          Code.DeadlineExceeded,
          "DEADLINE_EXCEEDED",
        ],
        [
          "a method without a handler",
          () => client.addRoute({}),
          Code.Unimplemented,
          "UNKNOWN_CALL",
        ],
        [
          "an unknown call",
          () => other.checkReady({}),
          Code.Unimplemented,
          "UNKNOWN_CALL",
        ],
        [
          "a message that is too long",
          () => client.getIP({ id: "x".repeat(2000) }),
          Code.ResourceExhausted,
          "EXHAUSTED",
        ],
      ];
      // The library itself writes such an error into a body of gRPC-Web.
      const tried = name === "gRPC-Web" ? rows.slice(0, -1) : rows;
      for (const [what, call, code, reason, metadata = {}] of tried) {
        await t.step(`${name}: ${what}`, async () => {
          const fields = "field" in metadata ? ["id"] : [];
          assert.deepEqual(await errorOf(call()), {
            ...{ code, reason, fields },
            metadata: { ...metadata },
          });
        });
      }
    }
  });
});

Deno.test("fromConnectError() keeps reason and metadata, and toConnectError() passes them on", async () => {
  const first = new NetError("not_found", "none", {
    reason: "OTHER_AGENT",
    metadata: { url: "https://a:1" },
  });
  const second = fromConnectError(toConnectError(first));
  const third = await errorOf(Promise.reject(toConnectError(second)));
  assert.equal(third.reason, "OTHER_AGENT");
  assert.deepEqual({ ...third.metadata as object }, { url: "https://a:1" });
});

Deno.test("REASONS has one reason for each code, and docs/errors.md has them all", async () => {
  const codes = Object.keys(RPC_CODES) as ErrorCode[];
  const reasons = codes.map((code) => REASONS[code]);
  assert.equal(new Set(reasons).size, codes.length);
  const source = await Deno.readTextFile(
    new URL("../../../src/base/error.ts", import.meta.url),
  );
  const union = /export type ErrorReason =([^;]*);/.exec(source)![1]!;
  const all = [...union.matchAll(/"([A-Z_]+)"/g)].map(([, name]) => name!);
  assert.ok(all.length >= codes.length);
  const docs = await Deno.readTextFile(
    new URL("../../../docs/errors.md", import.meta.url),
  );
  assert.deepEqual(all.filter((name) => !docs.includes(`\`${name}\``)), []);
});
