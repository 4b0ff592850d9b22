import assert from "node:assert/strict";
import { createProgram } from "../../../src/cli/program.ts";
import { backupOfNothing } from "../commands/backup_messages.ts";
import { createFakeIo, runFake } from "../fake_io.ts";

// Every flag once, with a command that has it, a value that is wrong and what
// is said about it. Of switches only the twin has a value.
const ROWS: readonly [
  flag: string,
  command: string,
  bad: string,
  said: string,
][] = [
  ["node", "agent", "a b", '"a b" is not valid'],
  ["node", "ip list", "-x", '"-x" is not valid'],
  ["node", "subnet reserve 172.16.0.0/22", "a/b", '"a/b" is not valid'],
  ["network", "agent", "10.0.0.0/33", '"10.0.0.0/33" is not a prefix'],
  ["subnet-prefix", "agent", "129", '"129" is not a whole number'],
  ["state", "agent", "a\0", '"a\\u0000" is not a path'],
  ["socket", "agent", "a".repeat(108), "has 108 bytes"],
  ["socket-group", "agent", "a b", '"a b" is not a group'],
  ["socket", "status", "a".repeat(108), "has 108 bytes"],
  ["listen", "agent", "localhost:1", '"localhost" is not an IP address'],
  ["metrics", "agent", ":9100", '":9100" has no address'],
  ["store", "agent", "etcd://h:0", '"etcd://h:0" is not a store'],
  ["store-ca", "agent", "a\0", '"a\\u0000" is not a path'],
  ["store-cert", "agent", "a\0", '"a\\u0000" is not a path'],
  ["store-key", "agent", "a\0", '"a\\u0000" is not a path'],
  ["token-file", "agent", "a\0", '"a\\u0000" is not a path'],
  ["tls-cert", "agent", "a\0", '"a\\u0000" is not a path'],
  ["tls-key", "agent", "a\0", '"a\\u0000" is not a path'],
  ["tls-ca", "agent", "a\0", '"a\\u0000" is not a path'],
  ["store-user", "agent", "a:b", '"a:b" is not a user'],
  ["store-password-file", "agent", "a\0", '"a\\u0000" is not a path'],
  ["advertise", "agent", "198.18.0.1/16", "remove the prefix length"],
  ["advertise", "agent", "127.0.0.1", "127.0.0.0/8 (loopback)"],
  ["advertise", "agent", "0.0.0.0", "0.0.0.0/8 (this network)"],
  ["advertise", "agent", "169.254.1.1", "169.254.0.0/16 (link-local)"],
  ["advertise", "agent", "224.0.0.1", "224.0.0.0/4 (multicast)"],
  ["advertise", "agent", "255.255.255.255", "240.0.0.0/4 (reserved)"],
  ["advertise", "agent", "::", "::/127 (unspecified and loopback)"],
  ["advertise", "agent", "::1", '"::1" cannot be a next hop for other'],
  ["advertise", "agent", "fe80::1", "fe80::/10 (link-local)"],
  ["advertise", "agent", "ff02::1", "ff00::/8 (multicast)"],
  ["join", "agent", "host1:9000", '"host1:9000" is not valid: it has to be a'],
  ["join", "agent", "http://host1:9000/x", "is not valid"],
  ["routes", "agent", "on", '"on" is not known: choose auto, apply, plan'],
  ["route-protocol", "agent", "4", '"4" is not a whole number from 5 to 255'],
  ["route-protocol", "agent", "12", '"12" marks the routes of bird'],
  ["bridge", "agent", "all", '"all" is not a name for a bridge'],
  ["reclaim-after", "agent", "59s", '"59s" is too short'],
  ["reclaim-after", "agent", "1", '"1" is not a duration'],
  ["forward-rules", "agent", "no", '"no" is not known: choose on, off'],
  ["probe", "agent", "no", '"no" is not known: choose on, off'],
  ["docker-plugin", "agent", "/run/x", '"/run/x" is not valid: it has to end'],
  ["docker-plugin", "agent", "x.sock", "is not valid"],
  ["docker-api", "agent", "a\0", '"a\\u0000" is not a path'],
  ["docker-api", "docker uninstall", "a\0", '"a\\u0000" is not a path'],
  ["port", "ui", "x", '"x" is not a whole number'],
  ["sign", "backup x", "a\0", '"a\\u0000" is not a path'],
  ["verify", "restore x", "a\0", '"a\\u0000" is not a path'],
  ["cool-down", "agent", "60", '"60" is not a duration'],
  ["keep-history", "agent", "1y", '"1y" is not a duration'],
  ["leak-interval", "agent", "0s", '"0s" is not between'],
  ["leak-grace", "agent", "5", '"5" is not a duration'],
  ["log-format", "agent", "xml", '"xml" is not known: choose text, json'],
  ["log-level", "agent", "trace", '"trace" is not known: choose debug'],
  ["timeout", "doctor", "2d", '"2d" is not between'],
  ["timeout", "ip list", "0s", '"0s" is not between'],
  ["network-name", "ip get c1", "a/b", '"a/b" is not valid'],
  ["interface", "ip get c1", "a:b", '"a:b" is not valid'],
  ["address", "ip allocate c1", "1..2.3", '"1..2.3" is not an IP address'],
  ["address", "ip history", "10.0.0.1/8", "remove the prefix length"],
  ["name", "cni config", "a/b", '"a/b" is not valid'],
  ["bridge", "cni config", "a:b", '"a:b" is not valid'],
  ["plugin-dir", "cni install", "a\0", '"a\\u0000" is not a path'],
  ["prefix", "install", "usr", '"usr" is not an absolute path'],
  ["root", "install", "/a/../b", '"/a/../b" is not an absolute path'],
  ["container", "ip history", "a b", '"a b" is not valid'],
  ["label", "ip allocate c1", "app", '"app" is not a label'],
  ["ttl", "ip allocate c1", "60", '"60" is not a duration'],
  ["since", "ip history", "yesterday", '"yesterday" is not a duration'],
  ["limit", "ip history", "1001", '"1001" is not a whole number'],
  ["settle", "restore x.jsonl", "60", '"60" is not a duration'],
  ["state", "restore x.jsonl", "a\0", '"a\\u0000" is not a path'],
  ["report", "registry rebuild", "a\0", '"a\\u0000" is not a path'],
  ["timeout", "backup x.jsonl", "2d", '"2d" is not between'],
  ["from", "store migrate --to etcd://h1", "etcd", '"etcd" is not a store'],
  [
    "to",
    "store migrate",
    "kv::memory:",
    '"kv::memory:" is lost when the agent stops',
  ],
  ["state", "store migrate --to etcd://h1", "a\0", "is not a path"],
  ["reason", "subnet reserve 172.16.0.0/22", "a\nb", '"a\\nb" is not valid'],
  ["url", "status", "h1:9000", '"h1:9000" is not valid: it has to be a URL'],
  ["identity", "status", "a\0", '"a\\u0000" is not a path'],
  ["role", "token create", "root", '"root" is not known: choose node,'],
  ["name", "token create", "a/b", '"a/b" is not valid'],
  ["lifetime", "token create", "1", '"1" is not a duration'],
  ["uses", "token create", "0", '"0" is not a whole number from 1 to 10000'],
  ["uses", "token create", "10001", "is not a whole number from 1 to 10000"],
  ["file", "token create", "a\0", '"a\\u0000" is not a path'],
  ["serial", "identity revoke", "xy", "The serial number is not valid"],
  ["reason", "identity revoke n1", "a\nb", '"a\\nb" is not valid'],
  ["announce", "identity rotate", "1", '"1" is not a duration'],
  ["overlap", "identity rotate", "1", '"1" is not a duration'],
  ["since", "audit", "1", '"1" is not a duration'],
  ["caller", "audit", "a\nb", '"a\\nb" is not valid'],
  ["call", "audit", "remove-node", '"remove-node" is not the name of a call'],
  ["output", "node list", "xml", '"xml" is not known: choose wide, json, csv'],
  ["limit", "audit", "0", '"0" is not a whole number from 1 to 1000'],
];

