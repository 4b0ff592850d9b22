import assert from "node:assert/strict";
import { fromBinary, type MessageInitShape } from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import { createClient, createRouterTransport } from "@connectrpc/connect";
import {
  ServerReflection,
  type ServerReflectionRequestSchema,
  type ServerReflectionResponse,
} from "../../../src/gen/grpc/reflection/v1/reflection_pb.ts";
import { AgentService } from "../../../src/gen/stellar/net/v1/agent_pb.ts";
import { Network } from "../../../src/gen/stellar/services/network/v1/network_pb.ts";
import { createReflection } from "../../../src/api/server/reflection.ts";

type Request = MessageInitShape<typeof ServerReflectionRequestSchema>;

const AGENT_FILE = "stellar/net/v1/agent.proto";
const REGISTRY_FILE = "stellar/net/v1/registry.proto";
const CLUSTER_FILE = "stellar/net/v1/cluster.proto";
const IPAM_FILE = "stellar/net/v1/ipam.proto";
const IDENTITY_FILE = "stellar/net/v1/identity.proto";
const DURATION_FILE = "google/protobuf/duration.proto";
const TIMESTAMP_FILE = "google/protobuf/timestamp.proto";

/** What the registry's file needs. */
const NEEDED = [IDENTITY_FILE, DURATION_FILE, IPAM_FILE];
const REGISTRY_ALONE = [REGISTRY_FILE, TIMESTAMP_FILE, ...NEEDED];

/** Asks in one stream. Each answer is made short: paths of files, names, or an error's code. */
async function ask(requests: readonly Request[]): Promise<unknown[]> {
  const reflection = createReflection(() => [AgentService, Network]);
  const transport = createRouterTransport((router) =>
    reflection.routes(router)
  );
  const client = createClient(ServerReflection, transport);
  const answers: unknown[] = [];
  const stream = client.serverReflectionInfo((async function* () {
    yield* requests;
  })());
  for await (const response of stream) answers.push(shorten(response));
  return answers;
}

function shorten(
  { messageResponse: { case: kind, value } }: ServerReflectionResponse,
): unknown {
  switch (kind) {
    case "fileDescriptorResponse":
      return value.fileDescriptorProto.map((bytes) =>
        fromBinary(FileDescriptorProtoSchema, bytes).name
      );
    case "listServicesResponse":
      return value.service.map(({ name }) => name);
    case "allExtensionNumbersResponse":
      return { [value.baseTypeName]: value.extensionNumber };
    default:
      return `${value?.errorCode} ${value?.errorMessage}`;
  }
}

function file(value: string): Request {
  return { messageRequest: { case: "fileByFilename", value } };
}

function symbol(value: string): Request {
  return { messageRequest: { case: "fileContainingSymbol", value } };
}

Deno.test("reflection answers each kind of question", async (t) => {
  const agentFiles = [
    ...[AGENT_FILE, TIMESTAMP_FILE, CLUSTER_FILE, IPAM_FILE],
    ...[DURATION_FILE, REGISTRY_FILE, IDENTITY_FILE],
  ];
  const rows: readonly (readonly [string, Request, unknown])[] = [
    ["the services", { messageRequest: { case: "listServices", value: "" } }, [
      "stellar.net.v1.AgentService",
      "stellar.services.network.v1.Network",
    ]],
    ["a file, with those it needs", file(AGENT_FILE), agentFiles],
    ["a file that others need", file(TIMESTAMP_FILE), [TIMESTAMP_FILE]],
    ["no such file", file("a.proto"), '5 no file "a.proto"'],
    ["a service", symbol("stellar.net.v1.AgentService"), agentFiles],
    ["a call", symbol("stellar.net.v1.AgentService.GetStatus"), agentFiles],
    ["a message", symbol("stellar.net.v1.SubnetUsage"), agentFiles],
    ["a field", symbol("stellar.net.v1.SubnetUsage.cidr"), agentFiles],
    [
      "an enum of a file that is needed",
      symbol("stellar.net.v1.SubnetState"),
      REGISTRY_ALONE,
    ],
    [
      "a value of an enum",
      symbol("stellar.net.v1.SUBNET_STATE_OWNED"),
      REGISTRY_ALONE,
    ],
    ["a package", symbol("stellar.net.v1"), '5 no symbol "stellar.net.v1"'],
    ["no such symbol", symbol("a.B"), '5 no symbol "a.B"'],
    ["an extension", {
      messageRequest: {
        case: "fileContainingExtension",
        value: { containingType: "stellar.net.v1.Network", extensionNumber: 7 },
      },
    }, '5 no extension 7 of "stellar.net.v1.Network"'],
    ["extensions of a message", {
      messageRequest: {
        case: "allExtensionNumbersOfType",
        value: "stellar.net.v1.Network",
      },
    }, { "stellar.net.v1.Network": [] }],
    ["extensions of no message", {
      messageRequest: { case: "allExtensionNumbersOfType", value: "a.B" },
    }, '5 no message "a.B"'],
    ["nothing", {}, "3 the request asks for nothing"],
  ];
  for (const [name, request, expected] of rows) {
    await t.step(name, async () => {
      assert.deepEqual(await ask([request]), [expected]);
    });
  }
});

Deno.test("reflection sends a file that others need once a stream, and goes on after errors", async () => {
  assert.deepEqual(
    await ask([
      file(REGISTRY_FILE),
      file("a.proto"),
      file(AGENT_FILE),
      file(REGISTRY_FILE),
    ]),
    [
      REGISTRY_ALONE,
      '5 no file "a.proto"',
      [AGENT_FILE, CLUSTER_FILE],
      [REGISTRY_FILE],
    ],
  );
});

Deno.test("reflection echoes the request", async () => {
  const reflection = createReflection(() => [Network]);
  const transport = createRouterTransport((router) =>
    reflection.routes(router)
  );
  const client = createClient(ServerReflection, transport);
  const stream = client.serverReflectionInfo((async function* () {
    yield { ...symbol("a.B"), host: "h" };
  })());
  for await (const { validHost, originalRequest } of stream) {
    assert.equal(validHost, "h");
    assert.equal(originalRequest?.host, "h");
    assert.deepEqual(
      originalRequest.messageRequest,
      symbol("a.B").messageRequest,
    );
  }
});
