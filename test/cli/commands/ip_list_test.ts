import assert from "node:assert/strict";
import { NodeState } from "../../../src/gen/stellar/net/v1/registry_pb.ts";
import { DUAL_STACK, OWNER } from "../fake_allocation.ts";
import { type Handlers, runFake } from "../fake_io.ts";

Deno.test("ip list --leaked asks for what seems to be leaked, and says why", async () => {
  const asked: unknown[] = [];
  const ipam: Handlers["ipam"] = {
    listAllocations: ({ leaked }) => {
      asked.push(leaked);
      return { allocations: [{ ...DUAL_STACK, leak: "it is gone" }] };
    },
  };
  const run = await runFake(["ip", "list", "--leaked"], { ipam });
  assert.match(run.stdout, /^ADDRESS .* WHY$/m);
  assert.match(run.stdout, / it is gone$/m);
  assert.deepEqual(asked, [true]);
  const none = await runFake(["ip", "list", "--leaked"], {
    ipam: { listAllocations: () => ({}) },
  });
  assert.equal(none.stderr, "No address seems to be leaked\n");
});

Deno.test("ip list pages through everything, a row an address", async (t) => {
  const pages: Readonly<Record<string, string>> = {
    "": "p2",
    p2: "p3",
    p3: "",
  };
  const asked: unknown[] = [];
  const ipam: Handlers["ipam"] = {
    listAllocations: ({ node, pageToken }) => {
      asked.push([node, pageToken]);
      const containerId = `web-${pageToken || "p1"}`;
      const owner = { ...OWNER, containerId };
      return {
        allocations: [{ ...DUAL_STACK, owner }],
        nextPageToken: pages[pageToken]!,
      };
    },
  };
  await t.step("for people", async () => {
    const run = await runFake(["ip", "list", "--node", "node0"], { ipam });
    assert.deepEqual(asked, [["node0", ""], ["node0", "p2"], ["node0", "p3"]]);
    assert.deepEqual([run.code, run.stderr], [0, ""]);
    assert.equal(
      run.stdout,
      `\
ADDRESS     CONTAINER  INTERFACE  NETWORK  NODE   ALLOCATED
172.16.0.2  web-p1     eth0       default  node0  3m ago
fd00:1::2   web-p1     eth0       default  node0  3m ago
172.16.0.2  web-p2     eth0       default  node0  3m ago
fd00:1::2   web-p2     eth0       default  node0  3m ago
172.16.0.2  web-p3     eth0       default  node0  3m ago
fd00:1::2   web-p3     eth0       default  node0  3m ago
`,
    );
  });
  await t.step("for programs", async () => {
    const run = await runFake(["ip", "list", "--json"], { ipam });
    const { allocations } = JSON.parse(run.stdout);
    assert.deepEqual(
      allocations.map((a: { owner: { containerId: string } }) =>
        a.owner.containerId
      ),
      ["web-p1", "web-p2", "web-p3"],
    );
  });
});

Deno.test("ip list ends when an agent repeats a page", async () => {
  const ipam: Handlers["ipam"] = {
    listAllocations: () => ({ nextPageToken: "same" }),
  };
  const run = await runFake(["ip", "list"], { ipam });
  assert.equal(run.code, 1);
  assert.match(run.stderr, /^stellar-net: Cannot list addresses: .*page token/);
});

Deno.test("ip list without any says on stderr what to do", async (t) => {
  const ipam: Handlers["ipam"] = { listAllocations: () => ({}) };
  const hint =
    'No container holds an address: "stellar-net ip allocate CONTAINER_ID" allocates one\n';
  await t.step("for people", async () => {
    const run = await runFake(["ip", "list"], { ipam });
    const header = "ADDRESS  CONTAINER  INTERFACE  NETWORK  NODE  ALLOCATED\n";
    assert.deepEqual([run.code, run.stdout, run.stderr], [0, header, hint]);
  });
  await t.step("for programs", async () => {
    const run = await runFake(["ip", "list", "--json"], { ipam });
    const body = '{\n  "schemaVersion": 1,\n  "allocations": []\n}\n';
    assert.deepEqual([run.code, run.stdout, run.stderr], [0, body, hint]);
  });
});

