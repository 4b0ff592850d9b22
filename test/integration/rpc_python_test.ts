import assert from "node:assert/strict";
import { toBinary } from "@bufbuild/protobuf";
import {
  file_google_protobuf_empty,
  FileDescriptorProtoSchema,
} from "@bufbuild/protobuf/wkt";
import { file_stellar_services_network_v1_network } from "../../src/gen/stellar/services/network/v1/network_pb.ts";
import { run } from "../support/run.ts";
import { withRpcServer } from "../support/rpc_server.ts";
import { createStubNetwork } from "../support/stub_network.ts";

// Debian's grpcio has no generator: the messages are made from descriptors.
const SCRIPT = `
import base64, json, sys, threading
import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory

given = json.load(sys.stdin)
pool = descriptor_pool.DescriptorPool()
for file in given["files"]:
    pool.Add(descriptor_pb2.FileDescriptorProto.FromString(base64.b64decode(file)))
factory = message_factory.MessageFactory(pool)
service = pool.FindServiceByName(given["service"])

def stub(channel, name):
    method = service.methods_by_name[name]
    request = factory.GetPrototype(method.input_type)
    response = factory.GetPrototype(method.output_type)
    return request, channel.unary_unary(
        "/%s/%s" % (service.full_name, name),
        request_serializer=request.SerializeToString,
        response_deserializer=response.FromString)

def attempt(channel, call):
    request, unary = stub(channel, call["call"])
    message = json_format.ParseDict(call.get("request", {}), request())
    try:
        answer = unary(message, timeout=call.get("timeout", 10),
                       compression=grpc.Compression.Gzip if call.get("gzip") else None)
        return {"answer": json_format.MessageToDict(answer)}
    except grpc.RpcError as error:
        # The client's clock and the server's race: the words are of either.
        late = error.code() == grpc.StatusCode.DEADLINE_EXCEEDED
        return {"code": error.code().name, "details": "late" if late else error.details()}

results = {}
for target in given["targets"]:
    with grpc.insecure_channel(target) as channel:
        results[target] = [attempt(channel, call) for call in given["calls"]]

# Many threads share one connection.
with grpc.insecure_channel(given["targets"][0]) as channel:
    request, unary = stub(channel, "AllocateIP")
    got = []
    def work(thread):
        for i in range(25):
            name = "%d-%d" % (thread, i)
            got.append(unary(request(id=name), timeout=10).ip == name)
    threads = [threading.Thread(target=work, args=(n,)) for n in range(16)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
results["threads"] = [len(got), all(got)]
json.dump(results, sys.stdout)
`;

Deno.test("Python's grpcio calls over TCP and the socket", async () => {
  const { routes } = createStubNetwork();
  await withRpcServer({ routes }, async ({ authority, socketPath }) => {
    const targets = [authority, `unix:${socketPath}`];
    const id = "x".repeat(3000);
    const calls = [
      { call: "Info" },
      { call: "AllocateIP", request: { id: "a", node: "b" } },
      { call: "AllocateIP", request: { id }, gzip: true },
      { call: "GetIP", request: { id: "x" } },
      { call: "Subnets" },
      { call: "Routes" },
      { call: "GetSubnet", timeout: 0.2 },
    ];
    const expected = [
      { answer: { id: "stellar.services.network.v1" } },
      { answer: { ip: "a", node: "b" } },
      { answer: { ip: id } },
      {
        code: "NOT_FOUND",
        details: 'Cannot find "x": é, 100 %, it is not there',
      },
      {
        code: "INTERNAL",
        details: "internal error; the agent's log has the cause",
      },
      {
        code: "UNIMPLEMENTED",
        details:
          "stellar.services.network.v1.Network.Routes is not implemented",
      },
      { code: "DEADLINE_EXCEEDED", details: "late" },
    ];
    const { code, stdout, stderr } = await run(
      "/usr/bin/python3",
      ["-c", SCRIPT],
      {
        stdin: JSON.stringify({
          files: [
            file_google_protobuf_empty,
            file_stellar_services_network_v1_network,
          ].map(({ proto }) =>
            toBinary(FileDescriptorProtoSchema, proto).toBase64()
          ),
          service: "stellar.services.network.v1.Network",
          targets,
          calls,
        }),
      },
    );
    assert.equal(code, 0, stderr);
    assert.deepEqual(JSON.parse(stdout), {
      [targets[0]!]: expected,
      [targets[1]!]: expected,
      threads: [400, true],
    });
  });
});
