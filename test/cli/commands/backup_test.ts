import assert from "node:assert/strict";
import { createFakeInstaller } from "../../fake/fake_installer.ts";
import { FakeHostFiles } from "../../fake/fake_host_files.ts";
import { backupOf } from "./backup_messages.ts";
import { type Handlers, runFake } from "../fake_io.ts";

const ENTRIES = [
  { key: ["agent", "instance"], value: "instance-1" },
  { key: ["cluster", "revision"], value: 7 },
];

const AGENT: Handlers["agent"] = { backup: () => backupOf(ENTRIES) };

async function textOf(entries: typeof ENTRIES): Promise<string> {
  const pieces = await Array.fromAsync(backupOf(entries));
  return await new Blob(pieces.map(({ data }) => data)).text();
}

Deno.test("backup writes the agent's state, and names its node and time", async () => {
  const run = await runFake(["backup", "/b/x.jsonl"], { agent: AGENT });
  assert.deepEqual([run.code, run.stderr], [0, ""]);
  const [[path, bytes] = []] = run.written;
  assert.equal(path, "/b/x.jsonl");
  assert.equal(new TextDecoder().decode(bytes), await textOf(ENTRIES));
  assert.equal(
    run.stdout,
    "Wrote /b/x.jsonl: 2 entries of node node1 as of 2026-01-02 03:04:05Z\n",
  );
});

Deno.test("backup --json describes the file", async () => {
  const run = await runFake(["backup", "x", "--json"], { agent: AGENT });
  assert.deepEqual(JSON.parse(run.stdout), {
    schemaVersion: 1,
    file: "x",
    entries: 2,
    schema: 2,
    program: "1.2.3",
    cluster: "cluster-1",
    node: "node1",
    instance: "instance-1",
    takenAt: "2026-01-02T03:04:05.000Z",
  });
});

Deno.test("backup - writes to stdout, and the rest to stderr", async () => {
  const run = await runFake(["backup", "-"], { agent: AGENT });
  assert.deepEqual([run.code, run.written.size], [0, 0]);
  assert.equal(run.stdout, await textOf(ENTRIES));
  assert.equal(
    run.stderr,
    "Backed up 2 entries of node node1 as of 2026-01-02 03:04:05Z\n",
  );
});

Deno.test("backup leaves no file when the agent sends an incomplete backup", async (t) => {
  const text = await textOf(ENTRIES);
  const rows: readonly [name: string, text: string, says: string][] = [
    ["nothing", "", "it is empty"],
    ["cut short", text.slice(0, -20), "it is cut short"],
    ["changed", text.replace(":7}", ":8}"), "its checksum is another"],
  ];
  for (const [name, sent, says] of rows) {
    for (const file of ["x.jsonl", "-"]) {
      await t.step(`${name} to ${file}`, async () => {
        const run = await runFake(["backup", file], {
          agent: {
            async *backup() {
              yield { data: new TextEncoder().encode(sent) };
            },
          },
        });
        assert.deepEqual([run.code, run.written.size], [1, 0]);
        assert.ok(run.stderr.includes(says), run.stderr);
      });
    }
  }
});

Deno.test("restore reports what it restored, and the next steps", async () => {
  const args = ["restore", "x.jsonl", "--state", "/s", "--settle", "10m"];
  const run = await runFake(args);
  assert.equal(run.code, 0);
  assert.deepEqual(run.restores, [
    {
      file: "x.jsonl",
      stateDir: "/s",
      settleMs: 600_000,
      force: false,
      dryRun: false,
    },
  ]);
  assert.match(run.stdout, /^Restored x\.jsonl to \/s:\n {2}Node +node1\n/);
  assert.match(run.stderr, /Start the agent with --node node1\. /);
  assert.match(run.stderr, /no containers that started after it/);
});

