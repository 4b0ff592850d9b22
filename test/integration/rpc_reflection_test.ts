import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import * as grpc from "@grpc/grpc-js";
import { loadFileDescriptorSetFromBuffer } from "@grpc/proto-loader";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import {
  type FileDescriptorProto,
  FileDescriptorProtoSchema,
  FileDescriptorSetSchema,
} from "@bufbuild/protobuf/wkt";
import { createGrpcJsClient, wrap } from "../support/grpc_js.ts";
import { withRpcServer } from "../support/rpc_server.ts";
import { createStubNetwork } from "../support/stub_network.ts";

const SERVICE = "stellar.services.network.v1.Network";

/** An answer as grpc-js has it. */
interface Answer {
  readonly list_services_response?: { readonly service: { name: string }[] };
  readonly file_descriptor_response?: {
    readonly file_descriptor_proto: Uint8Array[];
  };
  readonly error_response?: { readonly error_code: number };
}

/** Asks each question in turn over one stream. */
async function reflect(
  authority: string,
  version: string,
  questions: readonly Record<string, string>[],
): Promise<Answer[]> {
  const client = createGrpcJsClient(authority, {
    file: `grpc/reflection/${version}/reflection.proto`,
    service: `grpc.reflection.${version}.ServerReflection`,
    keepCase: true,
  });
  const open = client.raw.ServerReflectionInfo as unknown as () =>
    grpc.ClientDuplexStream<Record<string, string>, Answer>;
  const stream = open.call(client.raw);
  for (const question of questions) stream.write(question);
  stream.end();
  const answers: Answer[] = [];
  for await (const answer of stream) answers.push(answer);
  client.close();
  return answers;
}

for (const version of ["v1", "v1alpha"]) {
  Deno.test(`a client that knows reflection ${version} alone finds and makes a call`, async () => {
    const { routes } = createStubNetwork();
    await withRpcServer({ routes }, async ({ authority }) => {
      const [services, files, missing] = await reflect(authority, version, [
        { list_services: "" },
        { file_containing_symbol: SERVICE },
        { file_by_filename: "missing.proto" },
      ]);
      assert.deepEqual(
        services?.list_services_response?.service.map(({ name }) => name),
        [
          "grpc.health.v1.Health",
          "grpc.reflection.v1.ServerReflection",
          "grpc.reflection.v1alpha.ServerReflection",
          SERVICE,
        ],
      );
      assert.equal(missing?.error_response?.error_code, grpc.status.NOT_FOUND);
      const file: FileDescriptorProto[] = files!.file_descriptor_response!
        .file_descriptor_proto.map((bytes) =>
          fromBinary(FileDescriptorProtoSchema, bytes)
        );
      const set = create(FileDescriptorSetSchema, { file });
      const definition = loadFileDescriptorSetFromBuffer(
        Buffer.from(toBinary(FileDescriptorSetSchema, set)),
      );
      const Client = grpc.makeGenericClientConstructor(
        definition[SERVICE] as grpc.ServiceDefinition,
        SERVICE,
      );
      const client = wrap(
        new Client(authority, grpc.credentials.createInsecure()),
      );
      assert.deepEqual(
        await client.call("AllocateIP", { id: "a", node: "b" }),
        { ip: "a", node: "b" },
      );
      client.close();
    });
  });
}
