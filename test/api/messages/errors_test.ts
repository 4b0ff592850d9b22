import { answerCalls } from "../../../src/api/server/call.ts";
import assert from "node:assert/strict";
import {
  Code,
  ConnectError,
  createClient,
  createRouterTransport,
} from "@connectrpc/connect";
import { configure, type LogRecord, reset } from "@logtape/logtape";
import { type ErrorCode, NetError } from "../../../src/base/error.ts";
import { Network } from "../../../src/gen/stellar/services/network/v1/network_pb.ts";
import {
  ERROR_CODES,
  fromConnectError,
  INTERNAL_MESSAGE,
  RPC_CODES,
  toConnectError,
} from "../../../src/api/messages/errors.ts";

/** Collects what is logged while a function runs. */
async function collectLogs(
  use: () => Promise<void> | void,
): Promise<LogRecord[]> {
  const records: LogRecord[] = [];
  await configure({
    reset: true,
    sinks: { list: (record) => records.push(record) },
    loggers: [
      { category: ["logtape", "meta"], sinks: [] },
      { category: "stellar-net", sinks: ["list"], lowestLevel: "debug" },
    ],
  });
  try {
    await use();
  } finally {
    await reset();
  }
  return records;
}

Deno.test("RPC_CODES and ERROR_CODES lead from each error code to itself", () => {
  const codes = Object.keys(RPC_CODES) as ErrorCode[];
  assert.equal(new Set(Object.values(RPC_CODES)).size, codes.length);
  for (const code of codes) assert.equal(ERROR_CODES[RPC_CODES[code]], code);
});

Deno.test("ERROR_CODES has every RPC code", () => {
  const codes = Object.values(Code).filter((code) => typeof code === "number");
  assert.equal(codes.length, 16);
  for (const code of codes) assert.ok(ERROR_CODES[code] in RPC_CODES);
});

Deno.test("toConnectError() keeps code and message of errors that callers act on", () => {
  const rows: readonly [error: unknown, code: Code, message: string][] = [
    [new NetError("not_found", "no x"), Code.NotFound, "no x"],
    [new NetError("exhausted", "full"), Code.ResourceExhausted, "full"],
    [new ConnectError("odd", Code.DataLoss), Code.DataLoss, "odd"],
    [new DOMException("x", "AbortError"), Code.Canceled, "the caller has gone"],
    [
      new DOMException("x", "TimeoutError"),
      Code.DeadlineExceeded,
      "the time is up",
    ],
  ];
  for (const [error, code, message] of rows) {
    const converted = toConnectError(error);
    assert.equal(converted.code, code);
    assert.equal(converted.rawMessage, message);
  }
});

Deno.test("toConnectError() logs the cause of a defect and sends none of it", async () => {
  const rows: readonly unknown[] = [
    new TypeError("a secret"),
    new NetError("internal", "a secret"),
    "a secret",
    undefined,
  ];
  for (const defect of rows) {
    const records = await collectLogs(() => {
      const { code, rawMessage, cause, details } = toConnectError(
        defect,
        "x.Y/Z",
      );
      assert.equal(code, Code.Internal);
      assert.equal(rawMessage, INTERNAL_MESSAGE);
      assert.equal(cause, undefined);
      const values = details.map((detail) => "value" in detail && detail.value);
      assert.deepEqual(values, [
        { reason: "INTERNAL", domain: "stellar-net", metadata: {} },
      ]);
    });
    assert.deepEqual(
      records.map(({ category, level, properties }) => ({
        category,
        level,
        properties,
      })),
      [{
        category: ["stellar-net", "rpc"],
        level: "error",
        properties: { call: "x.Y/Z", error: defect },
      }],
    );
  }
});

Deno.test("fromConnectError() gives a NetError with the sent message", () => {
  const known = new NetError("not_found", "x");
  assert.equal(fromConnectError(known), known);
  const rows: readonly [error: unknown, code: ErrorCode, message: string][] = [
    [new ConnectError("full", Code.ResourceExhausted), "exhausted", "full"],
    [new ConnectError("gone", Code.Aborted), "unavailable", "gone"],
    [new Error("odd"), "internal", "odd"],
    ["odd", "internal", "odd"],
  ];
  for (const [error, code, message] of rows) {
    const converted = fromConnectError(error);
    assert.equal(converted.name, "NetError");
    assert.equal(converted.code, code);
    assert.equal(converted.message, message);
    assert.equal(converted.cause, error);
  }
});

Deno.test("answerCalls() answers at the deadline though the handler goes on", async () => {
  const end = Promise.withResolvers<void>();
  const transport = createRouterTransport(({ service }) => {
    service(Network, {
      async info() {
        await end.promise;
        return {};
      },
      getIP() {
        throw new NetError("exhausted", "full");
      },
    });
  }, { router: { interceptors: [answerCalls({})] } });
  const client = createClient(Network, transport);
  await assert.rejects(client.info({}, { timeoutMs: 50 }), {
    code: Code.DeadlineExceeded,
  });
  await assert.rejects(client.getIP({}), {
    code: Code.ResourceExhausted,
    rawMessage: "full",
  });
  end.resolve();
});
