import assert from "node:assert/strict";
import { createProgram } from "../../../src/cli/program.ts";
import type { StellarCommand } from "../../../src/cli/framework/command.ts";
import { backupOfNothing } from "../commands/backup_messages.ts";
import { createFakeIo, type Handlers, runFake } from "../fake_io.ts";

// An agent that has nothing and agrees to everything.
const AGREEABLE: Handlers = {
  agent: {
    getStatus: () => ({ subnets: [{ cidr: "172.16.0.0/22" }] }),
    listHostRoutes: () => ({}),
    examine: () => ({}),
    async *examineAll() {},
    async *testPaths() {},
    leave: () => ({}),
    backup: backupOfNothing,
    listLog: () => ({}),
    listAudit: () => ({}),
  },
  cluster: {
    getOverview: () => ({}),
    find: () => ({ found: [{ text: "web-1 holds 172.16.4.9 on host2" }] }),
    listEvents: () => ({}),
    async *watch() {
      yield { eventsMissed: true };
    },
  },
  identity: {
    createToken: () => ({ secret: "stn1.x", token: {} }),
    listTokens: () => ({}),
    revokeToken: () => ({}),
    listCertificates: () => ({}),
    revokeCertificates: () => ({}),
    rotateAuthority: () => ({ next: {} }),
    getTrust: () => ({}),
  },
  ipam: {
    allocate: () => ({}),
    release: () => ({}),
    getAllocation: () => ({}),
    listAllocations: () => ({}),
    async *watchAllocations() {},
    listHistory: () => ({}),
    reserve: () => ({}),
    unreserve: () => ({}),
    listReservations: () => ({}),
  },
  registry: {
    listNetworks: () => ({}),
    listNodes: () => ({}),
    removeNode: () => ({}),
    listSubnets: () => ({}),
    reserveSubnet: () => ({}),
    unreserveSubnet: () => ({}),
    listRoutes: () => ({}),
    addRoute: () => ({}),
    deleteRoute: () => ({}),
  },
};

function listCommands(command: StellarCommand): StellarCommand[] {
  const children = command.commands as readonly StellarCommand[];
  return [command, ...children.flatMap(listCommands)];
}

const COMMANDS = listCommands(
  createProgram(createFakeIo().io, () => Promise.resolve()),
);

/** The words behind the program's name. */
function wordsOf(command: StellarCommand): string[] {
  return command.path().split(" ").slice(1);
}

Deno.test("these are the commands", () => {
  assert.deepEqual(COMMANDS.map((command) => command.path()), [
    "stellar-net",
    "stellar-net agent",
    "stellar-net status",
    "stellar-net cluster",
    "stellar-net find",
    "stellar-net events",
    "stellar-net ui",
    "stellar-net doctor",
    "stellar-net test",
    "stellar-net ip",
    "stellar-net ip allocate",
    "stellar-net ip release",
    "stellar-net ip get",
    "stellar-net ip list",
    "stellar-net ip history",
    "stellar-net ip reserve",
    "stellar-net ip unreserve",
    "stellar-net subnet",
    "stellar-net subnet list",
    "stellar-net subnet reserve",
    "stellar-net subnet unreserve",
    "stellar-net node",
    "stellar-net node list",
    "stellar-net node leave",
    "stellar-net node remove",
    "stellar-net node accept",
    "stellar-net route",
    "stellar-net route list",
    "stellar-net route plan",
    "stellar-net route add",
    "stellar-net route delete",
    "stellar-net token",
    "stellar-net token create",
    "stellar-net token list",
    "stellar-net token revoke",
    "stellar-net identity",
    "stellar-net identity create",
    "stellar-net identity renew",
    "stellar-net identity show",
    "stellar-net identity list",
    "stellar-net identity revoke",
    "stellar-net identity rotate",
    "stellar-net audit",
    "stellar-net cni",
    "stellar-net cni install",
    "stellar-net cni config",
    "stellar-net docker",
    "stellar-net docker install",
    "stellar-net docker uninstall",
    "stellar-net install",
    "stellar-net uninstall",
    "stellar-net backup",
    "stellar-net restore",
    "stellar-net registry",
    "stellar-net registry rebuild",
    "stellar-net store",
    "stellar-net store migrate",
    "stellar-net store compact",
    "stellar-net support-bundle",
    "stellar-net proto",
    "stellar-net version",
    "stellar-net completion",
    "stellar-net help",
  ]);
});

