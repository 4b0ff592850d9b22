import assert from "node:assert/strict";
import { join } from "node:path";
import { ROOT } from "../generate.ts";
import {
  callPlugin,
  DEBIAN_PLUGINS,
  installPlugin,
  type PluginKind,
  testPlugins,
} from "../support/cni_plugin.ts";
import type { RunResult } from "../support/run.ts";
import { spawnAgent } from "../support/spawn_agent.ts";
import { withTempDir } from "../support/temp_dir.ts";

/** The versions that Debian's host-local knows, and none at all. */
const VERSIONS = [
  undefined,
  "0.1.0",
  "0.2.0",
  "0.3.0",
  "0.3.1",
  "0.4.0",
  "1.0.0",
] as const;

/** host-local's code for every error that its library has no code for. */
const GENERIC = 999;

/** What both are called with; `ipam` and `config` are laid over the usual keys. */
interface Case {
  readonly verb: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly ipam?: Readonly<Record<string, unknown>>;
  readonly config?: Readonly<Record<string, unknown>>;
  /** The configuration as text, in place of all the rest. */
  readonly text?: string;
}

/** How a call ended: with a result of a shape, nothing, or an error of a class. */
type Ending = readonly [kind: "result" | "nothing" | "error", what: unknown];

/** Calls host-local and this project's plugin with the same inputs. */
type CallBoth = (call: Case) => Promise<[theirs: RunResult, ours: RunResult]>;

/** The structure of a JSON value: keys and types, without the values. */
function shapeOf(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(shapeOf);
  if (typeof value !== "object" || value === null) return typeof value;
  return Object.fromEntries(
    Object.entries(value).sort(([a], [b]) => a < b ? -1 : 1)
      .map(([key, inner]) => [key, shapeOf(inner)]),
  );
}

/** 6 and 7 are one class: where a decoder ends and a check starts is the language's choice. */
function classOf(code: number): string {
  const classes: Record<number, string> = {
    1: "version",
    4: "environment",
    6: "configuration",
    7: "configuration",
  };
  return classes[code] ?? "other";
}

function endingOf({ code, stdout }: RunResult): Ending {
  if (code === 0 && stdout === "") return ["nothing", ""];
  const value = JSON.parse(stdout);
  return code === 0
    ? ["result", shapeOf(value)]
    : ["error", classOf(value.code)];
}

async function withBoth(
  kind: PluginKind,
  use: (callBoth: CallBoth) => Promise<void>,
) {
  await using agent = await spawnAgent();
  await withTempDir(async (dir) => {
    const ours = await installPlugin(dir, {
      kind,
      socketPath: agent.socketPath,
    });
    const plugins = [
      {
        path: join(DEBIAN_PLUGINS, "host-local"),
        ipam: {
          type: "host-local",
          subnet: "172.16.0.0/22",
          dataDir: join(dir, "host-local-data"),
        },
      },
      {
        path: ours,
        ipam: { type: "stellar-net", socket: agent.socketPath },
      },
    ];
    await use(async ({ verb, env, ipam, config, text }) => {
      const [theirs, own] = await Promise.all(
        plugins.map((plugin) =>
          callPlugin(plugin.path, {
            env: {
              CNI_COMMAND: verb,
              CNI_CONTAINERID: "c1",
              CNI_IFNAME: "eth0",
              CNI_NETNS: "/run/netns/c1",
              CNI_PATH: DEBIAN_PLUGINS,
              ...env,
            },
            config: text ?? {
              cniVersion: "1.0.0",
              name: "net",
              ipam: { ...plugin.ipam, ...ipam },
              ...config,
            },
          })
        ),
      );
      return [theirs!, own!];
    });
  });
}

