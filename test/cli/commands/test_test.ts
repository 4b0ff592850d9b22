import assert from "node:assert/strict";
import { type FakeIoOptions, runFake } from "../fake_io.ts";

const SOUND = {
  ...{ family: 4, from: "172.16.0.9", to: "172.16.4.9", packetBytes: 1500 },
  ...{ roundTripMs: 0.5, triedTcp: true, problems: [] as string[] },
};

/** An agent whose peers are as given. */
function testing(
  peers: readonly Readonly<Record<string, unknown>>[],
  asked: string[][] = [],
): FakeIoOptions {
  return {
    agent: {
      async *testPaths({ peers: names }) {
        asked.push(names);
        yield* peers;
      },
    },
  };
}

Deno.test("test prints a line for each peer and family, in order", async () => {
  const asked: string[][] = [];
  const run = await runFake(
    ["test", "host3", "host2"],
    testing([
      { node: "host3", families: [SOUND], peers: 2 },
      {
        ...{ node: "host2", peers: 2 },
        families: [
          { ...SOUND, triedTcp: false },
          { ...SOUND, family: 6, problems: ["no packet gets there"] },
        ],
        limits: ["host2 has no bridge"],
      },
    ], asked),
  );
  assert.deepEqual(asked, [["host3", "host2"]]);
  assert.deepEqual([run.code, run.stdout, run.stderr], [
    1,
    `\
ok      host2  IPv4  172.16.0.9 to 172.16.4.9: small packets, packets of 1500 bytes; 0.5 ms
FAILED  host2  IPv6  no packet gets there
ok      host3  IPv4  172.16.0.9 to 172.16.4.9: small packets, packets of 1500 bytes and TCP; 0.5 ms
`,
    `\
Not like a container: host2 has no bridge; TCP is not tested
Peers: 2, failed: 1
`,
  ]);
});

Deno.test("test exits with 1 when a peer was not tested, and with 0 when all paths are sound", async (t) => {
  const rows: readonly [
    code: number,
    peer: Readonly<Record<string, unknown>>,
  ][] = [[0, { families: [SOUND] }], [1, {
    problem: "it sends no heartbeats",
  }]];
  for (const [code, peer] of rows) {
    await t.step(`${code}`, async () => {
      const options = testing([{ node: "host2", ...peer }]);
      assert.equal((await runFake(["test", "--all"], options)).code, code);
      const { stdout } = await runFake(["test", "--all", "--json"], options);
      assert.equal(JSON.parse(stdout).peers[0].problem, peer.problem ?? null);
    });
  }
});

Deno.test("test takes peers or --all", async (t) => {
  for (const words of [[], ["host2", "--all"]]) {
    await t.step(words.join(" "), async () => {
      const run = await runFake(["test", ...words], testing([]));
      assert.equal(run.code, 2, run.stderr);
    });
  }
});
