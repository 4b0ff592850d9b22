import assert from "node:assert/strict";
import { runFake } from "../fake_io.ts";

const LINK = "http://127.0.0.1:40000/?key=secret";

Deno.test("ui prints the link alone on stdout, and how to use it beside", async () => {
  const { code, stdout, stderr, maps } = await runFake(["ui"], {
    hostname: "host7",
  });
  assert.equal(code, 0);
  assert.equal(stdout, `${LINK}\n`);
  assert.match(stderr, /works once/);
  assert.match(stderr, /ssh -L 40000:127\.0\.0\.1:40000 host7$/m);
  assert.deepEqual(maps, [{
    socketPath: "/run/stellar-net/agent.sock",
    timeoutMs: 10_000,
    port: undefined,
  }]);
});

Deno.test("ui --json prints the link and the port", async () => {
  const { stdout } = await runFake(["ui", "--json"]);
  assert.deepEqual(JSON.parse(stdout), {
    schemaVersion: 1,
    link: LINK,
    port: 40_000,
  });
});

Deno.test("ui calls the agent that the flags name, with their identity", async () => {
  const url = "https://198.18.0.11:9000";
  const { maps } = await runFake(
    ["ui", "--port", "8080", "--identity", "dir", "--url", url],
  );
  assert.deepEqual(maps, [
    { identity: "dir", url, timeoutMs: 10_000, port: 8080 },
  ]);
});

Deno.test("ui refuses what is no port", async (t) => {
  for (const port of ["0", "65536", "-1", "http", ""]) {
    await t.step(port, async () => {
      const { code, stderr, maps } = await runFake(["ui", `--port=${port}`]);
      assert.equal(code, 2);
      assert.match(stderr, /--port: .* is not a whole number from 1 to 65535/);
      assert.deepEqual(maps, []);
    });
  }
});
