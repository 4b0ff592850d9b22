import assert from "node:assert/strict";
import type { AgentConfig } from "../../../src/config/config.ts";
import { NetError } from "../../../src/base/error.ts";
import { parseAddress } from "../../../src/net/address.ts";
import { createCarve } from "../../../src/net/carve.ts";
import { parsePrefix } from "../../../src/net/prefix.ts";
import { type FakeIoOptions, runFake } from "../fake_io.ts";

const DEFAULTS: AgentConfig = {
  node: "host1",
  networks: [],
  stateDir: "/var/lib/stellar-net",
  socketPath: "/run/stellar-net/agent.sock",
  socketGroup: undefined,
  listen: [],
  metrics: [],
  security: { kind: "cluster" },
  store: "file",
  join: [],
  advertise: [],
  routes: "auto",
  routeProtocol: 83,
  bridge: undefined,
  masquerade: false,
  blackhole: true,
  forwardRules: true,
  probe: true,
  docker: undefined,
  reclaimAfterMs: undefined,
  coolDownMs: 60_000,
  keepHistoryMs: 2_592_000_000,
  leakIntervalMs: 30_000,
  leakGraceMs: 300_000,
};

function carve(network: string, length?: number) {
  return createCarve(parsePrefix(network), length);
}

Deno.test("agent runs with the defaults", async () => {
  const run = await runFake(["agent"]);
  assert.equal(run.code, 0);
  assert.equal(run.stdout + run.stderr, "");
  assert.deepEqual(run.agents, [{
    config: DEFAULTS,
    log: { format: "json", level: "info" },
  }]);
});

type Row = readonly [
  flags: readonly (readonly [flag: string, value: string])[],
  expected: Partial<AgentConfig>,
];

const CONFIGS: readonly Row[] = [
  [[["node", "a.b-c_d"]], { node: "a.b-c_d" }],
  [[["network", "10.0.0.0/8"]], { networks: [carve("10.0.0.0/8")] }],
  [[["network", "10.0.0.0/8"], ["network", "fd00::/48"]], {
    networks: [carve("10.0.0.0/8"), carve("fd00::/48")],
  }],
  [[["network", "10.0.0.0/8"], ["subnet-prefix", "20"]], {
    networks: [carve("10.0.0.0/8", 20)],
  }],
  [
    [
      ["network", "10.0.0.0/8"],
      ["network", "fd00::/48"],
      ["subnet-prefix", "20"],
    ],
    { networks: [carve("10.0.0.0/8", 20), carve("fd00::/48")] },
  ],
  [[["subnet-prefix", "24"]], { networks: [carve("172.16.0.0/12", 24)] }],
  // adjacent networks, and both families, do not overlap.
  [[["network", "10.0.0.0/9"], ["network", "10.128.0.0/9"]], {
    networks: [carve("10.0.0.0/9"), carve("10.128.0.0/9")],
  }],
  [[["state", ".state"]], { stateDir: ".state" }],
  [[["socket", "a.sock"]], { socketPath: "a.sock" }],
  [[["listen", "127.0.0.1:9000"], ["listen", "[::1]:9000"]], {
    listen: [
      { hostname: "127.0.0.1", port: 9000 },
      { hostname: "::1", port: 9000 },
    ],
  }],
  [[["listen", "127.0.0.1:0"], ["listen", "127.0.0.1:0"]], {
    listen: [
      { hostname: "127.0.0.1", port: 0 },
      { hostname: "127.0.0.1", port: 0 },
    ],
  }],
  [[["metrics", "0.0.0.0:9100"], ["metrics", "[::1]:9100"]], {
    metrics: [
      { hostname: "0.0.0.0", port: 9100 },
      { hostname: "::1", port: 9100 },
    ],
  }],
  [[["listen", "127.0.0.1:0"], ["metrics", "127.0.0.1:0"]], {
    listen: [{ hostname: "127.0.0.1", port: 0 }],
    metrics: [{ hostname: "127.0.0.1", port: 0 }],
  }],
  [[["store", "kv::memory:"]], { store: "memory" }],
  [[["listen", "0.0.0.0:9000"], ["listen", "[::]:9000"]], {
    listen: [
      { hostname: "0.0.0.0", port: 9000 },
      { hostname: "::", port: 9000 },
    ],
  }],
  [[["join", "https://198.18.0.1:9000"], ["join", "https://host2:9000"]], {
    join: ["https://198.18.0.1:9000", "https://host2:9000"],
  }],
  [[["join", "https://198.18.0.1:9000"], ["token-file", "/etc/token"]], {
    join: ["https://198.18.0.1:9000"],
    security: { kind: "cluster", tokenPath: "/etc/token" },
  }],
  // only this host reads along.
  [[["join", "http://127.0.0.1:9000"], ["join", "http://[::1]:9000"]], {
    join: ["http://127.0.0.1:9000", "http://[::1]:9000"],
  }],
  [[["join", "http://localhost:9000"]], { join: ["http://localhost:9000"] }],
  [[["advertise", "198.18.0.2"], ["advertise", "2001:DB8::2"]], {
    advertise: [parseAddress("198.18.0.2"), parseAddress("2001:db8::2")],
  }],
  ...(["auto", "apply", "plan", "off"] as const).map((routes): Row => [
    [["routes", routes]],
    { routes },
  ]),
  [[["route-protocol", "5"]], { routeProtocol: 5 }],
  [[["route-protocol", "255"]], { routeProtocol: 255 }],
  [[["bridge", "stellar0"]], { bridge: "stellar0" }],
  [[["reclaim-after", "1m"]], { reclaimAfterMs: 60_000 }],
  [[["cool-down", "0s"]], { coolDownMs: 0 }],
  [[["keep-history", "7d"]], { keepHistoryMs: 604_800_000 }],
  [[["leak-interval", "1m"]], { leakIntervalMs: 60_000 }],
  [[["leak-grace", "0s"]], { leakGraceMs: 0 }],
];