testPlugins(
  "the plugin and host-local give results of the same shape in each version",
  async (kind, t) => {
    await withBoth(kind, async (callBoth) => {
      const routes = [{ dst: "0.0.0.0/0", gw: "172.16.0.1" }, {
        dst: "10.0.0.0/8",
      }];
      for (const [index, cniVersion] of VERSIONS.entries()) {
        const inputs: readonly [name: string, call: Omit<Case, "verb">][] = [
          ["plain", {}],
          ["with routes", { ipam: { routes } }],
          ["with IP=", { env: { CNI_ARGS: `IP=172.16.1.${index}` } }],
          ["with IP= and a length", {
            env: { CNI_ARGS: `IP=172.16.2.${index}/22` },
          }],
          ["with args", {
            config: { args: { cni: { ips: [`172.16.3.${index}`] } } },
          }],
          ["with unknown arguments", {
            env: { CNI_ARGS: "IgnoreUnknown=1;K8S_POD_NAME=a" },
          }],
        ];
        for (const [at, [name, input]] of inputs.entries()) {
          await t.step(`${cniVersion} ${name}`, async () => {
            const call = {
              ...input,
              env: { ...input.env, CNI_CONTAINERID: `c${index}-${at}` },
              config: { cniVersion, ...input.config },
            };
            const [theirs, ours] = await callBoth({ verb: "ADD", ...call });
            assert.equal(theirs.code, 0, theirs.stdout);
            assert.deepEqual(endingOf(ours), endingOf(theirs));
            assert.equal(
              JSON.parse(ours.stdout).cniVersion,
              JSON.parse(theirs.stdout).cniVersion,
            );
            const deleted = await callBoth({ verb: "DEL", ...call });
            assert.deepEqual(deleted.map(endingOf), [
              ["nothing", ""],
              ["nothing", ""],
            ]);
          });
        }
      }
    });
  },
);

const PREV_RESULT = { ips: [{ address: "172.16.0.2/22" }] };

/** Calls that both refuse, or do without a word. */
const SAME: readonly [name: string, call: Case][] = [
  ["DEL of what was never added", {
    verb: "DEL",
    env: { CNI_CONTAINERID: "none" },
  }],
  ["DEL without CNI_NETNS", {
    verb: "DEL",
    env: { CNI_CONTAINERID: "none", CNI_NETNS: "" },
  }],
  ["a container id with a slash", {
    verb: "ADD",
    env: { CNI_CONTAINERID: "bad/id" },
  }],
  ...["a".repeat(17), ".", "..", "a/b", "a:b", "a b"].map((
    name,
  ): [string, Case] => [
    `the interface name ${name}`,
    { verb: "ADD", env: { CNI_IFNAME: name } },
  ]),
  ["ADD without variables", {
    verb: "ADD",
    env: { CNI_NETNS: "", CNI_IFNAME: "" },
  }],
  ["DEL without CNI_IFNAME", { verb: "DEL", env: { CNI_IFNAME: "" } }],
  ["an unknown command", { verb: "FROB" }],
  ["an unknown version", { verb: "ADD", config: { cniVersion: "9.9.9" } }],
  ["a version that is a number", { verb: "ADD", config: { cniVersion: 1 } }],
  ["CHECK under 0.3.1", { verb: "CHECK", config: { cniVersion: "0.3.1" } }],
  ["half of JSON", { verb: "ADD", text: "{" }],
  ["a list", { verb: "ADD", text: "[]" }],
  ["null", { verb: "ADD", text: "null" }],
  ["an empty object", { verb: "ADD", text: "{}" }],
  ["a name that is a number", { verb: "ADD", config: { name: 1 } }],
  ["an empty name", { verb: "ADD", config: { name: "" } }],
  ["a name with a slash", { verb: "ADD", config: { name: "a/b" } }],
  ["no ipam", { verb: "ADD", config: { ipam: undefined } }],
  ["routes that are a text", { verb: "ADD", ipam: { routes: "x" } }],
  ["a route to nowhere", { verb: "ADD", ipam: { routes: [{ dst: "x" }] } }],
  ["args that are a number", { verb: "ADD", config: { args: 1 } }],
  ["unknown arguments", { verb: "ADD", env: { CNI_ARGS: "FOO=1" } }],
  ["an argument without a value", { verb: "ADD", env: { CNI_ARGS: "FOO" } }],
  ["IP= with no address", { verb: "ADD", env: { CNI_ARGS: "IP=x" } }],
  ["an address of another subnet", {
    verb: "ADD",
    env: { CNI_ARGS: "IP=10.0.0.9" },
  }],
  ["an address that another holds", {
    verb: "ADD",
    env: { CNI_ARGS: "IP=172.16.0.2", CNI_CONTAINERID: "c2" },
  }],
  ["CHECK of an unknown container", {
    verb: "CHECK",
    env: { CNI_CONTAINERID: "c9" },
    config: { prevResult: PREV_RESULT },
  }],
  ["CHECK of a known one", {
    verb: "CHECK",
    config: { prevResult: PREV_RESULT },
  }],
];

