import assert from "node:assert/strict";
import { type ClientHttp2Session, connect, constants } from "node:http2";
import {
  type DescMethod,
  type DescService,
  fromJson,
  type JsonValue,
  toBinary,
} from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";
import { Health } from "../../src/gen/grpc/health/v1/health_pb.ts";
import { ServerReflection } from "../../src/gen/grpc/reflection/v1/reflection_pb.ts";
import { ServerReflection as ServerReflectionAlpha } from "../../src/gen/grpc/reflection/v1alpha/reflection_pb.ts";
import { AgentService } from "../../src/gen/stellar/net/v1/agent_pb.ts";
import { IdentityService } from "../../src/gen/stellar/net/v1/identity_pb.ts";
import { IpamService } from "../../src/gen/stellar/net/v1/ipam_pb.ts";
import { RegistryService } from "../../src/gen/stellar/net/v1/registry_pb.ts";
import { Network } from "../../src/gen/stellar/services/network/v1/network_pb.ts";
import { residentMiB } from "../bench/proc_stat.ts";
import { REQUESTS } from "../integration/bad_fields.ts";
import { writeFakeIp } from "../support/fake_ip.ts";
import {
  drawFuzz,
  fuzzedBytes,
  fuzzedJson,
  fuzzedText,
  Tally,
} from "../support/fuzz.ts";
import { spawnAgent, type SpawnedAgent } from "../support/spawn_agent.ts";
import { SteadyClient } from "../support/steady_client.ts";
import { withTempDir } from "../support/temp_dir.ts";

/** Inputs for each call and each encoding. */
const RUNS = 60;
const AT_ONCE = 16;
const MAX_CALL_MS = 120_000;
/** What the agent may have taken in addition at the end, garbage included. */
const MAX_GROWTH_MIB = 300;

const SERVICES: readonly DescService[] = [
  ...[Network, IpamService, RegistryService, AgentService, IdentityService],
  ...[Health, ServerReflection, ServerReflectionAlpha],
];

/** Calls that are not fuzzed, and why. */
const LEFT_OUT: Readonly<Record<string, string>> = {
  "stellar.net.v1.AgentService/Leave":
    "an empty request is right, and the agent then hands nothing out any more",
};

/** Codes that say that the agent itself is wrong. */
const DEFECTS = [Code.Unknown, Code.Internal, Code.DataLoss];

function nameOf(method: DescMethod): string {
  return `${method.parent.typeName}/${method.name}`;
}

const METHODS = SERVICES.flatMap(({ methods }) => methods)
  .filter((method) => !(nameOf(method) in LEFT_OUT));

/** Runs an agent and a steady client, and checks that both are well in the end. */
async function withFuzzedAgent(
  tally: Tally,
  use: (agent: SpawnedAgent) => Promise<void>,
): Promise<void> {
  await withTempDir(async (dir) => {
    const env = await writeFakeIp(dir);
    const args = ["--store", "kv::memory:"];
    await using agent = await spawnAgent({ args, env });
    await using steady = new SteadyClient(agent);
    await steady.serves();
    const before = residentMiB(agent.pid);
    await use(agent);
    await steady.serves();
    await steady.stop();
    const after = residentMiB(agent.pid);
    tally.print();
    console.log(
      `  memory: ${before.toFixed()} MiB before, ${after.toFixed()} MiB after; ` +
        `steady client: ${steady.rounds} rounds, slowest answer ` +
        `${steady.slowestMs.toFixed()} ms`,
    );
    assert.ok(after - before < MAX_GROWTH_MIB, `it grew by ${after - before}`);
    assert.doesNotMatch(agent.stderr, /Cannot answer|Uncaught|panicked/);
    assert.equal(await agent.stop(), 0);
  });
}