Deno.test("agent reads each flag and its environment variable alike", async (t) => {
  for (const [flags, expected] of CONFIGS) {
    const args = flags.flatMap(([flag, value]) => [`--${flag}`, value]);
    await t.step(args.join(" "), async () => {
      const byFlag = await runFake(["agent", ...args]);
      const byTwin = await runFake(["agent"], { env: twins(flags) });
      for (const run of [byFlag, byTwin]) {
        assert.equal(run.stderr, "");
        assert.deepEqual(run.agents.map(({ config }) => config), [
          { ...DEFAULTS, ...expected },
        ]);
      }
    });
  }
});

const REFUSED: readonly [
  flags: readonly (readonly [flag: string, value: string])[],
  named: readonly string[],
][] = [
  // host bits are set.
  [[["network", "192.0.2.12/24"]], [
    '"192.0.2.12/24" has host bits set: the prefix would be "192.0.2.0/24"',
  ]],
  [[["network", "192.168.127.0/23"]], ["192.168.126.0/23"]],
  [[["network", "2001:db8:24:19ff::/63"]], ["2001:db8:24:19fe::/63"]],
  // networks that overlap, either way round, or identical.
  [[["network", "10.0.0.0/8"], ["network", "10.1.0.0/16"]], [
    '"10.0.0.0/8" and "10.1.0.0/16" overlap',
  ]],
  [[["network", "10.1.0.0/16"], ["network", "10.0.0.0/8"]], [
    '"10.1.0.0/16" and "10.0.0.0/8" overlap',
  ]],
  [[["network", "10.0.0.0/8"], ["network", "10.0.0.0/8"]], [
    '"10.0.0.0/8" and "10.0.0.0/8" overlap',
  ]],
  // the slices would be too small; the message names a length.
  [[["network", "192.168.0.0/24"]], ["/34", '"--subnet-prefix ']],
  [[["network", "10.0.0.0/31"]], ["too small for a network"]],
  [[["network", "10.0.0.0/8"], ["subnet-prefix", "7"]], ["/7", "8 to 30"]],
  [[["network", "10.0.0.0/8"], ["subnet-prefix", "31"]], ["/31", "8 to 30"]],
  [
    [
      ["network", "10.0.0.0/8"],
      ["subnet-prefix", "20"],
      ["subnet-prefix", "64"],
    ],
    ["2 values (20, 64) for 1 of --network (10.0.0.0/8)"],
  ],
  [[["subnet-prefix", "20"], ["subnet-prefix", "64"]], [
    "2 values (20, 64) for 1 of --network (172.16.0.0/12)",
  ]],
  [[["listen", "127.0.0.1:1"], ["listen", "127.0.0.1:1"]], [
    '"127.0.0.1:1" is given twice',
  ]],
  [
    [["listen", "127.0.0.1:1"], ["metrics", "127.0.0.1:1"]],
    ['"127.0.0.1:1" is given twice'],
  ],
  [[["metrics", "127.0.0.1:1"], ["metrics", "127.0.0.1:1"]], [
    '"127.0.0.1:1" is given twice',
  ]],
  [
    [
      ...[["join", "https://h:80"], ["join", "https://i:80"]] as const,
      ["join", "https://H:80"],
    ],
    ['"https://H:80" is given twice'],
  ],
  [[["join", "http://198.18.0.1:9000"]], [
    '"http://198.18.0.1:9000" is plain text: write "https://", or in a lab add --insecure',
  ]],
  [[["join", "https://h:80"], ["join", "http://h:81"]], [
    '"http://h:81" is plain text',
  ]],
  [[["token-file", "token"]], ['goes with "https://" in --join']],
  [[["token-file", "token"], ["join", "http://127.0.0.1:80"]], [
    'goes with "https://" in --join',
  ]],

  [[["advertise", "198.18.0.1"], ["advertise", "198.18.0.2"]], [
    '"198.18.0.1" and "198.18.0.2" are both IPv4: give at most one per family',
  ]],
  [[["advertise", "fd00::1"], ["advertise", "fd00::1"]], ["are both IPv6"]],
];