Deno.test("every command has help, by flag and by word", async (t) => {
  for (const command of COMMANDS) {
    await t.step(command.path(), async () => {
      const words = wordsOf(command);
      const byFlag = await runFake([...words, "--help"]);
      assert.deepEqual([byFlag.code, byFlag.stderr], [0, ""]);
      assert.ok(byFlag.stdout.startsWith(`Usage: ${command.path()} `));
      const byWord = await runFake(["--socket", "a.sock", "help", ...words]);
      assert.equal(byWord.stdout, byFlag.stdout);
    });
  }
});

Deno.test("help of an unknown command is wrong usage, with exit code 2", async (t) => {
  const lines = [
    "nope --help",
    "ip nope --help",
    "--json nope -h",
    "help nope",
  ];
  for (const line of lines) {
    await t.step(line, async () => {
      const run = await runFake(line.split(" "));
      assert.deepEqual([run.code, run.stdout], [2, ""]);
      assert.match(run.stderr, /command "nope"/);
    });
  }
});

Deno.test("every command, flag and operand has a description, each flag its environment variable", async (t) => {
  for (const command of COMMANDS) {
    await t.step(command.path(), () => {
      assert.notEqual(command.description(), "");
      for (const argument of command.registeredArguments) {
        assert.notEqual(argument.description, "", argument.name());
      }
      const options = command.options.filter((o) => o.name() !== "version");
      for (const option of options) {
        const twin = option.name().replaceAll("-", "_").toUpperCase();
        assert.match(option.description, /^\S.{9,} \(.+\)$/);
        const isTypedOnly = [
          "force",
          "purge",
          "take-down",
          "compromised",
          "yes",
          "watch",
          "follow",
        ]
          .includes(option.name()) ||
          // The variable of that name holds the cluster's networks.
          option.name() === "network" && command.path().includes("docker");
        const note = isTypedOnly ? "no env)" : `env: STELLAR_NET_${twin})`;
        assert.ok(option.description.endsWith(note), option.description);
      }
    });
  }
});

Deno.test("every command has examples, and they run", async (t) => {
  for (const command of COMMANDS) {
    const help = await runFake([...wordsOf(command), "--help"]);
    const examples = help.stdout.split("\nExamples:\n")[1]!.trimEnd();
    for (const example of examples.split("\n")) {
      await t.step(`${command.path()}: ${example.trim()}`, async () => {
        const [program, ...args] = splitLine(example.trim());
        assert.equal(program, "stellar-net");
        assert.ok(` ${args.join(" ")}`.includes(lastWord(command)));
        const run = await runFake(args, AGREEABLE);
        assert.equal(run.code, 0, run.stderr);
      });
    }
  }
});

Deno.test("help fits the terminal", async (t) => {
  for (const columns of [80, 120]) {
    await t.step(`${columns} columns`, async () => {
      const { stdout } = await runFake(["agent", "--help"], { columns });
      const [text = ""] = stdout.split("\nExamples:");
      const widths = text.split("\n").map((line) => line.length);
      assert.ok(Math.max(...widths) <= columns);
      assert.ok(Math.max(...widths) > columns - 20);
    });
  }
});

Deno.test("the program without arguments prints its help and exits with 0", async (t) => {
  const { stdout } = await runFake(["--help"]);
  for (const args of [[], ["--socket", "a.sock"], ["help"]]) {
    await t.step(args.join(" "), async () => {
      const run = await runFake(args);
      assert.deepEqual([run.code, run.stdout, run.stderr], [0, stdout, ""]);
    });
  }
});

/** The words of a line of a shell, up to a redirection. Double quotes alone are known. */
function splitLine(line: string): string[] {
  const [command = ""] = line.split(" > ");
  return [...command.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, plain]) =>
    quoted ?? plain ?? ""
  );
}

/** The last word of a command's path; none for the program itself. */
function lastWord(command: StellarCommand): string {
  return wordsOf(command).slice(-1).map((word) => ` ${word}`).join("");
}
