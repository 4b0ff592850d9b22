/** The rule of a file or folder: its imports. Folders end with a slash. */
export interface Layer {
  /** A file or folder; of several that fit, the longest path decides. */
  readonly at: string;
  /** Our files and folders that it may import. A folder may import itself. */
  readonly ours: readonly string[];
  /** Packages that it may import; `node:` stands for all of Node's modules. */
  readonly others: readonly string[];
  /** The reason for the limit. */
  readonly why: string;
}

/** An import: `to` is a path of ours, `npm:NAME` or `node:NAME`. */
export interface Edge {
  readonly from: string;
  readonly to: string;
}

/** Plans and texts: no `Deno`, network, clock, console or randomness. */
export const PURE: readonly string[] = paths(
  ["net/", "base/duration.ts", "base/error.ts", "base/names.ts"],
  ["base/plan.ts", "base/share.ts", "base/tar.ts"],
  [
    "addresses/plan/",
    "registry/plan/",
    "routes/plan/",
    "host/plan/",
    "cluster/plan/",
    "probe/plan/",
    "station/plan/",
    "docker/plan/",
  ],
  ["cni/text/", "install/plan/", "bundle/", "ui/page/plan/"],
);

/** Pure but for cryptography and its randomness. */
export const CRYPTO: readonly string[] = paths(["security/pki/"]);

/** The mechanisms under the features, from the lowest up. */
const ENGINES = ["system/", "store/", "ledger/", "state/"];

/** The features, from the lowest up: each may import those before it. */
const FEATURES = [
  ...["build/", "install/", "audit/", "docker/", "cni/", "security/"],
  ...["addresses/", "registry/", "member/", "probe/", "routes/", "host/"],
  ...["backup/", "agent/", "cluster/", "doctor/", "station/"],
  "metrics/",
];

/** Files that carry out a port on a real system. Only `main` builds them. */
const ADAPTERS = paths(
  ["store/deno_kv/", "store/etcd/", "security/files/deno_identity_files.ts"],
  [
    "docker/engine.ts",
    "cni/deno_io.ts",
    "cni/file_setup.ts",
    "cni/file_release_queue.ts",
  ],
  ["install/deno_host_files.ts", "install/systemd.ts"],
  [
    "routes/ip_routes.ts",
    "host/linux_network.ts",
    "host/linux_path_probe.ts",
    "host/bridge_neighbours.ts",
    "probe/udp_socket.ts",
    "station/linux_stations.ts",
  ],
  ["host/forward_filters.ts", "api/server/otel_tracing.ts"],
  [
    "deno_command",
    "files",
    "groups",
    "netns_lock",
    "process_stats",
    "sd_notify",
  ]
    .concat("secret_file", "state_dir", "logging")
    .map((name) => `system/${name}.ts`),
);

/** The plugin from end to end. */
const PLUGIN = ["main", "agent_call", "agent_source", "queue"]
  .concat("source", "stellar_source")
  .map((part) => `src/cni/${part}.ts`);

/** The pure part of the page works on the messages of the API. */
const PAGE_PLAN = "src/ui/page/plan/";

const LOG = "npm:@logtape/logtape";
const CONNECT = ["npm:@bufbuild/protobuf", "npm:@connectrpc/connect"];
const CONNECT_NODE = [...CONNECT, "npm:@connectrpc/connect-node"];

