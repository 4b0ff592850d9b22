import assert from "node:assert/strict";
import { Code, ConnectError } from "@connectrpc/connect";
import { CheckStatus } from "../../../src/gen/stellar/net/v1/agent_pb.ts";
import { UNIT_PATH } from "../../../src/install/plan/layout.ts";
import { FakeHostFiles } from "../../fake/fake_host_files.ts";
import { createFakeInstaller } from "../../fake/fake_installer.ts";
import { type FakeIoOptions, runFake } from "../fake_io.ts";

const OK = {
  name: "ip",
  status: CheckStatus.OK,
  found: "reads this host's interfaces",
};
const WARNING = {
  name: "privileges",
  status: CheckStatus.WARNING,
  found: "the agent runs without CAP_NET_ADMIN",
  means: "it can change nothing",
  mend: "run the agent as root",
};
const FAILED = {
  name: "forwarding",
  status: CheckStatus.FAILED,
  found: "net.ipv4.ip_forward is 0",
  means: "containers reach no other host",
  mend: "sysctl -w net/ipv4/ip_forward=1",
};

function answering(
  checks: readonly (typeof OK | typeof WARNING)[],
): FakeIoOptions {
  return { agent: { examine: () => ({ checks: [...checks] }) } };
}

function refusing(message: string, code: Code): FakeIoOptions {
  return {
    agent: {
      examine: () => {
        throw new ConnectError(message, code);
      },
    },
  };
}

Deno.test("doctor prints a line for each check, with the fix", async () => {
  const run = await runFake(["doctor"], answering([OK, WARNING, FAILED]));
  assert.deepEqual([run.code, run.stdout, run.stderr], [
    1,
    `\
ok       ip: reads this host's interfaces
warning  privileges: the agent runs without CAP_NET_ADMIN; it can change nothing; to fix it: run the agent as root
FAILED   forwarding: net.ipv4.ip_forward is 0; containers reach no other host; to fix it: sysctl -w net/ipv4/ip_forward=1
`,
    "Checks: 3, failed: 1, warnings: 1\n",
  ]);
});

Deno.test("doctor exits with 1 when a check failed, and with 0 for warnings", async (t) => {
  const rows: readonly [
    name: string,
    checks: readonly (typeof OK | typeof WARNING)[],
    code: number,
  ][] = [
    ["all is well", [OK, OK], 0],
    ["a warning", [OK, WARNING], 0],
    ["a failure", [FAILED, OK], 1],
  ];
  for (const [name, checks, code] of rows) {
    for (const flags of [[], ["--json"]]) {
      await t.step(`${name} ${flags.join("")}`, async () => {
        const run = await runFake(["doctor", ...flags], answering(checks));
        assert.equal(run.code, code);
      });
    }
  }
});

Deno.test("doctor checks the path to a peer", async () => {
  const asked: string[] = [];
  const agent: FakeIoOptions["agent"] = {
    examine: ({ peer }) => {
      asked.push(peer);
      return {};
    },
  };
  for (const args of [["doctor"], ["doctor", "node3"]]) {
    assert.equal((await runFake(args, { agent })).code, 0);
  }
  assert.deepEqual(asked, ["", "node3"]);
});

Deno.test("doctor --json prints the same checks", async () => {
  const args = ["doctor", "node3", "--json"];
  const run = await runFake(args, answering([OK, FAILED]));
  assert.deepEqual(JSON.parse(run.stdout), {
    schemaVersion: 1,
    peer: "node3",
    checks: [
      {
        ...OK,
        status: "ok",
        means: null,
        mend: null,
        command: null,
        harm: null,
      },
      { ...FAILED, status: "failed", command: null, harm: null },
    ],
  });
});