Deno.test("restore --dry-run only reports", async () => {
  const run = await runFake(["restore", "x.jsonl", "--dry-run"]);
  assert.deepEqual([run.code, run.stderr], [0, ""]);
  assert.deepEqual(run.restores, [{
    file: "x.jsonl",
    stateDir: "/var/lib/stellar-net",
    settleMs: 60_000,
    force: false,
    dryRun: true,
  }]);
  assert.match(run.stdout, /^x\.jsonl can be restored to \/var\/lib\/stellar/);
});

Deno.test("restore --json describes the backup and its content", async () => {
  const run = await runFake(["restore", "x.jsonl", "--json", "--dry-run"]);
  assert.deepEqual(JSON.parse(run.stdout), {
    schemaVersion: 1,
    file: "x.jsonl",
    stateDir: "/var/lib/stellar-net",
    dryRun: true,
    schema: 2,
    program: "1.2.2",
    cluster: "cluster-1",
    node: "node1",
    instance: "instance-1",
    takenAt: "2026-01-01T00:00:00.000Z",
    entries: 100,
    hasRegistry: true,
    nodes: 3,
    held: 10,
    history: 20,
  });
});

Deno.test("restore and store migrate use the folder of the agent at the socket", async (t) => {
  const env = "STELLAR_NET_STATE=/srv/state\nSTELLAR_NET_SOCKET=/run/sn.sock\n";
  const rows: readonly [
    name: string,
    args: string,
    env: string,
    dir: string,
  ][] = [
    ["the default", "", "", "/var/lib/stellar-net"],
    ["the agent that served there", "--socket /run/a.sock", "", "/data/a"],
    ["the installed agent", "--socket /run/sn.sock", env, "/srv/state"],
    ["another than the installed", "", env, "/var/lib/stellar-net"],
    ["the given one", "--socket /run/a.sock --state /x", env, "/x"],
  ];
  for (const [name, args, text, dir] of rows) {
    await t.step(name, async () => {
      const files = new FakeHostFiles();
      if (text !== "") files.write("/etc/stellar-net/agent.env", text, 0o600);
      const options = {
        stateDirs: { "/run/a.sock": "/data/a" },
        installer: createFakeInstaller({ files }),
      };
      const flags = args.split(" ").filter((word) => word !== "");
      const restored = await runFake(["restore", "x", ...flags], options);
      assert.equal(restored.restores[0]?.stateDir, dir);
      const moved = await runFake(
        ["store", "migrate", "--to", "etcd://h1", ...flags],
        options,
      );
      assert.equal(moved.migrations[0]?.stateDir, dir);
    });
  }
});

Deno.test("node accept accepts the state of the stopped agent, and says what to check", async () => {
  const run = await runFake(["node", "accept", "--state", "/s"]);
  assert.deepEqual([run.code, run.accepts], [0, [{ stateDir: "/s" }]]);
  assert.equal(run.stdout, "The state in /s is of this machine now\n");
  assert.match(run.stderr, /never starts again: delete its state/);
});

Deno.test("backup --sign signs the file that it wrote", async () => {
  const run = await runFake(["backup", "x.jsonl", "--sign", "/id"], {
    agent: AGENT,
  });
  assert.equal(run.code, 0, run.stderr);
  assert.deepEqual(run.signed, [["x.jsonl", "/id"]]);
  const piped = await runFake(["backup", "-", "--sign", "/id"]);
  assert.equal(piped.code, 2);
  assert.match(piped.stderr, /--sign needs a file/);
});

Deno.test("restore says that a checksum has no key, and --verify checks a signature first", async () => {
  const plain = await runFake(["restore", "x.jsonl"]);
  assert.match(
    plain.stderr,
    /The checksum of a backup has no key: whoever can/,
  );
  const good = await runFake(["restore", "x.jsonl", "--verify", "/id"]);
  assert.match(good.stderr, /^Signed by node node1$/m);
  assert.doesNotMatch(good.stderr, /has no key/);
  assert.equal(good.restores.length, 1);
  const bad = await runFake(["restore", "x.jsonl", "--verify", "/wrong"]);
  assert.equal(bad.code, 1);
  assert.match(bad.stderr, /Cannot trust the file: it differs/);
  assert.deepEqual(bad.restores, []);
});