Deno.test("agent refuses flags that exclude each other, as flags and as variables", async (t) => {
  for (const [flags, named] of REFUSED) {
    const args = flags.flatMap(([flag, value]) => [`--${flag}`, value]);
    await t.step(args.join(" "), async () => {
      const byFlag = await runFake(["agent", ...args]);
      const byTwin = await runFake(["agent"], { env: twins(flags) });
      for (const run of [byFlag, byTwin]) {
        assert.equal(run.code, 2);
        assert.deepEqual(run.agents, []);
        for (const part of named) assert.ok(run.stderr.includes(part), part);
      }
      assert.match(byFlag.stderr, /"stellar-net agent": --[a-z-]+/);
      assert.match(byTwin.stderr, /"stellar-net agent": STELLAR_NET_[A-Z_]+/);
    });
  }
});

Deno.test("agent makes unused addresses unreachable except with --no-blackhole", async () => {
  for (
    const [args, env, blackhole] of [
      [[], {}, true],
      [["--no-blackhole"], {}, false],
      [[], { STELLAR_NET_NO_BLACKHOLE: "true" }, false],
    ] as const
  ) {
    const run = await runFake(["agent", ...args], { env });
    assert.equal(run.stderr, "");
    assert.equal(run.agents[0]!.config.blackhole, blackhole);
  }
});

Deno.test("agent serves Docker with --docker, and asks it nothing with --docker-api off", async () => {
  const [, none, given] = [
    await runFake(["agent", "--docker-api", "off"]),
    await runFake(["agent", "--docker", "--docker-api", "off"]),
    await runFake(["agent", "--docker", "--docker-plugin", "/p/net.sock"]),
  ].map((run) => run.agents[0]!.config.docker);
  const pluginPath = "/run/docker/plugins/stellar-net.sock";
  assert.deepEqual(none, { pluginPath, apiPath: undefined });
  const apiPath = "/run/docker.sock";
  assert.deepEqual(given, { pluginPath: "/p/net.sock", apiPath });
});

