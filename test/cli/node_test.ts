import assert from "node:assert/strict";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { NodeState } from "../../src/cli/client.ts";
import { type Handlers, NOW_MS, runFake } from "./fake_io.ts";

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

Deno.test("node list prints a row a node", async () => {
  const run = await runFake(["node", "list"], { registry });
  assert.equal(
    run.stdout,
    `\
NODE  STATE     SUBNETS                  ADVERTISED  JOINED  SEEN
n1    ready     172.16.0.0/22 fd00::/64  198.18.0.1  2m ago  2s ago
n2    no agent  -                        -           -       -
`,
  );
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
  });
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
