import assert from "node:assert/strict";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import {
  FoundKind,
  Severity,
} from "../../../src/gen/stellar/net/v1/cluster_pb.ts";
import { NodeState } from "../../../src/gen/stellar/net/v1/registry_pb.ts";
import { type Handlers, NOW_MS, runFake } from "../fake_io.ts";

const DAY_MS = 86_400_000;
const at = timestampFromMs(NOW_MS - 5_000);

const OVERVIEW: Handlers = {
  cluster: {
    getOverview: () => ({
      verdict: "2 problems on 2 of 3 hosts",
      problems: [
        {
          node: "host2",
          code: "subnet-full",
          severity: Severity.ERROR,
          text: "all 1021 addresses of 172.16.4.0/22 are held",
          fix: "stellar-net ip list",
        },
        { node: "host3", severity: Severity.WARNING, text: "it is cold" },
      ],
      networks: [{
        network: { cidr: "172.16.0.0/12" },
        ...{
          subnets: 1024,
          owned: 2n,
          blocked: 64n,
          capacity: 2042,
          held: 30n,
        },
      }],
      hosts: [
        {
          node: { name: "host1", state: NodeState.READY },
          report: {
            version: "0.1.0",
            subnets: [{
              ...{ cidr: "172.16.0.0/22", capacity: 1021, held: 510n },
              fullAt: timestampFromMs(NOW_MS + 3.5 * DAY_MS),
            }],
            ...{ routesWanted: 2, routesInstalled: 1 },
          },
          reportedAt: at,
        },
        { node: { name: "host3", state: NodeState.NO_AGENT } },
      ],
      now: timestampFromMs(NOW_MS),
    }),
  },
};

Deno.test("cluster prints the verdict, problems, networks and hosts", async () => {
  const { code, stdout, stderr } = await runFake(["cluster"], OVERVIEW);
  assert.deepEqual([code, stderr], [0, ""]);
  assert.equal(
    stdout,
    `2 problems on 2 of 3 hosts

Error: host2: all 1021 addresses of 172.16.4.0/22 are held
  Fix: stellar-net ip list
Warning: host3: it is cold

NETWORK        SUBNETS OWNED  BLOCKED  OF    HELD  CAPACITY
172.16.0.0/12  2              64       1024  30    2042

HOST   STATE     USED  FULL    ROUTES  PROBLEMS  VERSION  REPORT
host1  ready     49%   in 3 d  1/2     0         0.1.0    5s ago
host3  no agent  -     -       -       -         -        none
`,
  );
});

Deno.test("cluster --json prints all fields, null for a report that is not there", async () => {
  const { stdout } = await runFake(["cluster", "--json"], OVERVIEW);
  const { schemaVersion, problems, hosts } = JSON.parse(stdout);
  assert.equal(schemaVersion, 1);
  assert.deepEqual(
    problems.map((
      { severity, fix }: Record<string, string>,
    ) => [severity, fix]),
    [["error", "stellar-net ip list"], ["warning", null]],
  );
  assert.equal(hosts[1].report, null);
  assert.equal(hosts[0].report.subnets[0].growthPerDay, null);
});

Deno.test("find prints matches, and the hosts that did not answer", async () => {
  const { code, stdout, stderr } = await runFake(["find", "172.16.4.9"], {
    cluster: {
      find: ({ what }) => ({
        found: [
          {
            kind: FoundKind.ALLOCATION,
            text: `web-1 holds ${what}`,
            since: at,
          },
          { kind: FoundKind.HISTORY, text: "old", since: at, until: at },
        ],
        silentNodes: ["host3"],
      }),
    },
  });
  assert.equal(code, 0);
  assert.equal(
    stdout,
    "since 2026-01-02 03:04:00Z                              web-1 holds 172.16.4.9\n" +
      "since 2026-01-02 03:04:00Z  until 2026-01-02 03:04:00Z  old\n",
  );
  assert.equal(stderr, "Matches may be missing: host3 did not answer\n");
});

Deno.test("find exits with 1 when nothing is known", async () => {
  const nothing = { cluster: { find: () => ({}) } };
  const { code, stdout, stderr } = await runFake(["find", "x"], nothing);
  assert.deepEqual(
    [code, stdout, stderr],
    [1, "", "Nothing is known of x\n"],
  );
});

Deno.test("cluster --watch prints the overview again when it changes", async () => {
  const verdicts = ["fine", "fine", "broken"];
  let waits = 0;
  const { stdout } = await runFake(["cluster", "--watch", "--json"], {
    cluster: { getOverview: () => ({ verdict: verdicts[waits] ?? "" }) },
    waits: () => ++waits < verdicts.length,
  });
  const lines = stdout.trimEnd().split("\n").map((line) => JSON.parse(line));
  assert.deepEqual(lines.map(({ verdict }) => verdict), ["fine", "broken"]);
});

Deno.test("cluster --watch redraws a terminal", async () => {
  let waits = 0;
  const { stdout } = await runFake(["cluster", "--watch"], {
    cluster: { getOverview: () => ({ verdict: `verdict ${waits}` }) },
    waits: () => ++waits < 2,
    isOutputTerminal: true,
  });
  assert.deepEqual(
    stdout.split("\x1b[H\x1b[2J").map((screen) => screen.split("\n")[0]),
    ["", "verdict 0", "verdict 1"],
  );
});

Deno.test("cluster marks what a host has reported long ago", async () => {
  const reported = (ms: number) =>
    runFake(["cluster"], {
      cluster: {
        getOverview: () => ({
          hosts: [{
            node: { name: "host1", state: NodeState.UNREACHABLE },
            report: { version: "0.1.0" },
            reportedAt: timestampFromMs(NOW_MS - ms),
          }],
          now: timestampFromMs(NOW_MS),
        }),
      },
    });
  assert.match((await reported(29_000)).stdout, / 29s ago\n$/);
  assert.match((await reported(61_000)).stdout, / 1m ago \(stale\)\n$/);
});