const SWITCHES: readonly [
  flag: string,
  command: string,
  bad: string,
][] = [
  ["insecure", "agent --listen 0.0.0.0:1", "yes"],
  ["accept-insecure", "agent --listen 0.0.0.0:1", "yes"],
  ["masquerade", "agent", "perhaps"],
  ["no-blackhole", "agent", "perhaps"],
  ["docker", "agent", "perhaps"],
  ["all", "doctor", "perhaps"],
  ["all-nodes", "ip list", "perhaps"],
  ["leaked", "ip list", "perhaps"],
  ["reserved", "ip list", "perhaps"],
  ["extra", "route list", "perhaps"],
  ["link", "cni install", "perhaps"],
  ["skip-cni", "install", "perhaps"],
  ["dry-run", "uninstall", "perhaps"],
  ["dry-run", "restore x.jsonl", "perhaps"],
  ["dry-run", "store migrate --to etcd://h1", "perhaps"],
  ["failed", "audit", "perhaps"],
  ["json", "version", "on"],
];

/** Switches that destroy or force, without an environment variable. */
const DESTRUCTIVE: readonly [flag: string, command: string][] = [
  ["force", "node leave"],
  ["force", "node remove n1"],
  ["force", "install"],
  ["force", "uninstall"],
  ["purge", "uninstall"],
  ["take-down", "uninstall"],
  ["compromised", "identity rotate"],
  ["force", "restore x.jsonl"],
  ["yes", "registry rebuild"],
];