export const LAYERS: readonly Layer[] = [
  {
    at: "main.ts",
    ours: ["src/main/", "src/build/", "deno.json"],
    others: [],
    why: "it picks the face, nothing else",
  },
  {
    at: "src/main/",
    ours: ["src/"],
    others: ["node:"],
    why: "it builds adapters and wires them, nothing else",
  },
  {
    at: "src/gen/",
    ours: [],
    others: ["npm:@bufbuild/protobuf"],
    why: "it is generated",
  },
  {
    at: "src/net/",
    ours: [],
    others: ["npm:ipaddr.js"],
    why: "it is arithmetic: everything stands on it",
  },
  {
    at: "src/base/",
    ours: ["src/net/"],
    others: [LOG],
    why: "everything stands on it",
  },
  {
    at: "src/config/",
    ours: ["src/base/", "src/net/"],
    others: [],
    why: "it is the flags' values, as types",
  },
  ...PURE.filter((at) => !/^src\/(?:net|base)\//.test(at)).map((at): Layer => ({
    at,
    ours: ["src/base/", "src/net/"]
      .concat(at === "src/host/plan/" ? "src/routes/plan/" : [])
      .concat(at === "src/docker/plan/" ? "src/addresses/plan/" : [])
      .concat(at === PAGE_PLAN ? ["src/gen/", "src/cluster/plan/"] : []),
    others: at === PAGE_PLAN ? ["npm:@bufbuild/protobuf/wkt"] : [],
    why: "it is pure: state, request and time come in, a plan goes out",
  })),
  {
    at: "src/security/pki/",
    ours: ["src/base/", "src/net/"],
    others: ["node:crypto"],
    why: "it is cryptography over values: time comes in, records go out",
  },
  ...ENGINES.map((engine, i): Layer => ({
    at: `src/${engine}`,
    ours: [...PURE, ...CRYPTO, "src/base/", ...paths(ENGINES.slice(0, i))],
    others: ["node:", LOG],
    why: "an engine knows the engines below it and pure folders",
  })),
  {
    at: "src/store/etcd/",
    ours: ["src/base/", "src/store/", "src/gen/etcd/"],
    others: [...CONNECT_NODE, "node:", LOG],
    why: "an adapter knows its engine and the port",
  },
  ...FEATURES.slice(0, -1).map((feature, i): Layer => ({
    at: `src/${feature}`,
    ours: [...PURE, ...CRYPTO, "src/base/", "src/config/"]
      .concat(paths(ENGINES, FEATURES.slice(0, i))),
    others: ["node:", LOG],
    why: "a feature knows engines, pure folders and the features below it",
  })),
  {
    at: "src/backup/format/",
    ours: ["src/base/", "src/store/store.ts"],
    others: ["node:buffer", "node:crypto"],
    why: "it is a format: it knows no state",
  },
  {
    at: "src/ui/page/",
    ours: [...PURE, "src/base/retry.ts", "src/gen/stellar/"],
    others: [...CONNECT, "npm:@connectrpc/connect-web"]
      .concat("npm:preact", "npm:@preact/signals", "npm:uplot"),
    why: "it runs in a browser and knows the agent by its API",
  },
  {
    at: "src/metrics/",
    ours: paths(
      ["base/", "net/", "store/", "member/", "routes/", "agent/"],
      ["probe/plan/", "cluster/plan/"],
    ),
    others: ["npm:prom-client", ...CONNECT],
    why: "it counts what the agent reports",
  },
  ...PLUGIN.map((at): Layer => ({
    at,
    ours: [
      "src/base/",
      "src/net/",
      "src/cni/text/",
      "src/cni/io.ts",
      ...PLUGIN,
    ],
    others: [],
    why: "the plugin starts fast: it loads no RPC library",
  })),
  {
    at: "src/cni/stellar_client.ts",
    ours: ["src/cni/io.ts", "src/gen/"],
    others: CONNECT_NODE,
    why: "it is the gRPC client of a Stellar-compatible service",
  },
  {
    at: "src/api/",
    ours: [...PURE, ...CRYPTO, "src/base/", "src/config/", "src/gen/"]
      .concat(paths(ENGINES, FEATURES)),
    others: [...CONNECT_NODE, "node:", LOG],
    why: "it translates between the wire and the features",
  },
  {
    at: "src/api/server/otel_tracing.ts",
    ours: ["src/base/", "src/api/"],
    others: ["npm:@opentelemetry/api", ...CONNECT],
    why: "it is loaded only where spans are wanted",
  },
  {
    at: "src/ui/",
    ours: ["src/base/", "src/net/", "src/gen/"]
      .concat("src/api/access/reads.ts", "src/api/messages/errors.ts")
      .concat("src/api/server/call.ts", "src/system/listen.ts"),
    others: [...CONNECT_NODE, "node:"],
    why: "it passes calls of a page on, and decides none",
  },
  {
    at: "src/cli/framework/client.ts",
    ours: ["src/gen/"],
    others: CONNECT,
    why: "it is the command line's client of the API",
  },
  {
    at: "src/cli/framework/view.ts",
    ours: ["src/gen/"],
    others: CONNECT,
    why: "it turns any message of the API into a view",
  },
  {
    at: "src/cli/",
    ours: [...PURE, ...CRYPTO, "src/base/", "src/config/"]
      .concat("src/build/build_info.ts", "src/system/command.ts")
      .concat(
        "src/system/deno_whole_files.ts",
        "src/cni/setup.ts",
        "src/docker/port.ts",
      )
      .concat("src/install/port.ts", "src/backup/port.ts")
      .concat("src/backup/format/"),
    others: ["npm:@bufbuild/protobuf/wkt", "npm:commander"],
    why: "the command line reaches the agent only through its API client",
  },
];