Deno.test("agent probes its paths except with --probe off", async () => {
  for (
    const [args, env, probe] of [
      [[], {}, true],
      [["--probe", "on"], {}, true],
      [["--probe", "off"], {}, false],
      [[], { STELLAR_NET_PROBE: "off" }, false],
    ] as const
  ) {
    const run = await runFake(["agent", ...args], { env });
    assert.equal(run.agents[0]!.config.probe, probe);
  }
});

Deno.test("agent adds rules to filters of other programs except with --forward-rules off", async () => {
  for (
    const [args, env, forwardRules] of [
      [[], {}, true],
      [["--forward-rules", "on"], {}, true],
      [["--forward-rules", "off"], {}, false],
      [[], { STELLAR_NET_FORWARD_RULES: "off" }, false],
    ] as const
  ) {
    const run = await runFake(["agent", ...args], { env });
    assert.equal(run.stderr, "");
    assert.equal(run.agents[0]!.config.forwardRules, forwardRules);
  }
});

Deno.test("agent masquerades only with --masquerade", async (t) => {
  const rows: readonly [
    args: readonly string[],
    env: Readonly<Record<string, string>>,
    masquerade: boolean,
  ][] = [
    [["--masquerade"], {}, true],
    [[], { STELLAR_NET_MASQUERADE: "1" }, true],
    [[], { STELLAR_NET_MASQUERADE: "false" }, false],
  ];
  for (const [args, env, masquerade] of rows) {
    await t.step(JSON.stringify([args, env]), async () => {
      const { agents } = await runFake(["agent", ...args], { env });
      assert.deepEqual(agents.map(({ config }) => config), [
        { ...DEFAULTS, masquerade },
      ]);
    });
  }
});

Deno.test("agent speaks plain text with other hosts only with --insecure", async (t) => {
  const args = ["agent", "--listen", "0.0.0.0:9000"];
  const plain = [...args, "--join", "http://h:9000"];
  const rows: readonly [
    name: string,
    args: readonly string[],
    env: Readonly<Record<string, string>>,
    kind: string,
  ][] = [
    ["flag", [...plain, "--insecure"], {}, "none"],
    ["both", [...args, "--accept-insecure"], {}, "cluster"],
    ["twin", plain, { STELLAR_NET_INSECURE: "true" }, "none"],
    ["twin off", args, { STELLAR_NET_INSECURE: "0" }, "cluster"],
    ["neither", args, {}, "cluster"],
  ];
  for (const [name, args, env, kind] of rows) {
    await t.step(name, async () => {
      const { agents, stderr } = await runFake(args, { env });
      const kinds = agents.map(({ config }) => config.security.kind);
      assert.deepEqual(kinds, [kind], stderr);
    });
  }
});

Deno.test("agent refuses flags that exclude --insecure", async (t) => {
  const rows: readonly [args: readonly string[], says: string][] = [
    [
      ["--join", "https://h:80"],
      'agent": --join: "https://h:80" is TLS, which does not go with --insecure: write "http://", or remove --insecure',
    ],
    [
      ["--join", "http://h:80", "--token-file", "token"],
      "agent\": --insecure does not go with --token-file: only the cluster's own CA accepts tokens; remove one of the two",
    ],
  ];
  for (const [args, says] of rows) {
    await t.step(args.join(" "), async () => {
      const run = await runFake(["agent", "--insecure", ...args]);
      assert.equal(run.code, 2);
      assert.ok(run.stderr.includes(says), run.stderr);
      assert.deepEqual(run.agents, []);
    });
  }
});

const TLS = ["--tls-cert", "h.pem", "--tls-key", "h.key", "--tls-ca", "ca"];

