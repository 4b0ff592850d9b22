import assert from "node:assert/strict";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { NodeState } from "../../../src/gen/stellar/net/v1/registry_pb.ts";
import {
  type FakeIoOptions,
  type Handlers,
  NOW_MS,
  runFake,
} from "../fake_io.ts";

const registry: NonNullable<Handlers["registry"]> = {
  listNodes: () => ({
    nodes: [{
      name: "n1",
      state: NodeState.READY,
      advertised: ['198.18.0.1,"a"', "\x1b[31m"],
      apiUrl: "http://198.18.0.1:9000",
      joinedAt: timestampFromMs(NOW_MS - 120_000),
    }],
  }),
};

async function list(flags: string, options: FakeIoOptions = {}) {
  const words = flags.split(" ").filter((word) => word !== "");
  return await runFake(["node", "list", ...words], { registry, ...options });
}

Deno.test("a list is printed as a table, a wide one, JSON or CSV", async () => {
  const table = await list("");
  const wide = await list("--output wide");
  assert.match(table.stdout, /^NODE +STATE .* SEEN\nn1 .* 2m ago +-\n$/);
  assert.match(
    wide.stdout,
    /^NODE .* SEEN +API +REPORT\n.* http:\/\/198.18.0.1:9000 +-\n$/,
  );
  const json = await list("-o json");
  assert.equal(json.stdout, (await list("--json")).stdout);
  const csv = await list("-o csv");
  assert.equal(
    csv.stdout,
    "NODE,STATE,SUBNETS,ADVERTISED,USED,ROUTES,VERSION,PROBLEMS,JOINED,SEEN,API,REPORT\r\n" +
      'n1,ready,,"198.18.0.1,""a"" \\u001b[31m",,,,,2026-01-02T03:02:05.000Z,,http://198.18.0.1:9000,\r\n',
  );
  const env = { STELLAR_NET_OUTPUT: "csv" };
  assert.equal((await list("", { env })).stdout, csv.stdout);
});

Deno.test("a list refuses --json beside another output", async () => {
  const run = await list("--json -o csv");
  assert.deepEqual([run.code, run.stdout], [2, ""]);
  assert.match(run.stderr, /--output csv does not go with --json/);
});

/** A registry whose list changes, and is gone for a while: the names of its node. */
function changing(names: readonly (string | undefined)[]) {
  let reads = 0;
  const options: FakeIoOptions = {
    registry: {
      listNodes: () => {
        const name = names[reads++];
        if (name === undefined) throw new Error("gone");
        return { nodes: [{ name, state: NodeState.READY }] };
      },
    },
    waits: () => reads < names.length,
  };
  return options;
}

Deno.test("--watch prints a list whenever it changes, in place on a terminal", async () => {
  const names = ["n1", "n1", "n2"];
  const plain = await list("--watch", changing(names));
  assert.deepEqual(
    [...plain.stdout.matchAll(/^n\d/gm)].map(([name]) => name),
    ["n1", "n2"],
  );
  const terminal = await list("--watch", {
    ...changing(names),
    isOutputTerminal: true,
  });
  assert.equal(terminal.stdout.split("\x1b[H\x1b[2JNODE").length, 3);
});

Deno.test("--watch --json prints an object a line", async () => {
  const run = await list("--watch --json", changing(["n1", "n1", "n2"]));
  const lines = run.stdout.trimEnd().split("\n").map((line) =>
    JSON.parse(line)
  );
  assert.deepEqual(
    lines.map(({ schemaVersion, nodes }) => [schemaVersion, nodes[0].name]),
    [[1, "n1"], [1, "n2"]],
  );
});

Deno.test("--watch goes on while the agent does not answer, but not at the start", async () => {
  const run = await list(
    "--watch",
    changing(["n1", undefined, undefined, "n2"]),
  );
  assert.match(run.stdout, /^n1 .*^n2 /ms);
  assert.equal(run.stderr.split("Cannot list nodes, trying again: ").length, 2);
  const never = await list("--watch", changing([undefined, "n1"]));
  assert.deepEqual([never.code, never.stdout], [1, ""]);
});

Deno.test("flags accept no more records and uses than the API does", async () => {
  for (
    const [command, most] of [
      ["ip history --limit", 1_000],
      ["token create --uses", 10_000],
    ] as const
  ) {
    const words = [...command.split(" "), String(most + 1)];
    const { code, stderr } = await runFake(words);
    assert.equal(code, 2, command);
    assert.match(stderr, new RegExp(`from 1 to ${most}`));
  }
});
