import assert from "node:assert/strict";
import { Code, ConnectError } from "@connectrpc/connect";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { NodeState } from "../../../src/gen/stellar/net/v1/registry_pb.ts";
import { TokenState } from "../../../src/gen/stellar/net/v1/identity_pb.ts";
import { RegistryLinkState } from "../../../src/gen/stellar/net/v1/agent_pb.ts";
import { type Handlers, NOW_MS, runFake } from "../fake_io.ts";

const registry: Handlers["registry"] = {
  listNodes: () => ({
    nodes: [
      {
        name: "n1",
        state: NodeState.READY,
        subnets: ["172.16.0.0/22", "fd00::/64"],
        advertised: ["198.18.0.1"],
        apiUrl: "http://198.18.0.1:9000",
        joinedAt: timestampFromMs(NOW_MS - 120_000),
        seenAt: timestampFromMs(NOW_MS - 2_000),
      },
      { name: "n2", state: NodeState.NO_AGENT },
    ],
  }),
};

const cluster: Handlers["cluster"] = {
  getOverview: () => ({
    hosts: [{
      node: { name: "n1" },
      report: {
        ...{ version: "0.1.0", routesWanted: 3, routesInstalled: 2 },
        subnets: [{ cidr: "172.16.0.0/22", capacity: 1021, held: 511n }],
        problems: [{ code: "leaks" }],
      },
      reportedAt: timestampFromMs(NOW_MS - 5_000),
    }, { node: { name: "n2" } }],
  }),
};

Deno.test("node list prints a row a node, with what its host reports", async () => {
  const run = await runFake(["node", "list"], { registry, cluster });
  assert.equal(
    run.stdout,
    `\
NODE  STATE     SUBNETS                  ADVERTISED  USED  ROUTES  VERSION  PROBLEMS  JOINED  SEEN
n1    ready     172.16.0.0/22 fd00::/64  198.18.0.1  50%   2/3     0.1.0    1         2m ago  2s ago
n2    no agent  -                        -           -     -       -        -         -       -
`,
  );
});

Deno.test("node list needs no reports", async () => {
  const run = await runFake(["node", "list"], { registry });
  assert.deepEqual([run.code, run.stderr], [0, ""]);
  assert.match(run.stdout, /^n1 +ready .* 198\.18\.0\.1 +- +- +- +- +2m ago/m);
});

Deno.test("node list prints an object for programs", async () => {
  const run = await runFake(["node", "list", "--json"], { registry });
  const { schemaVersion, nodes } = JSON.parse(run.stdout);
  assert.equal(schemaVersion, 1);
  assert.deepEqual(nodes[1], {
    name: "n2",
    state: "no agent",
    subnets: [],
    advertised: [],
    apiUrl: null,
    joinedAt: null,
    seenAt: null,
    problem: null,
    report: null,
    reportedAt: null,
  });
});

Deno.test("node list counts and notes the problems that the registry has with nodes", async () => {
  const registry = {
    listNodes: () => ({
      nodes: [
        { name: "n1", problem: "a second process uses its identity" },
        { name: "n2" },
      ],
    }),
  };
  const run = await runFake(["node", "list"], { registry, cluster });
  assert.match(run.stdout, /^n1 .* 0\.1\.0 +2 .*\nn2 .* - +- +-\n$/m);
  assert.equal(run.stderr, "n1: a second process uses its identity\n");
});

Deno.test("node list marks a list that the registry does not keep up to date", async () => {
  const agent: Handlers["agent"] = {
    getStatus: () => ({
      node: "n2",
      registry: {
        state: RegistryLinkState.UNREACHABLE,
        since: timestampFromMs(NOW_MS - 60_000),
        problem: "nothing answers there",
      },
    }),
  };
  const run = await runFake(["node", "list"], { registry, agent });
  assert.match(run.stdout, /^n1 +was ready .*^n2 +no agent /ms);
  assert.equal(
    run.stderr,
    "This is the list as of 2026-01-02 03:03:05Z: the link to the registry is unreachable: nothing answers there\n",
  );
  for (
    const [asOfMs, says] of [
      [NOW_MS - 90_000, "as of 2026-01-02 03:02:35Z: "],
      [0, "as of a time before this agent's start: "],
    ] as const
  ) {
    const silent = {
      listNodes: () => ({
        nodes: [{ name: "n1", state: NodeState.UNREACHABLE }],
        asOf: timestampFromMs(asOfMs),
      }),
    };
    const old = await runFake(["node", "list"], { registry: silent, agent });
    assert.match(old.stdout, /^n1 +unknown /m);
    assert.ok(old.stderr.includes(says), old.stderr);
  }
  const json = await runFake(["node", "list", "--json"], { registry, agent });
  assert.equal(JSON.parse(json.stdout).staleSince, "2026-01-02T03:03:05.000Z");
});