function twinOf(flag: string): string {
  return `STELLAR_NET_${flag.replaceAll("-", "_").toUpperCase()}`;
}

Deno.test("every flag refuses a wrong value, naming itself and the value", async (t) => {
  for (const [flag, command, bad, said] of ROWS) {
    await t.step(`${command} --${flag}`, async () => {
      const run = await runFake([...command.split(" "), `--${flag}`, bad]);
      assert.equal(run.code, 2);
      assert.equal(run.stdout, "");
      assert.ok(run.stderr.includes(`: --${flag}: `), run.stderr);
      assert.ok(run.stderr.includes(said), run.stderr);
      assert.match(run.stderr, /^stellar-net: Cannot run "[^\n]+ --help"\n$/);
      assert.deepEqual([...run.agents, ...run.targets], []);
    });
  }
});

Deno.test("every environment twin refuses a wrong value, naming itself and the value", async (t) => {
  const rows = [
    ...ROWS,
    ...SWITCHES.map(([flag, command, bad]) =>
      [flag, command, bad, `"${bad}" is neither on nor off`] as const
    ),
  ];
  for (const [flag, command, bad, said] of rows) {
    await t.step(`${twinOf(flag)} for ${command}`, async () => {
      const env = { [twinOf(flag)]: bad };
      const run = await runFake(command.split(" "), { env });
      assert.equal(run.code, 2);
      assert.equal(run.stdout, "");
      assert.ok(run.stderr.includes(`: ${twinOf(flag)}: `), run.stderr);
      assert.ok(run.stderr.includes(said), run.stderr);
      assert.deepEqual([...run.agents, ...run.targets], []);
    });
  }
});

Deno.test("flags that destroy or force have no environment variable", async (t) => {
  for (const [flag, command] of DESTRUCTIVE) {
    await t.step(`${twinOf(flag)} for ${command}`, async () => {
      const { stdout } = await runFake([...command.split(" "), "--help"]);
      assert.ok(!stdout.includes(`env: ${twinOf(flag)}`));
      // A wrong value would be refused if anything read it.
      const run = async (env: Record<string, string>) => {
        const forces: unknown[] = [];
        const { code, stderr, stdout } = await runFake(command.split(" "), {
          env,
          agent: {
            leave: ({ force }) => {
              forces.push(force);
              return {};
            },
          },
          registry: {
            removeNode: ({ force }) => {
              forces.push(force);
              return {};
            },
          },
          identity: {
            rotateAuthority: ({ compromised }) => {
              forces.push(compromised);
              return { next: {} };
            },
            getTrust: () => ({}),
            listTokens: () => ({}),
          },
        });
        return { code, stderr, stdout, forces };
      };
      const usual = await run({});
      for (const value of ["true", "perhaps"]) {
        assert.deepEqual(await run({ [twinOf(flag)]: value }), usual);
      }
    });
  }
});

