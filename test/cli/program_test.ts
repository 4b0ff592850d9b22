import assert from "node:assert/strict";
import { type Handlers, runFake } from "./fake_io.ts";

const USAGE: readonly [args: string, path: string, problem: string][] = [
  ["frobnicate", "stellar-net", 'unknown command "frobnicate"'],
  ["ipp", "stellar-net", 'unknown command "ipp" (Did you mean ip?)'],
  ["--jsn", "stellar-net", 'unknown option "--jsn" (Did you mean --json?)'],
  ["--socket", "stellar-net", 'option "--socket <PATH>" argument missing'],
  [
    "ip",
    "stellar-net ip",
    "it needs a command: allocate, release, get, list, history",
  ],
  ["--json ip", "stellar-net ip", "it needs a command: allocate"],
  ["ip lst", "stellar-net ip", 'unknown command "lst" (Did you mean list?)'],
  ["ip get", "stellar-net ip get", 'missing required argument "CONTAINER_ID"'],
  ["ip get a b", "stellar-net ip get", "Expected 1 argument but got 2: a, b"],
  ["ip list x", "stellar-net ip list", "Expected 0 arguments but got 1: x"],
  ["ip list --nod x", "stellar-net ip list", 'unknown option "--nod"'],
  ["ip list --node", "stellar-net ip list", '"--node <NAME>" argument missing'],
  ["ip release é", "stellar-net ip release", 'CONTAINER_ID: "é" is not valid'],
  ["subnet reserve", "stellar-net subnet reserve", 'argument "CIDR"'],
  [
    "subnet reserve 172.16.0.1/22",
    "stellar-net subnet reserve",
    'CIDR: "172.16.0.1/22" has host bits set',
  ],
  [
    "subnet unreserve 172.16.0.0",
    "stellar-net subnet unreserve",
    'CIDR: "172.16.0.0" is not a prefix',
  ],
  ["route add 192.0.2.0/24", "stellar-net route add", 'argument "TARGET"'],
  [
    "route add 192.0.2.0/24 192.0.2.1/24",
    "stellar-net route add",
    'TARGET: "192.0.2.1/24" is not an IP address',
  ],
  [
    "route delete 192.0.2.0/24abc",
    "stellar-net route delete",
    'CIDR: "192.0.2.0/24abc" is not a prefix',
  ],
  ["route", "stellar-net route", "it needs a command: list, plan, add, delete"],
  ["route plan x", "stellar-net route plan", "Expected 0 arguments but got 1"],
  ["node leave n1", "stellar-net node leave", "Expected 0 arguments but got 1"],
  ["doctor -x", "stellar-net doctor", 'unknown option "-x"'],
  ["doctor a/b", "stellar-net doctor", 'PEER: "a/b" is not valid'],
  ["doctor a b", "stellar-net doctor", "Expected 1 argument but got 2: a, b"],
  ["completion", "stellar-net completion", 'argument "SHELL"'],
  ["completion csh", "stellar-net completion", 'SHELL: "csh" is not known'],
  ["--json agent", "stellar-net agent", "it has no flag --json"],
  ["agent --json", "stellar-net agent", 'unknown option "--json"'],
  ["--timeout 1s version", "stellar-net version", "it has no flag --timeout"],
  ["help nothing", "stellar-net", 'it has no command "nothing"'],
  ["help ip nothing", "stellar-net ip", 'it has no command "nothing"'],
  ["help agent x", "stellar-net agent", 'it has no command "x"'],
];

Deno.test("runCli() refuses wrong usage in one line, with exit code 2", async (t) => {
  for (const [args, path, problem] of USAGE) {
    await t.step(args, async () => {
      const run = await runFake(args.split(" "));
      assert.equal(run.code, 2);
      assert.equal(run.stdout, "");
      const start = `stellar-net: Cannot run "${path}": `;
      assert.ok(run.stderr.startsWith(start), run.stderr);
      assert.ok(run.stderr.includes(problem), run.stderr);
      assert.ok(run.stderr.endsWith(`; see "${path} --help"\n`), run.stderr);
      assert.deepEqual([...run.agents, ...run.targets], []);
    });
  }
});

Deno.test("runCli() prints no control character of an argument", async () => {
  const run = await runFake(["\x1b[31mx\ny"]);
  assert.equal(run.code, 2);
  assert.match(run.stderr, /unknown command "\\u001b\[31mx y"/);
});

Deno.test("runCli() takes words after -- as operands", async () => {
  const asked: (string | undefined)[] = [];
  const ipam: Handlers["ipam"] = {
    listAllocations: () => ({}),
    release: ({ owner }) => {
      asked.push(owner?.containerId);
      return {};
    },
  };
  const run = await runFake(["ip", "release", "--", "--json"], { ipam });
  assert.equal(run.code, 0);
  assert.deepEqual(asked, ["--json"]);
});

Deno.test("a switch's variable turns --json on and off", async (t) => {
  const rows: readonly [value: string, isJson: boolean][] = [
    ["true", true],
    ["1", true],
    ["false", false],
    ["0", false],
    ["", false],
  ];
  for (const [value, isJson] of rows) {
    await t.step(JSON.stringify(value), async () => {
      const run = await runFake(["version"], {
        env: { STELLAR_NET_JSON: value },
      });
      assert.equal(run.stdout.startsWith("{"), isJson);
    });
  }
});
