import assert from "node:assert/strict";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { type Handlers, NOW_MS, runFake } from "../fake_io.ts";

const ROUTES = [
  {
    cidr: "192.0.2.0/24",
    target: "172.16.0.9",
    addedAt: timestampFromMs(NOW_MS - 7_200_000),
  },
  { cidr: "2001:db8::/32", target: "fd00:1::9" },
];

Deno.test("route list --extra prints the routes of the registry", async (t) => {
  const registry: Handlers["registry"] = {
    listRoutes: () => ({ routes: ROUTES }),
  };
  await t.step("for people", async () => {
    const run = await runFake(["route", "list", "--extra"], { registry });
    assert.deepEqual([run.code, run.stderr], [0, ""]);
    assert.equal(
      run.stdout,
      `\
DESTINATION    TARGET      ADDED
192.0.2.0/24   172.16.0.9  2h ago
2001:db8::/32  fd00:1::9   -
`,
    );
  });
  await t.step("for programs", async () => {
    const run = await runFake(["route", "list", "--extra", "--json"], {
      registry,
    });
    assert.equal(
      run.stdout,
      `\
{
  "schemaVersion": 1,
  "routes": [
    {
      "cidr": "192.0.2.0/24",
      "target": "172.16.0.9",
      "addedAt": "2026-01-02T01:04:05.000Z"
    },
    {
      "cidr": "2001:db8::/32",
      "target": "fd00:1::9",
      "addedAt": null
    }
  ]
}
`,
    );
  });
});

Deno.test("route list --extra without routes says on stderr what to do", async () => {
  const registry: Handlers["registry"] = { listRoutes: () => ({}) };
  const run = await runFake(["route", "list", "--extra"], { registry });
  assert.equal(run.stdout, "DESTINATION  TARGET  ADDED\n");
  assert.match(run.stderr, /^There are no extra routes: .* adds one\n$/);
});

Deno.test("route add passes canonical texts on and prints the route", async (t) => {
  const asked: unknown[] = [];
  const registry: Handlers["registry"] = {
    addRoute: ({ cidr, target }) => {
      asked.push([cidr, target]);
      return { route: ROUTES[1]! };
    },
  };
  const args = ["route", "add", "2001:DB8::/32", "fd00:1:0::9"];
  await t.step("for people", async () => {
    const run = await runFake(args, { registry });
    assert.equal(
      run.stdout,
      "DESTINATION    TARGET     ADDED\n2001:db8::/32  fd00:1::9  -\n",
    );
  });
  await t.step("for programs", async () => {
    const run = await runFake([...args, "--json"], { registry });
    const { cidr, target } = ROUTES[1]!;
    assert.deepEqual(JSON.parse(run.stdout), {
      schemaVersion: 1,
      route: { cidr, target, addedAt: null },
    });
  });
  assert.deepEqual(asked, [
    ["2001:db8::/32", "fd00:1::9"],
    ["2001:db8::/32", "fd00:1::9"],
  ]);
});

Deno.test("route delete reports its result, with and without a target", async (t) => {
  const asked: unknown[] = [];
  const registry: Handlers["registry"] = {
    deleteRoute: ({ cidr, target }) => {
      asked.push([cidr, target]);
      return {};
    },
  };
  const rows: readonly [args: string, target: string, stdout: string][] = [
    ["192.0.2.0/24", "", "Deleted 192.0.2.0/24\n"],
    ["192.0.2.0/24 172.16.0.9", "172.16.0.9", "Deleted 192.0.2.0/24\n"],
    [
      "192.0.2.0/24 --json",
      "",
      '{\n  "schemaVersion": 1,\n  "cidr": "192.0.2.0/24"\n}\n',
    ],
  ];
  for (const [args, target, stdout] of rows) {
    await t.step(args, async () => {
      const run = await runFake(["route", "delete", ...args.split(" ")], {
        registry,
      });
      assert.deepEqual([run.code, run.stdout, run.stderr], [0, stdout, ""]);
      assert.deepEqual(asked.pop(), ["192.0.2.0/24", target]);
    });
  }
});

Deno.test("route delete says when there was no such route", async () => {
  const registry = { deleteRoute: () => ({ deleted: false }) };
  const line = ["route", "delete", "192.0.2.0/24"];
  const run = await runFake(line, { registry });
  assert.deepEqual([run.code, run.stdout], [
    0,
    "Nothing to delete: there is no extra route 192.0.2.0/24\n",
  ]);
  const json = await runFake([...line, "--json"], { registry });
  assert.equal(JSON.parse(json.stdout).deleted, false);
});
