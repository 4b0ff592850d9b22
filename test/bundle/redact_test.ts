import assert from "node:assert/strict";
import { redact } from "../../src/bundle/redact.ts";

Deno.test("redact() takes secrets out, and leaves the rest", async (t) => {
  const rows: readonly [text: string, left: string][] = [
    ["x stn1.Abc_-def.0123.xyz, y", "x [redacted], y"],
    ["stn12.abcdefgh", "[redacted]"],
    ["stn1.md is a file", ""],
    [
      "-----BEGIN EC PRIVATE KEY-----\nabc\n-----END EC PRIVATE KEY-----",
      "[redacted]",
    ],
    ["token=abc123 x", "token=[redacted] x"],
    ["STELLAR_NET_TOKEN=abc\nA=1", "STELLAR_NET_TOKEN=[redacted]\nA=1"],
    ['{"token":"a \\"b", "x": 1}', '{"token":[redacted], "x": 1}'],
    ['{"password" : "p w"}', '{"password" : [redacted]}'],
    ["my-secret-key: 'p w'; y", "my-secret-key: [redacted]; y"],
    ["apiKey=abc,next=1", "apiKey=[redacted],next=1"],
    ["etcd://user:pw@h1:2379/x", "etcd://[redacted]@h1:2379/x"],
    ["http://tok@h1:9000", "http://[redacted]@h1:9000"],
    ["http://h1:9000/a@b", "http://h1:9000/a@b"],
    ["Bearer abcdefgh.ijk", "Bearer [redacted]"],
    ["x eyJhbGciOiJIUzI1NiJ9.eyJzdWIi.abc y", "x [redacted] y"],
    ["agent --token abc --node n1", "agent --token [redacted] --node n1"],
    [
      "-----BEGIN RSA PRIVATE KEY-----\nabc\n-----END RSA PRIVATE KEY-----\nx",
      "[redacted]\nx",
    ],
    ["-----BEGIN PRIVATE KEY-----\nabc", "[redacted]"],
    ["172.16.0.0/22 via 198.18.0.2 proto 83", ""],
    ["2001:db8::1 dev eth0 lladdr 02:00:00:00:00:01 REACHABLE", ""],
    ["token list is empty; no secret here", ""],
    ["chain input { type filter hook input priority 0; }", ""],
  ];
  for (const [text, left] of rows) {
    await t.step(text.split("\n")[0]!, () => {
      assert.equal(redact(text), left || text);
      assert.equal(redact(redact(text)), left || text);
    });
  }
});
