import assert from "node:assert/strict";
import {
  formatGreeting,
  formatProgram,
} from "../../../src/cli/commands/agent_greeting.ts";

const AGENT = { program: "stellar-net", node: "h1", socketPath: "/run/a.sock" };

Deno.test("formatGreeting() has an example for curl where plain text is taken", () => {
  const addresses = ["198.18.0.1:9000", "127.0.0.1:9000"];
  const secure = formatGreeting({ ...AGENT, addresses, plain: [] });
  assert.match(
    secure,
    /^Node "h1" serves on \/run\/a\.sock and 198\.18\.0\.1:9000 and 127\.0\.0\.1:9000\n/,
  );
  assert.doesNotMatch(secure, /curl/);
  assert.match(
    formatGreeting({ ...AGENT, addresses, plain: ["127.0.0.1:9000"] }),
    /curl .* http:\/\/127\.0\.0\.1:9000\/stellar/,
  );
});

Deno.test("formatProgram() gives a command that reaches the agent", async (t) => {
  const rows: readonly [
    socket: string,
    main: string | undefined,
    line: string,
  ][] = [
    ["/run/stellar-net/agent.sock", undefined, "stellar-net"],
    ["/tmp/a.sock", undefined, "stellar-net --socket /tmp/a.sock"],
    [".state/agent.sock", "/src/main.ts", "npx -y deno@2.9.6 task stellar-net"],
    [
      "/run/stellar-net/agent.sock",
      "/src/main.ts",
      "deno run -A /src/main.ts --socket /run/stellar-net/agent.sock",
    ],
  ];
  for (const [socket, main, line] of rows) {
    await t.step(line, () => assert.equal(formatProgram(socket, main), line));
  }
});