Deno.test("agent listens and joins over TLS only with all TLS flags", async (t) => {
  const rows: readonly [
    name: string,
    args: readonly string[],
    says: string,
  ][] = [
    ["listens", [...TLS, "--listen", "0.0.0.0:9000"], ""],
    ["joins", [...TLS, "--join", "https://h:9000"], ""],
    ["joins a name and an address", [
      ...[...TLS, "--join", "https://h:9000"],
      ...["--join", "https://198.18.0.1:9000"],
    ], ""],
    [
      "joins in plain text",
      [...TLS, "--join", "http://h:9000"],
      'agent": --join: "http://h:9000" is plain text: write "https://", or in a lab add --insecure',
    ],
    [
      "and in plain text",
      [...TLS, "--insecure"],
      'agent": --tls-cert does not go with --insecure: it is plain text; remove one of the two',
    ],
    [
      "with a token",
      [...TLS, "--join", "https://h:9000", "--token-file", "token"],
      "agent\": --tls-cert does not go with --token-file: only the cluster's own CA accepts tokens; remove one of the two",
    ],
    [
      "without a key",
      ["--tls-cert", "h.pem", "--tls-ca", "ca"],
      'agent": --tls-cert goes with --tls-key: give all three, or none',
    ],
    [
      "without an authority",
      ["--tls-cert", "h.pem", "--tls-key", "h.key"],
      'agent": --tls-cert goes with --tls-ca: give all three, or none',
    ],
    [
      "with an authority alone",
      ["--tls-ca", "ca"],
      'agent": --tls-ca goes with --tls-cert and --tls-key: give all three, or none',
    ],
  ];
  for (const [name, args, says] of rows) {
    await t.step(name, async () => {
      const { code, stderr, agents } = await runFake(["agent", ...args]);
      assert.ok(stderr.includes(says), stderr);
      assert.equal(code, says === "" ? 0 : 2, stderr);
      assert.deepEqual(
        agents.map(({ config }) => config.security),
        says === ""
          ? [{
            kind: "given",
            paths: { certPath: "h.pem", keyPath: "h.key", caPath: "ca" },
          }]
          : [],
      );
    });
  }
});

Deno.test("agent logs text on a terminal and JSON otherwise", async (t) => {
  const rows: readonly [
    name: string,
    args: readonly string[],
    options: FakeIoOptions,
    log: { readonly format: string; readonly level: string },
  ][] = [
    ["terminal", [], { isTerminal: true }, { format: "text", level: "info" }],
    ["no terminal", [], {}, { format: "json", level: "info" }],
    ["flags", ["--log-format", "json", "--log-level", "debug"], {
      isTerminal: true,
    }, { format: "json", level: "debug" }],
    ["twins", [], {
      env: {
        STELLAR_NET_LOG_FORMAT: "text",
        STELLAR_NET_LOG_LEVEL: "error",
      },
    }, { format: "text", level: "error" }],
  ];
  for (const [name, args, options, log] of rows) {
    await t.step(name, async () => {
      const run = await runFake(["agent", ...args], options);
      assert.deepEqual(run.agents.map((agent) => agent.log), [log]);
    });
  }
});

Deno.test("agent asks for --node when the host's name is not a valid node name", async () => {
  const run = await runFake(["agent"], { hostname: "my host" });
  assert.equal(run.code, 2);
  assert.match(run.stderr, /the host's name "my host" .*: set --node; see /);
});

Deno.test("agent reports why it stopped, and exits with 1", async (t) => {
  const rows: readonly [error: unknown, stderr: string][] = [
    [
      new NetError("unavailable", 'Cannot listen on "a": it is in use'),
      'stellar-net: Cannot listen on "a": it is in use\n',
    ],
    [
      new NetError("failed_precondition", "other networks"),
      "stellar-net: Cannot run the agent: other networks\n",
    ],
    [
      new TypeError("x is undefined"),
      "stellar-net: Cannot run the agent: unexpected error: x is undefined\n",
    ],
  ];
  for (const [agentError, stderr] of rows) {
    await t.step(stderr, async () => {
      const run = await runFake(["agent"], { agentError });
      assert.equal(run.code, 1);
      assert.equal(run.stderr, stderr);
    });
  }
});

/** The environment twins of flags; repeated ones are separated by commas. */
function twins(
  flags: readonly (readonly [flag: string, value: string])[],
): Record<string, string> {
  const env: Record<string, string> = {};
  for (const [flag, value] of flags) {
    const name = `STELLAR_NET_${flag.replaceAll("-", "_").toUpperCase()}`;
    env[name] = name in env ? `${env[name]},${value}` : value;
  }
  return env;
}