/** The reason why a module may not import another; undefined if it may. */
export function forbids(edge: Edge): string | undefined {
  const { from, to } = edge;
  const layer = LAYERS.filter(({ at }) => covers(at, from))
    .sort((a, b) => b.at.length - a.at.length)[0];
  if (!layer) return `${from} is in no layer: give it one in the table`;
  if (to.includes(":")) {
    const allowed = layer.others
      .some((name) => to === name || to.startsWith(withSlash(name)));
    return allowed ? undefined : refuse(edge, layer.why);
  }
  const isAdapter = (path: string) => ADAPTERS.some((at) => covers(at, path));
  if (isAdapter(to) && !isAdapter(from) && !covers("src/main/", from)) {
    return refuse(edge, "only main builds adapters");
  }
  const allowed = [layer.at, ...layer.ours].some((at) => covers(at, to));
  return allowed ? undefined : refuse(edge, layer.why);
}

/** The cycles among names: each a list of names that reach one another. */
export function findCycles(edges: readonly Edge[]): string[][] {
  const next = new Map<string, Set<string>>();
  for (const { from, to } of edges) {
    if (from !== to) next.set(from, (next.get(from) ?? new Set()).add(to));
  }
  const reach = (from: string): Set<string> => {
    const seen = new Set<string>();
    const open = [...next.get(from) ?? []];
    for (let at = open.pop(); at !== undefined; at = open.pop()) {
      if (seen.has(at)) continue;
      seen.add(at);
      open.push(...next.get(at) ?? []);
    }
    return seen;
  };
  const reached = new Map([...next.keys()].map((name) => [name, reach(name)]));
  const cycles = new Map<string, string[]>();
  for (const [name, seen] of reached) {
    if (!seen.has(name)) continue;
    const cycle = [...seen].filter((other) => reached.get(other)?.has(name))
      .sort();
    cycles.set(cycle.join(), cycle);
  }
  return [...cycles.values()];
}

/** The folder of a file: `plan/` and the parts of `api/` count by themselves. */
export function folderOf(file: string): string {
  const pure = [...PURE, ...CRYPTO].find((at) => covers(at, file));
  if (pure?.endsWith("/")) return pure;
  const [, top, part, name] = file.split("/");
  if (top === undefined || part === undefined) return file;
  const isSplit = name !== undefined && /^(?:api|store|backup)$/.test(top);
  return isSplit ? `src/${top}/${part}/` : `src/${top}/`;
}

/** What reaches the system, the network, the clock, the console or randomness. */
const IMPURE: readonly RegExp[] = [
  /\bDeno\b/,
  /\bprocess\b/,
  /\bglobalThis\b/,
  /\bconsole\b/,
  /\b(?:fetch|WebSocket|EventSource|Worker)\b(?=\s*\()/,
  /\bDate\s*\.\s*now\b/,
  /\bnew\s+Date\s*(?:\(\s*\)|(?!\s*\())/,
  /\bTemporal\s*\.\s*Now\b/,
  /\bperformance\b/,
  /\bset(?:Timeout|Interval|Immediate)\b/,
  /\bMath\s*\.\s*random\b/,
  /\bcrypto\b/,
  /\b(?:local|session)Storage\b/,
];

/** The impure names in a source text, comments and strings left out. */
export function impureNames(source: string): string[] {
  const code = source.replace(
    /("(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')|\/\/[^\n]*|\/\*[^]*?\*\//g,
    " ",
  );
  return IMPURE.flatMap((pattern) => pattern.exec(code)?.[0] ?? []);
}

/** Whether a path is the file, or lies in the folder. */
export function covers(at: string, path: string): boolean {
  return at.endsWith("/") ? path.startsWith(at) : path === at;
}

function withSlash(name: string): string {
  return name.endsWith(":") ? name : `${name}/`;
}

function refuse({ from, to }: Edge, why: string): string {
  return `${from} may not import ${to}: ${why}`;
}

function paths(...lists: readonly (readonly string[])[]): string[] {
  return lists.flat().map((path) => `src/${path}`);
}
