import assert from "node:assert/strict";
import { runFake } from "../cli/fake_io.ts";
import { ROOT } from "../generate.ts";

/** What a shell, a terminal, a file name, `ip`, nft or a unit file takes for something else. */
const HOSTILE: readonly string[] = [
  ...["$(touch pwned)", "`id`", "a;id", "a|id", "a&id", "a>b", "a b", "-f"],
  ...["--help", "a\nb", "a\r", "a\0b", "\x1b[2J", "\x9b2J", "a\u202eb"],
  ...["../../etc", "a/../b", "..", "/", '"', "'", "a\\b", "%n", "{", "}"],
  ...['br0" return; flush ruleset; #', "x".repeat(5000), "\ud800", ""],
];

/** Linux takes these for names of interfaces; none of them means anything where they go. */
const INTERFACES: readonly string[] = [
  ...["`id`", "a;id", "a|id", "a&id", "a>b", "-f", "--help"],
  ...['"', "'", "a\\b", "%n", "{", "}"],
];

/**
 * Where a name of outside goes on to a file name, a log, a terminal, an
 * argument or a conflist: the command line, with the name in place of NAME.
 */
const PLACES: readonly (readonly [place: string, words: readonly string[]])[] =
  [
    ["an argument of ip and a line of nft", ["agent", "--bridge=NAME"]],
    ["keys of the store, logs, tables", ["agent", "--node=NAME"]],
    ["an argument of ip", ["agent", "--route-protocol=NAME"]],
    ["an argument of ip", ["agent", "--network=NAME"]],
    ["an argument of ip", ["agent", "--advertise=NAME"]],
    ["a socket", ["agent", "--listen=NAME"]],
    ["a connection", ["agent", "--join=NAME"]],
    ["a connection", ["agent", "--store=NAME"]],
    ["a key of the store", ["ip", "allocate", "--network=NAME", "c1"]],
    ["a key of the store", ["ip", "allocate", "c1", "--node=NAME"]],
    ["a key of the store", ["ip", "allocate", "c1", "--address=NAME"]],
    ["an argument of ip", ["route", "add", "--", "NAME", "198.18.0.1"]],
    ["an argument of ip", ["route", "add", "10.0.0.0/8", "--", "NAME"]],
    ["a key of the store", ["subnet", "reserve", "--", "NAME"]],
    ["a key of the store", ["node", "remove", "--", "NAME"]],
    ["a conflist", ["cni", "config", "--name=NAME"]],
  ];

Deno.test("a name that something takes for more than a name is refused where it comes in", async (t) => {
  for (const [place, words] of PLACES) {
    await t.step(`${words.join(" ")}: ${place}`, async () => {
      for (const name of HOSTILE) await assertRefused(words, name);
    });
  }
});

async function assertRefused(
  words: readonly string[],
  name: string,
): Promise<void> {
  const args = words.map((word) => word.replace("NAME", () => name));
  const run = await runFake(args, {});
  const line = JSON.stringify(args);
  assert.equal(run.code, 2, line);
  assert.deepEqual([run.agents, run.targets], [[], []], line);
  assert.equal(run.stdout, "", line);
  assert.doesNotMatch(run.stderr, /[^\P{Cc}\n]|\p{Bidi_Control}/u, line);
}

const INTERFACE_PLACES: typeof PLACES = [
  ["a key of the store", ["ip", "allocate", "--interface=NAME", "c1"]],
  ["a conflist", ["cni", "config", "--bridge=NAME"]],
];

Deno.test("a name that Linux does not take for an interface's is refused where it comes in", async (t) => {
  const names = HOSTILE.filter((name) => !INTERFACES.includes(name));
  for (const [place, words] of INTERFACE_PLACES) {
    await t.step(`${words.join(" ")}: ${place}`, async () => {
      for (const name of names) await assertRefused(words, name);
    });
  }
});

Deno.test("a conflist holds the name of a bridge as it is", async () => {
  for (const name of INTERFACES) {
    const run = await runFake(["cni", "config", `--bridge=${name}`], {
      registry: {
        listNetworks: () => ({ networks: [{ cidr: "10.0.0.0/8" }] }),
      },
    });
    assert.equal(JSON.parse(run.stdout).plugins[0].bridge, name);
  }
});

/** Where shells are named, and why none of them gets to see a name. */
const SHELLS: Readonly<Record<string, string>> = {
  "src/system/deno_command.ts":
    "a fixed script, with the number of a process as its argument",
  "src/main/station.ts":
    "a fixed script, with a folder of the program's own as its argument",
  "src/build/permissions.ts": "a list of what the executable may run",
  "src/cli/framework/completion.ts": "names of shells to make a script for",
};

Deno.test("no other module names a shell, or runs a program by a line of text", async () => {
  const found: string[] = [];
  for (const path of await sourceFiles("src")) {
    const text = await Deno.readTextFile(`${ROOT}/${path}`);
    const runsShell = /["'`](?:\/bin\/)?(?:ba|da|z)?sh["'`]|\bexec(?:Sync)?\(`/;
    if (runsShell.test(text)) found.push(path);
  }
  assert.deepEqual(found.sort(), Object.keys(SHELLS).sort());
});

async function sourceFiles(folder: string): Promise<string[]> {
  const files: string[] = [];
  for await (const { name, isDirectory } of Deno.readDir(`${ROOT}/${folder}`)) {
    const path = `${folder}/${name}`;
    if (path === "src/gen") continue;
    if (isDirectory) files.push(...await sourceFiles(path));
    else if (name.endsWith(".ts")) files.push(path);
  }
  return files;
}
