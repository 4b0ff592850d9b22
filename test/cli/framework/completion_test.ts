import assert from "node:assert/strict";
import { createProgram } from "../../../src/cli/program.ts";
import { run } from "../../support/run.ts";
import { createFakeIo, runFake } from "../fake_io.ts";

const COMMANDS =
  "agent status cluster find events ui doctor test ip subnet node route token identity audit cni docker install uninstall backup restore registry store support-bundle proto version completion help";
const CLIENT = "--socket --url --identity --json --timeout --help";

// What bash passes, and what it is offered. Bash splits words at "=" and ":".
const ROWS: readonly [words: readonly string[], offered: string][] = [
  [[""], COMMANDS],
  [["s"], "status subnet store support-bundle"],
  [["--"], "--socket --url --identity --json --timeout --help --version"],
  [["ip", ""], "allocate release get list history reserve unreserve"],
  [["ip", "l"], "list"],
  [
    ["ip", "list", ""],
    `--node --all-nodes --label --leaked --reserved --output --watch ${CLIENT}`,
  ],
  [
    ["--socket", "x", "ip", ""],
    "allocate release get list history reserve unreserve",
  ],
  [
    ["ip", "--socket", "x", ""],
    "allocate release get list history reserve unreserve",
  ],
  [["--socket", "=", "x", "ip", "a"], "allocate"],
  [["ip", "get", "list", "--net"], "--network-name"],
  [["ip", "list", "--node", ""], "n1 n2"],
  [["ip", "list", "--output", ""], "wide json csv"],
  [["ip", "list", "--node", "=", "n2"], "n2"],
  [["doctor", ""], "n1 n2"],
  [["doctor", "-"], `--all ${CLIENT}`],
  [["node", "remove", "n"], "n1 n2"],
  [["--socket", "/run/other", "node", "remove", ""], "other"],
  [["--socket", "/gone", "node", "remove", "--f"], "--force"],
  [["restore", "/et"], "/etc"],
  [["backup", "/etc/hostn"], "/etc/hostname"],
  [["identity", "show", "/et"], "/etc"],
  [["node", ""], "list leave remove accept"],
  [["node", "leave", ""], `--force ${CLIENT}`],
  [["route", ""], "list plan add delete"],
  [["route", "list", ""], `--extra --output --watch ${CLIENT}`],
  [["token", ""], "create list revoke"],
  [["token", "create", "--role", ""], "node operator readonly"],
  [["identity", "r"], "renew revoke rotate"],
  [["--identity", "/et"], "/etc"],
  [["agent", "--routes", ""], "auto apply plan off"],
  [["agent", "--join", "http", ":", "//h", ":", "1", "--ma"], "--masquerade"],
  [["agent", "--log-format", ""], "text json"],
  [["agent", "--log-format", "="], "text json"],
  [["agent", "--log-format", "=", "j"], "json"],
  [["agent", "--listen", "127.0.0.1", ":", "9000", "--ins"], "--insecure"],
  [["agent", "--state", "/et"], "/etc"],
  [["install", "--routes", "p"], "plan"],
  [["install", "--root", "/et"], "/etc"],
  [["uninstall", "--t"], "--take-down"],
  [["completion", ""], "bash zsh fish"],
  [["help", "s"], "status subnet store support-bundle"],
  [["help", "subnet", ""], "list reserve unreserve"],
  [["ip", "get", "$(exit 3)", "--js"], "--json"],
];

/** The program, as completion calls it for the names of nodes. */
const FAKE = `stellar-net() {
  [[ "$*" == *"node list --timeout 1s" ]] || return 2
  echo "NODE STATE"
  if [[ "$*" == "--socket /run/other"* ]]; then echo "other ready"; return; fi
  printf "n1  ready\\nn2  was ready\\n"
}
`;

Deno.test("completion bash gives a script that completes commands, flags and values", async (t) => {
  const { stdout: script } = await runFake(["completion", "bash"]);
  for (const [words, offered] of ROWS) {
    await t.step(`stellar-net ${words.join(" ")}`, async () => {
      const result = await run("bash", [
        "-c",
        'set -u; source <(printf %s "$0")\n' + FAKE +
        'COMP_WORDS=(stellar-net "$@"); COMP_CWORD=$#; _stellar_net\n' +
        'echo "${COMPREPLY[*]}"',
        script,
        ...words,
      ]);
      assert.deepEqual(
        [result.code, result.stderr, result.stdout],
        [0, "", `${offered}\n`],
      );
    });
  }
});

Deno.test("completion bash can be loaded twice, and registers itself", async () => {
  const { stdout: script } = await runFake(["completion", "bash"]);
  const result = await run("bash", [
    "-c",
    'source <(printf %s "$0"); source <(printf %s "$0"); complete -p stellar-net',
    script,
  ]);
  assert.deepEqual(result, {
    code: 0,
    stdout: "complete -F _stellar_net stellar-net\n",
    stderr: "",
  });
});

Deno.test("completion zsh and fish know every command and flag", async (t) => {
  const program = createProgram(createFakeIo().io, () => Promise.resolve());
  const nouns = program.commands;
  const all = [...nouns, ...nouns.flatMap((noun) => noun.commands)];
  const rows: readonly [
    shell: string,
    command: (name: string) => string,
    flag: (name: string) => string,
  ][] = [
    ["zsh", (name) => `'${name}:`, (name) => `'--${name}:`],
    ["fish", (name) => ` -a ${name} -d '`, (name) => ` -l ${name} `],
  ];
  for (const [shell, command, flag] of rows) {
    await t.step(shell, async () => {
      const { stdout } = await runFake(["completion", shell]);
      for (const name of all.map((command) => command.name())) {
        assert.ok(stdout.includes(command(name)), name);
      }
      for (const option of all.flatMap((command) => command.options)) {
        assert.ok(stdout.includes(flag(option.name())), option.name());
      }
    });
  }
});
