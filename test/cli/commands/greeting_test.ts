import assert from "node:assert/strict";
import { formatGreeting } from "../../../src/cli/commands/agent.ts";

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