/** Asserts the same ending; to an error without a code of its own any error is the same. */
function agree(theirs: RunResult, ours: RunResult): void {
  const [their, own] = [endingOf(theirs), endingOf(ours)];
  const isGeneric = their[0] === "error" &&
    JSON.parse(theirs.stdout).code === GENERIC;
  assert.deepEqual(
    isGeneric ? own[0] : own,
    isGeneric ? "error" : their,
    theirs.stdout + ours.stdout,
  );
}

testPlugins(
  "the plugin and host-local refuse the same, and do the same without a word",
  async (kind, t) => {
    await withBoth(kind, async (callBoth) => {
      const added = await callBoth({ verb: "ADD" });
      assert.deepEqual(added.map(({ code }) => code), [0, 0]);
      for (const [name, call] of SAME) {
        await t.step(name, async () => agree(...await callBoth(call)));
      }
    });
  },
);

/** Differences that are meant; docs/cni.md has the reason of each under the same words. */
const DIFFERENT: readonly [
  words: string,
  call: Case,
  theirs: Ending,
  ours: Ending,
][] = [
  [
    "ADD again for the same container",
    { verb: "ADD" },
    ["error", "other"],
    ["result", {
      cniVersion: "string",
      dns: {},
      ips: [{ address: "string", gateway: "string" }],
    }],
  ],
  [
    "CNI_PATH missing",
    { verb: "DEL", env: { CNI_PATH: "", CNI_CONTAINERID: "none" } },
    ["error", "environment"],
    ["nothing", ""],
  ],
  [
    "DEL with a mistake in what only ADD reads",
    { verb: "DEL", env: { CNI_ARGS: "FOO=1", CNI_CONTAINERID: "none" } },
    ["error", "other"],
    ["nothing", ""],
  ],
  [
    "a route with bits behind the prefix length",
    {
      verb: "ADD",
      env: { CNI_CONTAINERID: "c3" },
      ipam: { routes: [{ dst: "10.1.2.3/8" }] },
    },
    ["result", {
      cniVersion: "string",
      dns: {},
      ips: [{ address: "string", gateway: "string" }],
      routes: [{ dst: "string" }],
    }],
    ["error", "configuration"],
  ],
  [
    "CHECK with another address in prevResult",
    {
      verb: "CHECK",
      config: { prevResult: { ips: [{ address: "172.16.0.99/22" }] } },
    },
    ["nothing", ""],
    ["error", "other"],
  ],
  [
    "CHECK without prevResult",
    { verb: "CHECK" },
    ["nothing", ""],
    ["error", "configuration"],
  ],
  [
    "`dns` in the configuration",
    {
      verb: "ADD",
      env: { CNI_CONTAINERID: "c4" },
      config: { dns: { nameservers: ["172.16.0.1"] } },
    },
    ["result", {
      cniVersion: "string",
      dns: {},
      ips: [{ address: "string", gateway: "string" }],
    }],
    ["result", {
      cniVersion: "string",
      dns: { nameservers: ["string"] },
      ips: [{ address: "string", gateway: "string" }],
    }],
  ],
  [
    "two ways of asking for an address at once",
    {
      verb: "ADD",
      env: { CNI_CONTAINERID: "c5", CNI_ARGS: "IP=172.16.1.200" },
      config: { runtimeConfig: { ips: ["172.16.1.201/22"] } },
    },
    ["error", "other"],
    ["result", {
      cniVersion: "string",
      dns: {},
      ips: [{ address: "string", gateway: "string" }],
    }],
  ],
];

testPlugins(
  "the plugin differs from host-local only where it is meant to, as docs/cni.md tells",
  async (kind, t) => {
    const page = await Deno.readTextFile(join(ROOT, "docs/cni.md"));
    const told = page.split("\n").map((line) => line.split(/\s*\|\s*/)[1]);
    await withBoth(kind, async (callBoth) => {
      const added = await callBoth({ verb: "ADD" });
      assert.deepEqual(added.map(({ code }) => code), [0, 0]);
      for (const [words, call, theirs, ours] of DIFFERENT) {
        await t.step(words, async () => {
          assert.deepEqual((await callBoth(call)).map(endingOf), [
            theirs,
            ours,
          ]);
          assert.ok(told.includes(words), "docs/cni.md lacks it");
        });
      }
      await t.step("the version that VERSION answers in", async () => {
        const answers = await callBoth({
          verb: "VERSION",
          config: { cniVersion: "0.4.0" },
        });
        const versions = answers.map((a) => JSON.parse(a.stdout).cniVersion);
        assert.deepEqual(versions, ["1.0.0", "0.4.0"]);
        assert.ok(told.includes("the version that VERSION answers in"));
      });
    });
  },
);
