import assert from "node:assert/strict";
import { runFake } from "../fake_io.ts";

Deno.test("agent refuses flags of registry hosts beside --join, naming both flags", async (t) => {
  const rows: readonly [
    args: readonly string[],
    env: Readonly<Record<string, string>>,
    said: string,
  ][] = [
    [
      ["--join", "http://h:1", "--network", "10.0.0.0/8"],
      {},
      "--network does not go with --join: the cluster that it joins has its networks",
    ],
    [
      ["--join", "http://h:1"],
      { STELLAR_NET_SUBNET_PREFIX: "20" },
      "STELLAR_NET_SUBNET_PREFIX does not go with --join: the cluster",
    ],
    [
      ["--reclaim-after", "1h"],
      { STELLAR_NET_JOIN: "http://h:1,http://i:1" },
      "--reclaim-after does not go with STELLAR_NET_JOIN: the agents that host",
    ],
  ];
  for (const [args, env, said] of rows) {
    await t.step(said, async () => {
      const run = await runFake(["agent", ...args], { env });
      assert.deepEqual([run.code, run.agents], [2, []]);
      assert.ok(
        run.stderr.includes(`"stellar-net agent": ${said}`),
        run.stderr,
      );
    });
  }
});