Deno.test("doctor reports an agent that does not answer as a failed check", async (t) => {
  const means =
    "containers get no addresses on this host, and nothing repairs " +
    "its routes; existing routes stay";
  const rows: readonly [
    name: string,
    options: FakeIoOptions,
    found: string,
    mend: string,
    means?: string,
  ][] = [
    [
      "the message says what to do",
      refusing(
        'Cannot reach the agent at "a: run b": no such socket: start it, or name its socket',
        Code.Unavailable,
      ),
      'Cannot reach the agent at "a: run b": no such socket',
      "start it, or name its socket",
    ],
    [
      "the message does not",
      refusing("the agent is starting", Code.Unavailable),
      "the agent is starting",
      "read the log of the agent",
      "the agent could not finish its checks",
    ],
    [
      "no answer in time",
      refusing("the operation timed out", Code.DeadlineExceeded),
      'the agent at "/run/stellar-net/agent.sock" did not answer in time',
      "read its log, or wait longer with --timeout",
    ],
  ];
  for (const [name, options, found, mend, other] of rows) {
    await t.step(name, async () => {
      const run = await runFake(["doctor"], options);
      assert.deepEqual([run.code, run.stdout, run.stderr], [
        1,
        `FAILED  agent: ${found}; ${other ?? means}; to fix it: ${mend}\n`,
        "Checks: 1, failed: 1, warnings: 0\n",
      ]);
    });
  }
});

Deno.test("doctor says when there is no such peer", async () => {
  const run = await runFake(
    ["doctor", "node9"],
    refusing('there is no node "node9"', Code.NotFound),
  );
  assert.deepEqual([run.code, run.stdout, run.stderr], [
    1,
    "",
    'stellar-net: Cannot check this host: there is no node "node9"\n',
  ]);
});

Deno.test("doctor gives the command that starts an agent whose unit is installed", async (t) => {
  const message =
    'Cannot reach the agent at "/run/a": no such socket: start it, or name its socket';
  const rows: readonly [
    name: string,
    hasUnit: boolean,
    hasSystemd: boolean,
    command: string | null,
  ][] = [
    ["installed", true, true, "systemctl restart stellar-net.service"],
    ["no unit", false, true, null],
    ["no systemd", true, false, null],
  ];
  for (const [name, hasUnit, hasSystemd, command] of rows) {
    await t.step(name, async () => {
      const files = new FakeHostFiles();
      if (hasUnit) files.write(UNIT_PATH, "[Unit]", 0o644);
      const { stdout } = await runFake(["doctor", "--json"], {
        ...refusing(message, Code.Unavailable),
        installer: createFakeInstaller({ files, hasSystemd }),
      });
      const [check] = JSON.parse(stdout).checks;
      assert.equal(check.command, command);
      assert.equal(check.mend, command ?? "start it, or name its socket");
    });
  }
});

Deno.test("doctor --all prints every host that is well in one line, and the findings of the others", async (t) => {
  const messages = [
    { node: "host3", problem: "it sends no heartbeats", hosts: 3 },
    { node: "host2", checks: [OK, WARNING, FAILED], hosts: 3 },
    { node: "host1", checks: [OK, OK], hosts: 3 },
  ];
  const all = (found: typeof messages) => ({
    agent: {
      async *examineAll() {
        yield* found;
      },
    },
  });
  await t.step("in the order of their names", async () => {
    const run = await runFake(["doctor", "--all"], all(messages));
    assert.deepEqual([run.code, run.stdout, run.stderr], [
      1,
      `\
ok       host1  2 checks passed
warning  host2  privileges: the agent runs without CAP_NET_ADMIN; it can change nothing; to fix it: run the agent as root
FAILED   host2  forwarding: net.ipv4.ip_forward is 0; containers reach no other host; to fix it: sysctl -w net/ipv4/ip_forward=1
FAILED   host3  not examined: it sends no heartbeats
`,
      "Hosts: 3, not examined: 1, checks: 5, failed: 1, warnings: 1\n",
    ]);
  });
  await t.step("with 0 where all is well", async () => {
    const run = await runFake(["doctor", "--all"], all(messages.slice(2)));
    assert.equal(run.code, 0);
  });
  await t.step("for programs", async () => {
    const run = await runFake(["doctor", "--all", "--json"], all(messages));
    const { hosts } = JSON.parse(run.stdout);
    assert.equal(hosts[2].problem, "it sends no heartbeats");
    assert.equal(hosts[1].checks[2].status, "failed");
  });
  await t.step("without PEER", async () => {
    const run = await runFake(["doctor", "n1", "--all"], all(messages));
    assert.equal(run.code, 2);
  });
});
