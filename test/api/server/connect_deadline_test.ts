import assert from "node:assert/strict";
import { clampDeadline } from "../../../src/api/server/call.ts";

Deno.test("clampDeadline() shortens late deadlines and sets missing ones", async (t) => {
  const rows: readonly (readonly [
    name: string,
    header: "grpc-timeout" | "connect-timeout-ms",
    given: string | undefined,
    maxMs: number | undefined,
    expected: string | null,
  ])[] = [
    ["gRPC, earlier", "grpc-timeout", "250m", 300_000, "250m"],
    ["gRPC, exactly", "grpc-timeout", "5M", 300_000, "5M"],
    ["gRPC, later", "grpc-timeout", "6M", 300_000, "300000m"],
    ["gRPC, nanoseconds", "grpc-timeout", "99999999n", 300_000, "99999999n"],
    ["gRPC, none", "grpc-timeout", undefined, 300_000, "300000m"],
    ["gRPC, none and no most", "grpc-timeout", undefined, undefined, null],
    ["gRPC, for ever", "grpc-timeout", "99999999H", undefined, "2147483S"],
    ["gRPC, unreadable", "grpc-timeout", "soon", 300_000, "soon"],
    ["Connect, earlier", "connect-timeout-ms", "250", 300_000, "250"],
    ["Connect, later", "connect-timeout-ms", "300001", 300_000, "300000"],
    ["Connect, none", "connect-timeout-ms", undefined, 1000, "1000"],
    [
      "Connect, none and no most",
      "connect-timeout-ms",
      undefined,
      undefined,
      null,
    ],
    [
      "Connect, for ever",
      "connect-timeout-ms",
      "9999999999",
      undefined,
      "2147483647",
    ],
    ["Connect, unreadable", "connect-timeout-ms", "-1", 1000, "-1"],
  ];
  for (const [name, header, given, maxMs, expected] of rows) {
    await t.step(name, () => {
      const headers = new Headers({
        "content-type": header === "grpc-timeout"
          ? "application/grpc"
          : "application/json",
      });
      if (given !== undefined) headers.set(header, given);
      clampDeadline(headers, maxMs);
      assert.equal(headers.get(header), expected);
    });
  }
});