Deno.test("node remove says what is free again", async () => {
  const asked: unknown[] = [];
  const run = await runFake(["node", "remove", "n1", "--force"], {
    registry: {
      removeNode: ({ node, force, instanceId }) => {
        asked.push([node, force, instanceId]);
        return { subnets: ["172.16.0.0/22"] };
      },
    },
  });
  assert.equal(
    run.stdout,
    "Removed n1: 172.16.0.0/22 can be handed out again\n",
  );
  assert.deepEqual(asked, [["n1", true, ""]]);
});

Deno.test("node remove names the tokens that would let it in again", async () => {
  const common = { state: TokenState.USABLE, maxUses: 10, used: 2 };
  const uses = [{ name: "n1" }, { name: "n2" }];
  const run = await runFake(["node", "remove", "n1"], {
    registry: { removeNode: () => ({}) },
    identity: {
      listTokens: () => ({
        tokens: [
          { ...common, id: "000000000001", uses },
          { ...common, id: "000000000002", uses: [{ name: "n2" }] },
          { ...common, id: "000000000003", uses, name: "n1" },
          { ...common, id: "000000000004", uses, state: TokenState.REVOKED },
        ],
      }),
    },
  });
  assert.equal(run.stdout, "Removed n1\n");
  assert.equal(
    run.stderr,
    "It joined with token 000000000001, which admits 8 more, under any name: stellar-net token revoke 000000000001\n",
  );
});

Deno.test("node leave by force says what the registry does not know", async () => {
  const run = await runFake(["node", "leave", "--force"], {
    agent: {
      getStatus: () => ({
        node: "n1",
        registry: { state: RegistryLinkState.UNREACHABLE },
      }),
      leave: () => ({}),
    },
  });
  assert.equal(run.stdout, "Left the cluster\n");
  assert.match(
    run.stderr,
    /^The registry does not know of it, .*: free it with "stellar-net node remove n1" on a host that reaches the registry\n/,
  );
});

Deno.test("node leave says what is free again, and how it comes back", async (t) => {
  const asked: boolean[] = [];
  const rows: readonly [
    args: string,
    subnets: readonly string[],
    force: boolean,
    stdout: string,
  ][] = [
    [
      "node leave",
      ["172.16.0.0/22", "fd00::/64"],
      false,
      "Left the cluster: 172.16.0.0/22 and fd00::/64 can be handed out again\n",
    ],
    ["node leave --force", [], true, "Left the cluster\n"],
    [
      "node leave --json",
      ["172.16.0.0/22"],
      false,
      '{\n  "schemaVersion": 1,\n  "subnets": [\n    "172.16.0.0/22"\n  ]\n}\n',
    ],
  ];
  for (const [args, subnets, force, stdout] of rows) {
    await t.step(args, async () => {
      const agent: Handlers["agent"] = {
        leave: (request) => {
          asked.push(request.force);
          return { subnets: [...subnets] };
        },
      };
      const run = await runFake(args.split(" "), { agent });
      assert.deepEqual([run.code, run.stdout], [0, stdout]);
      assert.equal(
        run.stderr,
        "This node joins again when its agent starts again\n",
      );
      assert.equal(asked.pop(), force);
    });
  }
});

Deno.test("node leave says why it is refused, with exit code 1", async () => {
  const run = await runFake(["node", "leave"], {
    agent: {
      leave: () => {
        throw new ConnectError("3 addresses are held", Code.FailedPrecondition);
      },
    },
  });
  assert.deepEqual([run.code, run.stdout, run.stderr], [
    1,
    "",
    "stellar-net: Cannot leave the cluster: 3 addresses are held\n",
  ]);
});

Deno.test("node list asks for no reports while the registry is out of reach", async () => {
  const agent: Handlers["agent"] = {
    getStatus: () => ({
      node: "n2",
      registry: { state: RegistryLinkState.UNREACHABLE },
    }),
  };
  let asked = 0;
  const slow: Handlers["cluster"] = {
    getOverview: () => {
      asked++;
      return {};
    },
  };
  const options = { registry, agent, cluster: slow };
  const { code, stdout } = await runFake(["node", "list"], options);
  assert.deepEqual([code, asked], [0, 0]);
  assert.match(stdout, /^n1 +was ready/m);
});
