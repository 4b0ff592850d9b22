import assert from "node:assert/strict";
import { runFake } from "../fake_io.ts";

const ETCD = {
  kind: "etcd",
  endpoints: ["h1:2379"],
  prefix: "/stellar-net",
} as const;

Deno.test("store migrate names both stores and the state, and reports its progress", async () => {
  const run = await runFake(
    "store migrate --from kv: --to etcd://h1 --state /s".split(" "),
  );
  assert.equal(run.code, 0, run.stderr);
  assert.deepEqual(
    run.migrations.map(({ onProgress: _, ...request }) => request),
    [{ from: "file", to: ETCD, stateDir: "/s", dryRun: false }],
  );
  assert.equal(
    run.stdout,
    `Moved the registry from kv:/var/lib/stellar-net/state.db to etcd://h1:2379/stellar-net:
  Cluster       cluster-1
  Nodes         3
  Subnets       4 owned, reserved or released
  Extra routes  1
  Addresses     10 held on nodes without an agent
  History       20 records
  Entries       60, 6000 bytes
`,
  );
  assert.equal(
    run.stderr,
    `No agent uses the registry any more, copying it
Copied 30 of 60 entries
Copied 60 of 60 entries
Compared every entry of both stores: they are equal
Start every agent that hosts the registry with --store etcd://h1:2379/stellar-net; each keeps the addresses in its own --state
`,
  );
});

Deno.test("store migrate --dry-run only says what would be moved", async () => {
  const run = await runFake(
    "store migrate --to etcd://h1 --dry-run".split(" "),
  );
  assert.deepEqual(run.migrations.map(({ dryRun }) => dryRun), [true]);
  assert.match(run.stdout, /^The registry in kv:\S+ can be moved to etcd:\S+:/);
  assert.doesNotMatch(run.stderr, /Start/);
});

Deno.test("store migrate --json lists the moved records", async () => {
  const run = await runFake(
    "store migrate --from etcd://h1 --to kv: --json".split(" "),
  );
  const answer = JSON.parse(run.stdout);
  assert.deepEqual(
    [answer.schemaVersion, answer.dryRun, answer.nodes, answer.isResumed],
    [1, false, 3, false],
  );
  assert.match(run.stderr, /the agent of this host with --store kv:, and/);
});

Deno.test("store migrate gets to etcd by the agent's flags", async (t) => {
  const rows: readonly (readonly [args: string, from: string, to: string])[] = [
    ["--to etcd://h1", "none", "none"],
    ["--from etcds://h1 --to kv:", "tls user", "none"],
    ["--to etcds://h1", "none", "tls user"],
    ["--from etcd://h1/old --to etcds://h1/new", "user", "tls user"],
  ];
  const flags = "--store-user u --store-password-file p";
  for (const [args, from, to] of rows) {
    await t.step(args, async () => {
      const isSecret = to !== from;
      const line = `store migrate ${args}${isSecret ? ` ${flags}` : ""}`;
      const { migrations, stderr } = await runFake(line.split(" "));
      const seen = (choice: unknown) =>
        ["tls", "user"].filter((name) =>
          typeof choice === "object" && name in choice!
        ).join(" ") || "none";
      assert.deepEqual(
        migrations.map((request) => [seen(request.from), seen(request.to)]),
        [[from, to]],
        stderr,
      );
    });
  }
});

Deno.test("store migrate refuses what makes no sense", async (t) => {
  const rows: readonly (readonly [args: string, said: RegExp])[] = [
    ["", /it needs --to, the store to move the registry to/],
    ["--from kv: --to kv:", /--from and --to are both "kv:"/],
    [
      "--from kv::memory: --to kv:",
      /"kv::memory:" is lost when the agent stops/,
    ],
    [
      "--to etcd://h1 --store-ca ca.pem",
      /--store-ca goes with "etcds:\/\/" in --from or --to/,
    ],
    [
      "--from etcds://h1 --to kv: --store-user u",
      /--store-user goes with --store-password-file/,
    ],
  ];
  for (const [args, said] of rows) {
    await t.step(args, async () => {
      const line = `store migrate ${args}`.trim().split(" ");
      const run = await runFake(line);
      assert.deepEqual([run.code, run.stdout, run.migrations], [2, "", []]);
      assert.match(run.stderr, said);
    });
  }
});

Deno.test("store compact prints the size of the file before and after", async () => {
  const run = await runFake("store compact --state /s".split(" "));
  assert.deepEqual(run.compactions, [
    { stateDir: "/s", keepHistoryMs: undefined },
  ]);
  assert.equal(
    run.stdout,
    `Compacted /s/state.db:
  Size     75.0 MB before, 5.5 MB now
  Entries  10000
  History  70000 records removed
`,
  );
  assert.equal(run.stderr, "Start the agent again\n");
});

Deno.test("store compact removes old history as the agent does, where its age is given", async () => {
  const line = "store compact --state /s --keep-history 7d".split(" ");
  const run = await runFake(line);
  assert.equal(run.compactions[0]!.keepHistoryMs, 7 * 86_400_000);
});