Deno.test("ip list --label asks for labels, and -o wide shows them", async () => {
  const asked: unknown[] = [];
  const ipam: Handlers["ipam"] = {
    listAllocations: ({ labels }) => {
      asked.push({ ...labels });
      return { allocations: [{ ...DUAL_STACK, labels: { app: "web" } }] };
    },
  };
  const args = ["ip", "list", "--label", "app=web", "-o", "wide"];
  const run = await runFake(args, { ipam });
  assert.deepEqual(asked, [{ app: "web" }]);
  assert.match(run.stdout, /LABELS/);
  assert.match(run.stdout, / app=web/);
});

Deno.test("ip list --all-nodes prints the addresses of all nodes in order", async (t) => {
  const nodes = [
    { name: "node0", state: NodeState.READY },
    { name: "node1", state: NodeState.READY },
    { name: "node2", state: NodeState.UNREACHABLE },
    { name: "node3", state: NodeState.READY },
  ];
  const allocationOf = (node: string, address: string, leak = "") => ({
    ...{ node, leak, owner: OWNER, labels: { app: node } },
    addresses: [{ address, subnet: "172.16.0.0/12", gateway: "172.16.0.1" }],
  });
  const handlers: Handlers = {
    registry: { listNodes: () => ({ nodes }) },
    ipam: {
      async *watchAllocations({ allNodes }) {
        assert.ok(allNodes);
        const part = { node: "node1", snapshot: true };
        const one = allocationOf("node1", "172.16.4.9");
        yield { ...part, more: true, allocations: [one] };
        yield { node: "node3", problem: "nothing listens there" };
        yield {
          node: "node0",
          snapshot: true,
          allocations: [allocationOf("node0", "172.16.0.10", "gone")],
        };
        const two = allocationOf("node1", "172.16.4.10");
        yield { ...part, allocations: [two] };
        // A watch goes on without end; the command does not.
        await new Promise(() => {});
      },
    },
  };
  const list = ["ip", "list", "--all-nodes"];
  await t.step("with the nodes whose addresses are missing", async () => {
    const run = await runFake([...list, "-o", "csv"], handlers);
    assert.deepEqual(
      run.stdout.split("\r\n").slice(1, -1).map((row) => row.split(",")[0]),
      ["172.16.0.10", "172.16.4.9", "172.16.4.10"],
    );
    assert.equal(
      run.stderr,
      "The addresses of node2 are missing: it sends no heartbeats\n" +
        "The addresses of node3 are missing: nothing listens there\n",
    );
  });
  await t.step("selected by label and leak", async () => {
    const ask = async (...flags: string[]) => {
      const run = await runFake([...list, "--json", ...flags], handlers);
      return JSON.parse(run.stdout).allocations.length;
    };
    assert.deepEqual(
      [await ask("--label", "app=node1"), await ask("--leaked")],
      [2, 1],
    );
  });
  await t.step("without --node", async () => {
    const run = await runFake([...list, "--node", "node0"], handlers);
    assert.equal(run.code, 2);
    assert.match(run.stderr, /--node does not go with --all-nodes/);
  });
});

Deno.test("ip list --all-nodes lists the last snapshot of each node, and none of a node that is gone", async () => {
  const allocationOf = (node: string, ...texts: string[]) => ({
    ...{ node, owner: OWNER },
    addresses: texts.map((address) => ({ address })),
  });
  const nodes = ["node0", "node1", "node2"]
    .map((name) => ({ name, state: NodeState.READY }));
  const one = { node: "node1", snapshot: true };
  const run = await runFake(["ip", "list", "--all-nodes", "-o", "csv"], {
    registry: { listNodes: () => ({ nodes }) },
    ipam: {
      async *watchAllocations() {
        yield {
          ...{ node: "node0", snapshot: true },
          allocations: [allocationOf("node0", "172.16.0.9")],
        };
        const first = [allocationOf("node1", "172.16.4.9")];
        yield { ...one, more: true, allocations: first };
        yield { node: "node1", problem: "it has ended the watch" };
        yield { ...one, more: true, allocations: first };
        yield { ...one, allocations: [allocationOf("node1", "172.16.4.10")] };
        yield { node: "node1", problem: "it restarts" };
        yield { ...one, allocations: first };
        yield { node: "node0", gone: true };
        yield { node: "node2", snapshot: true };
        await new Promise(() => {});
      },
    },
  });
  assert.deepEqual(
    run.stdout.split("\r\n").slice(1, -1).map((row) => row.split(",")[0]),
    ["172.16.4.9"],
  );
  assert.equal(run.stderr, "");
});