/** Does work on all inputs, some at once. */
async function forAll<T>(
  inputs: readonly T[],
  work: (input: T) => Promise<void>,
): Promise<void> {
  const left = inputs.values();
  const worker = async () => {
    for (const input of left) await work(input);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
}

/** A right request, as JSON. */
function requestOf(method: DescMethod): JsonValue {
  return (REQUESTS[nameOf(method)] ?? {}) as JsonValue;
}

Deno.test("every call over gRPC answers whatever bytes are sent", async () => {
  const tally = new Tally("gRPC calls");
  await withFuzzedAgent(tally, async (agent) => {
    const session = connect(agent.url);
    try {
      for (const method of METHODS) {
        const request = requestOf(method);
        const right = toBinary(method.input, fromJson(method.input, request));
        const bodies = drawFuzz(
          fuzzedBytes([envelope(right), envelope(right).slice(5)]),
          RUNS,
        ).map((bytes, i) => i % 2 === 0 ? bytes : envelope(bytes));
        await forAll(bodies, async (body) => {
          const code = await callGrpc(session, method, body);
          assert.ok(
            !DEFECTS.includes(code),
            `${nameOf(method)} of [${body}] gave ${Code[code]}`,
          );
          tally.add(Code[code] ?? "OK");
        });
      }
    } finally {
      session.destroy();
    }
  });
  assert.equal(tally.total, METHODS.length * RUNS);
});

/** What gRPC says when all is well; Connect has no name for it. */
const OK = 0 as Code;

function callGrpc(
  session: ClientHttp2Session,
  method: DescMethod,
  body: Uint8Array,
): Promise<Code> {
  const stream = session.request({
    ":method": "POST",
    ":path": `/${nameOf(method)}`,
    "content-type": "application/grpc+proto",
    te: "trailers",
  });
  return new Promise<Code>((resolve, reject) => {
    const timer = setTimeout(() => {
      stream.close(constants.NGHTTP2_CANCEL);
      reject(new Error(`${nameOf(method)} of [${body}] did not answer`));
    }, MAX_CALL_MS);
    const answer = (code: Code) => {
      clearTimeout(timer);
      resolve(code);
    };
    const readStatus = (headers: Record<string, unknown>) => {
      const status = headers["grpc-status"];
      if (status !== undefined) answer(Number(status));
    };
    stream.on("response", (headers) => {
      readStatus(headers);
      assert.equal(headers[":status"], 200);
    });
    stream.on("trailers", readStatus);
    stream.on("data", () => {
      if (method.methodKind === "unary") return;
      // A stream that has begun may go on for ever.
      answer(OK);
      stream.close(constants.NGHTTP2_CANCEL);
    });
    stream.on("error", (error) => {
      clearTimeout(timer);
      reject(error);
    });
    stream.end(body);
  });
}

function envelope(message: Uint8Array): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(5 + message.length);
  new DataView(bytes.buffer).setUint32(1, message.length);
  bytes.set(message, 5);
  return bytes;
}

Deno.test("every call over Connect answers whatever JSON and bytes are sent", async () => {
  const tally = new Tally("Connect calls");
  const unary = METHODS.filter(({ methodKind }) => methodKind === "unary");
  await withFuzzedAgent(tally, async (agent) => {
    for (const method of unary) {
      const request = requestOf(method);
      const values = drawFuzz(fuzzedJson([request]), RUNS / 2)
        .map((value) => JSON.stringify(value) ?? "");
      const texts = drawFuzz(fuzzedText([JSON.stringify(request)]), RUNS / 2);
      const right = toBinary(method.input, fromJson(method.input, request));
      const messages = drawFuzz(fuzzedBytes([right]), RUNS / 2);
      const bodies = [...values, ...texts, ...messages];
      await forAll(bodies, async (body) => {
        const code = await callConnect(agent, method, body);
        assert.ok(
          !["internal", "unknown", "data_loss"].includes(code),
          `${nameOf(method)} of ${JSON.stringify(body)} gave ${code}`,
        );
        tally.add(code);
      });
    }
  });
  assert.equal(tally.total, unary.length * RUNS * 3 / 2);
});

async function callConnect(
  agent: SpawnedAgent,
  method: DescMethod,
  body: string | Uint8Array<ArrayBuffer>,
): Promise<string> {
  const format = typeof body === "string" ? "json" : "proto";
  const response = await fetch(`${agent.url}/${nameOf(method)}`, {
    method: "POST",
    headers: { "content-type": `application/${format}` },
    body,
    signal: AbortSignal.timeout(MAX_CALL_MS),
  });
  const bytes = await response.arrayBuffer();
  if (response.status === 200) return "ok";
  const answer = JSON.parse(new TextDecoder().decode(bytes));
  assert.equal(typeof answer.code, "string", `HTTP status ${response.status}`);
  assert.doesNotMatch(answer.message ?? "", /[\p{Cc}\p{Bidi_Control}]/u);
  return answer.code;
}
