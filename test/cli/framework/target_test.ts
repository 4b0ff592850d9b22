import assert from "node:assert/strict";
import { runFake } from "../fake_io.ts";

const URL = "https://198.18.0.1:9000";
const PLAIN = "http://127.0.0.1:9000";

Deno.test("clients call the agent, with the identity, that the flags name", async (t) => {
  const rows: readonly [
    args: string,
    env: Readonly<Record<string, string>>,
    target: Readonly<Record<string, string>>,
  ][] = [
    ["--socket a.sock", {}, { socketPath: "a.sock" }],
    ["--identity d", {}, { identity: "d" }],
    [`--identity d --url ${URL}`, {}, { identity: "d", url: URL }],
    [`--url ${PLAIN}`, {}, { url: PLAIN }],
    ["--url http://[::1]:9000", {}, { url: "http://[::1]:9000" }],
    ["--url http://localhost:9000", {}, { url: "http://localhost:9000" }],
    ["", { IDENTITY: "d" }, { identity: "d" }],
    ["", { IDENTITY: "d", URL }, { identity: "d", url: URL }],
    ["", { IDENTITY: "d", SOCKET: "a.sock" }, { identity: "d" }],
    ["--socket b.sock", { IDENTITY: "d", URL }, { socketPath: "b.sock" }],
    ["--identity d", { SOCKET: "a.sock" }, { identity: "d" }],
    [`--url ${PLAIN}`, { IDENTITY: "d" }, { url: PLAIN }],
  ];
  const agent = { getStatus: () => ({}), examine: () => ({}) };
  for (const [args, env, target] of rows) {
    await t.step(`${args} ${JSON.stringify(env)}`, async () => {
      const variables = Object.fromEntries(
        Object.entries(env).map(([name, v]) => [`STELLAR_NET_${name}`, v]),
      );
      const words = args === "" ? [] : args.split(" ");
      for (const line of [["doctor", ...words], [...words, "doctor"]]) {
        const run = await runFake(line, { agent, env: variables });
        assert.deepEqual([run.code, run.targets], [0, [{
          ...target,
          timeoutMs: 30_000,
        }]], run.stderr);
      }
    });
  }
});

Deno.test("clients refuse flags that do not go together, with exit code 2", async (t) => {
  const rows: readonly [args: string, said: string][] = [
    [
      "--socket a.sock --identity d",
      "--socket does not go with --identity: remove one of the two",
    ],
    [
      `--socket a.sock --url ${PLAIN}`,
      "--socket does not go with --url: remove one of the two",
    ],
    [
      `--url ${URL}`,
      `--url: "${URL}" needs a client certificate: name an identity with --identity`,
    ],
    [
      "--identity d --url http://198.18.0.1:9000",
      '--url: "http://198.18.0.1:9000" is plain text: write "https://";',
    ],
    [
      "--url http://198.18.0.1:9000",
      '--url: "http://198.18.0.1:9000" is plain text: write "https://"',
    ],
    [
      `--url ${PLAIN} --identity d`,
      `--url: "${PLAIN}" is plain text, which does not go with --identity`,
    ],
  ];
  for (const [args, said] of rows) {
    await t.step(args, async () => {
      const run = await runFake(["status", ...args.split(" ")]);
      assert.equal(run.code, 2);
      assert.ok(run.stderr.includes(said), run.stderr);
      assert.deepEqual(run.targets, []);
    });
  }
});

Deno.test("support-bundle calls the agent that its flags name for every part", async () => {
  const args = ["support-bundle", "x.tgz", "--identity", "d", "--url", URL];
  const run = await runFake(args);
  assert.equal(run.code, 0);
  assert.ok(run.targets.length > 10);
  for (const target of run.targets) {
    assert.deepEqual({ ...target, timeoutMs: 0 }, {
      identity: "d",
      url: URL,
      timeoutMs: 0,
    });
  }
});