Deno.test("every flag refuses an empty value, and an empty variable counts as unset", async (t) => {
  const registry = {
    reserveSubnet: () => ({}),
    listNetworks: () => ({}),
    listSubnets: () => ({}),
    listNodes: () => ({}),
  };
  const ipam = {
    listAllocations: () => ({}),
    getAllocation: () => ({}),
    allocate: () => ({}),
    listHistory: () => ({}),
  };
  const agent = {
    getStatus: () => ({}),
    examine: () => ({}),
    backup: backupOfNothing,
    listAudit: () => ({}),
  };
  const identity = {
    createToken: () => ({ token: {} }),
    rotateAuthority: () => ({ next: {} }),
    getTrust: () => ({}),
    revokeCertificates: () => ({}),
  };
  // An empty reason is none, and without a target there is nothing to do.
  const isLeftOut = (flag: string) => ["reason", "to", "serial"].includes(flag);
  for (const [flag, command] of ROWS.filter(([flag]) => !isLeftOut(flag))) {
    await t.step(`${command} --${flag}`, async () => {
      const given = await runFake([...command.split(" "), `--${flag}`, ""]);
      assert.equal(given.code, 2);
      assert.ok(given.stderr.includes(`: --${flag}: ""`), given.stderr);
      const env = { [twinOf(flag)]: "" };
      const options = { env, registry, ipam, agent, identity };
      const unset = await runFake(command.split(" "), options);
      assert.equal(unset.code, 0, unset.stderr);
    });
  }
});

Deno.test("the tables above contain every flag", () => {
  const program = createProgram(createFakeIo().io, () => Promise.resolve());
  const nouns = program.commands;
  const flags = [program, ...nouns, ...nouns.flatMap((noun) => noun.commands)]
    .flatMap((command) => command.options.map((option) => option.name()));
  const tested = [...ROWS, ...SWITCHES, ...DESTRUCTIVE].map(([flag]) => flag)
    .concat("follow", "watch");
  assert.deepEqual(
    [...new Set(flags)].filter((flag) => flag !== "version").sort(),
    [...new Set(tested)].sort(),
  );
});

Deno.test("a flag takes precedence over its variable, and the last of several counts", async (t) => {
  const env = { STELLAR_NET_NODE: "twin", STELLAR_NET_COOL_DOWN: "wrong" };
  const rows: readonly [args: readonly string[], node: string][] = [
    [["--cool-down", "1s"], "twin"],
    [["--cool-down", "1s", "--node", "flag"], "flag"],
    [["--cool-down=1s", "--node=flag"], "flag"],
    [["--cool-down", "1s", "--node", "first", "--node", "last"], "last"],
  ];
  for (const [args, node] of rows) {
    await t.step(args.join(" "), async () => {
      const run = await runFake(["agent", ...args], { env });
      assert.deepEqual(run.agents.map(({ config }) => config.node), [node]);
    });
  }
});

Deno.test("--socket, --json and --timeout stand before or after noun and verb", async (t) => {
  const ipam = { listAllocations: () => ({}) };
  const target = { socketPath: "a.sock", timeoutMs: 1_000 };
  const flags = ["--socket", "a.sock", "--json", "--timeout", "1s"];
  const rows: readonly (readonly string[])[] = [
    [...flags, "ip", "list"],
    ["ip", ...flags, "list"],
    ["ip", "list", ...flags],
    ["--socket", "other.sock", "ip", "list", ...flags],
    ["--json", "ip", "--timeout", "1s", "list", "--socket", "a.sock"],
  ];
  for (const args of rows) {
    await t.step(args.join(" "), async () => {
      const run = await runFake(args, { ipam });
      assert.equal(run.code, 0);
      assert.deepEqual(run.targets, [target]);
      assert.deepEqual(JSON.parse(run.stdout), {
        schemaVersion: 1,
        allocations: [],
      });
    });
  }
});

Deno.test("clients use the default socket and wait 10 s, doctor 30 s", async (t) => {
  const rows: readonly [command: string, timeoutMs: number][] = [
    ["ip list", 10_000],
    ["doctor", 30_000],
    ["doctor --timeout 5s", 5_000],
    ["--timeout 5s doctor", 5_000],
  ];
  for (const [command, timeoutMs] of rows) {
    await t.step(command, async () => {
      const run = await runFake(command.split(" "), {
        ipam: { listAllocations: () => ({}) },
        agent: { examine: () => ({}) },
      });
      const socketPath = "/run/stellar-net/agent.sock";
      assert.deepEqual(run.targets, [{ socketPath, timeoutMs }]);
    });
  }
});
