import assert from "node:assert/strict";
import { run } from "../support/run.ts";
import { type RunningServer, withRpcServer } from "../support/rpc_server.ts";
import { createStubNetwork } from "../support/stub_network.ts";

const SERVICE = "stellar.services.network.v1.Network";
const JSON_TYPE = "application/json";

/** What curl got: the status, the type of the body, and the body. */
interface Answer {
  readonly status: number;
  readonly type: string;
  readonly body: string;
}

/** Every way in: HTTP version, and TCP or the socket. */
const WAYS: readonly (readonly [
  name: string,
  args: (running: RunningServer) => readonly string[],
])[] = [
  ["HTTP/1.1 over tcp", () => ["--http1.1"]],
  ["HTTP/2 over tcp", () => ["--http2-prior-knowledge"]],
  ["HTTP/1.1 over unix", ({ socketPath }) => [
    "--http1.1",
    "--unix-socket",
    socketPath,
  ]],
  ["HTTP/2 over unix", ({ socketPath }) => [
    "--http2-prior-knowledge",
    "--unix-socket",
    socketPath,
  ]],
];

async function curl(url: string, args: readonly string[]): Promise<Answer> {
  const { code, stdout, stderr } = await run("curl", [
    "--silent",
    "--show-error",
    "--max-time",
    "10",
    "--write-out",
    "\n%{http_code} %{content_type}",
    ...args,
    url,
  ]);
  assert.equal(code, 0, stderr);
  const end = stdout.lastIndexOf("\n");
  const [status = "", ...type] = stdout.slice(end + 1).split(" ");
  return {
    status: Number(status),
    type: type.join(" "),
    body: stdout.slice(0, end),
  };
}

/** The arguments of a call with a body of JSON. */
function json(body: string, ...args: string[]): string[] {
  return ["--header", `content-type: ${JSON_TYPE}`, "--data", body, ...args];
}

for (const [name, way] of WAYS) {
  Deno.test(`curl with JSON, ${name}`, async (t) => {
    const { routes } = createStubNetwork();
    await withRpcServer({ routes }, async (running) => {
      const rows: readonly (readonly [
        name: string,
        call: string,
        args: readonly string[],
        status: number,
        body: unknown,
      ])[] = [
        ["an answer", "AllocateIP", json('{"id":"a","node":"b"}'), 200, {
          ip: "a",
          node: "b",
        }],
        ["the name in the proto", "Info", json("{}"), 200, {
          id: "stellar.services.network.v1",
        }],
        ["an error of the handler", "GetIP", json('{"id":"x"}'), 404, {
          code: "not_found",
          message: 'Cannot find "x": é, 100 %, it is not there',
        }],
        ["a defect of the handler", "Subnets", json("{}"), 500, {
          code: "internal",
          message: "internal error; the agent's log has the cause",
        }],
        [
          "a deadline",
          "GetSubnet",
          json("{}", "--header", "connect-timeout-ms: 100"),
          504,
          { code: "deadline_exceeded", message: "the operation timed out" },
        ],
        ["no such call", "Nope", json("{}"), 404, {
          code: "unimplemented",
          message: `Cannot call "/${SERVICE}/Nope": the agent has no such call`,
        }],
      ];
      for (const [name, call, args, status, body] of rows) {
        await t.step(name, async () => {
          const answer = await curl(`${running.url}/${SERVICE}/${call}`, [
            ...way(running),
            ...args,
          ]);
          assert.equal(answer.status, status);
          assert.equal(answer.type, JSON_TYPE);
          // The details of errors have tests of their own.
          const { details: _, ...said } = JSON.parse(answer.body);
          assert.deepEqual(said, body);
        });
      }
    });
  });
}

Deno.test("curl: what is no call is refused", async (t) => {
  const { routes } = createStubNetwork();
  await withRpcServer({ routes }, async ({ url }) => {
    const rows: readonly (readonly [
      name: string,
      path: string,
      args: readonly string[],
      status: number,
    ])[] = [
      ["the root", "/", [], 404],
      ["a path that goes up", "/../../etc/passwd", ["--path-as-is"], 404],
      ["GET of a change", `/${SERVICE}/AllocateIP`, [], 405],
      ["GET of a read without a message", `/${SERVICE}/Info`, [], 415],
      ["PUT", `/${SERVICE}/Info`, json("{}", "--request", "PUT"), 405],
      ["another content type", `/${SERVICE}/Info`, [
        "--header",
        "content-type: text/plain",
        "--data",
        "{}",
      ], 415],
      ["text that is not JSON", `/${SERVICE}/Info`, json("{"), 400],
      [
        "JSON of another shape",
        `/${SERVICE}/AllocateIP`,
        json('{"id":[1]}'),
        400,
      ],
      [
        "an invalid deadline",
        `/${SERVICE}/Info`,
        json(
          "{}",
          "--header",
          "connect-timeout-ms: soon",
        ),
        400,
      ],
      [
        "a header that is too large",
        `/${SERVICE}/Info`,
        json(
          "{}",
          "--header",
          `x-large: ${"x".repeat(17_000)}`,
        ),
        431,
      ],
    ];
    for (const [name, path, args, status] of rows) {
      for (const version of ["--http1.1", "--http2-prior-knowledge"]) {
        await t.step(`${name}, ${version}`, async () => {
          const answer = await curl(url + path, [version, ...args]);
          assert.equal(answer.status, status, answer.body);
        });
      }
    }
  });
});

Deno.test("curl: a message above the limit is RESOURCE_EXHAUSTED", async () => {
  const { routes } = createStubNetwork();
  const limits = { maxMessageBytes: 1000 };
  await withRpcServer({ routes, limits }, async ({ url }) => {
    const call = `${url}/${SERVICE}/AllocateIP`;
    for (const version of ["--http1.1", "--http2-prior-knowledge"]) {
      const body = JSON.stringify({ id: "x".repeat(1000) });
      const answer = await curl(call, [version, ...json(body)]);
      assert.equal(answer.status, 429, version);
      assert.equal(JSON.parse(answer.body).code, "resource_exhausted");
    }
  });
});

Deno.test("curl: gRPC-Web calls get answers and errors in their trailers", async (t) => {
  const { routes } = createStubNetwork();
  await withRpcServer({ routes }, async (running) => {
    // AllocateIPRequest {id: "a", node: "b"} in an envelope.
    const request = new Uint8Array([0, 0, 0, 0, 6, 10, 1, 97, 26, 1, 98]);
    const file = `${running.socketPath}.request`;
    await Deno.writeFile(file, request);
    const args = ["--data-binary", `@${file}`];
    args.push("--header", "content-type: application/grpc-web+proto");
    for (const [name, way] of WAYS) {
      await t.step(name, async () => {
        const all = [...way(running), ...args];
        const good = await curl(`${running.url}/${SERVICE}/AllocateIP`, all);
        assert.equal(good.status, 200);
        assert.equal(good.type, "application/grpc-web+proto");
        // AllocateIPResponse {ip: "a", node: "b"}, then the trailers.
        assert.ok(good.body.startsWith("\0\0\0\0\u0006\n\u0001a\u0012\u0001b"));
        assert.match(good.body, /grpc-status: 0/);
        const bad = await curl(`${running.url}/${SERVICE}/GetIP`, all);
        assert.equal(bad.status, 200);
        assert.match(bad.body, /grpc-status: 5/);
      });
    }
  });
});
