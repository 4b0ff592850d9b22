import assert from "node:assert/strict";
import { timestampFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import { type Handlers, NOW_MS, runFake } from "../fake_io.ts";

const agent: Handlers["agent"] = {
  listAudit: () => ({
    records: [
      {
        at: timestampFromMs(NOW_MS),
        caller: "operator alice",
        from: "198.18.0.7",
        call: "RemoveNode",
        subject: "n3",
        outcome: "ok",
      },
      {
        at: timestampFromMs(NOW_MS - 1_000),
        caller: "socket",
        call: "AddRoute",
        outcome: "permission_denied",
        message: "Cannot call it\u001b[2J",
      },
    ],
  }),
};

Deno.test("audit prints a row a record, safe for a terminal", async () => {
  const run = await runFake(["audit"], { agent });
  assert.deepEqual([run.code, run.stderr], [0, ""]);
  assert.equal(
    run.stdout,
    `\
TIME                  CALLER          FROM        CALL        SUBJECT  OUTCOME
2026-01-02 03:04:05Z  operator alice  198.18.0.7  RemoveNode  n3       ok
2026-01-02 03:04:04Z  socket          -           AddRoute    -        permission_denied: Cannot call it\\u001b[2J
`,
  );
});

Deno.test("audit prints an object for programs", async () => {
  const run = await runFake(["audit", "--json"], { agent });
  assert.deepEqual(JSON.parse(run.stdout).records[0], {
    at: "2026-01-02T03:04:05.000Z",
    caller: "operator alice",
    from: "198.18.0.7",
    call: "RemoveNode",
    subject: "n3",
    outcome: "ok",
    message: null,
  });
});

Deno.test("audit selects records by its flags, and says that there may be more", async (t) => {
  const rows: readonly [
    args: readonly string[],
    asked: readonly unknown[],
    stderr: string,
  ][] = [
    [[], [50, undefined, "", "", false], "No record matches\n"],
    [
      ["--since", "24h", "--caller", "operator alice", "--failed"],
      [50, NOW_MS - 86_400_000, "operator alice", "", true],
      "No record matches\n",
    ],
    [
      ["--call", "RemoveNode", "--limit", "1"],
      [1, undefined, "", "RemoveNode", false],
      "There may be more than these 1: --limit shows more\n",
    ],
  ];
  for (const [args, asked, stderr] of rows) {
    await t.step(args.join(" "), async () => {
      const requests: unknown[] = [];
      const run = await runFake(["audit", ...args], {
        agent: {
          listAudit: ({ pageSize, since, caller, call, failed }) => {
            const sinceMs = since && timestampMs(since);
            requests.push([pageSize, sinceMs, caller, call, failed]);
            return { records: Array(pageSize === 1 ? 1 : 0).fill({}) };
          },
        },
      });
      assert.deepEqual(requests, [asked]);
      assert.equal(run.stderr, stderr);
    });
  }
});
