/** Who may import what. Folders end with a slash and stand for all that is below them. */
export interface Layer {
  /** A file or folder; of several that fit, the longest decides. */
  readonly at: string;
  /** Files and folders of ours that it may import. A folder may import itself. */
  readonly ours: readonly string[];
  /** Packages that it may import; `node:` stands for all of Node's modules. */
  readonly others: readonly string[];
  /** Why nothing else. */
  readonly why: string;
}

/** One module importing another: `to` is a path of ours, `npm:NAME` or `node:NAME`. */
export interface Edge {
  readonly from: string;
  readonly to: string;
}

const HOST_PORTS = [
  "cni_io",
  "cni_setup",
  "command",
  "host_network",
  "command_follower",
]
  .concat("netns", "path_probe", "release_queue", "routes", "identity_files")
  .concat("service_manager", "service_control", "host_files", "whole_files")
  .map((port) => `src/host/${port}.ts`);
const PLUGIN_FILES = ["main", "agent_call", "agent_source", "deadline"]
  .concat("queue", "source", "stellar_source")
  .map((part) => `src/cli/cni_${part}.ts`);
const SHARED = ["src/base/error.ts", "src/base/names.ts"];
const PURE = [...SHARED, "src/net/", "src/base/plan.ts"];
const PURE_WHY =
  "it is pure: state, request and time come in as arguments, a plan goes out";

export const LAYERS: readonly Layer[] = [
  {
    at: "main.ts",
    ours: ["src/face/", "src/build/", "deno.json"],
    others: [],
    why: "it picks the face, nothing else",
  },
  {
    at: "src/face/",
    ours: ["src/"],
    others: ["node:"],
    why: "it builds adapters and gives them to who needs them, nothing else",
  },
  {
    at: "src/base/error.ts",
    ours: [],
    others: [],
    why: "every layer stands on it",
  },
  {
    at: "src/base/names.ts",
    ours: ["src/base/error.ts", "src/net/"],
    others: [],
    why: "every layer stands on it",
  },
  {
    at: "src/base/plan.ts",
    ours: ["src/base/error.ts"],
    others: [],
    why: "the pure layers stand on it",
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
    why:
      "it is arithmetic: every layer stands on it, and it knows none of them",
  },
  { at: "src/ipam/", ours: PURE, others: [], why: PURE_WHY },
  { at: "src/cluster/", ours: PURE, others: [], why: PURE_WHY },
  { at: "src/route/", ours: PURE, others: [], why: PURE_WHY },
  { at: "src/cni/", ours: PURE, others: [], why: PURE_WHY },
  { at: "src/install/", ours: PURE, others: [], why: PURE_WHY },
  { at: "src/bundle/", ours: PURE, others: [], why: PURE_WHY },
  {
    at: "src/pki/",
    ours: PURE,
    others: ["npm:asn1js", "npm:pkijs", "node:crypto"],
    why: "it is cryptography over values: time comes in, records go out",
  },
  {
    at: "src/build/",
    ours: [
      "src/base/error.ts",
      "src/build/bundle_program.ts",
      "src/system/command.ts",
    ],
    others: ["node:"],
    why: "it makes the executable out of main.ts, and knows no part of it",
  },
  {
    at: "src/backup/",
    ours: ["src/base/error.ts", "src/store/store.ts"],
    others: ["node:buffer", "node:crypto"],
    why: "it is a format: it knows neither where a state is nor what is in it",
  },
  {
    at: "src/store/store.ts",
    ours: ["src/base/error.ts"],
    others: [],
    why: "a port knows none of its adapters",
  },
  {
    at: "src/store/",
    ours: ["src/base/error.ts", "src/gen/etcd/"],
    others: ["node:", "npm:@bufbuild/protobuf", "npm:@connectrpc/connect"]
      .concat("npm:@connectrpc/connect-node", "npm:@logtape/logtape"),
    why: "an adapter knows its engine and the port, not what is kept in it",
  },
  ...HOST_PORTS.map((at): Layer => ({
    at,
    ours: [
      "src/base/error.ts",
      "src/addresses/plan/allocation.ts",
      "src/net/",
      "src/route/",
    ]
      .concat("src/system/command.ts", "src/install/plan/item.ts"),
    others: [],
    why: "a port knows none of its adapters",
  })),
  {
    at: "src/host/",
    ours: [...SHARED, "src/net/", "src/route/", "src/cni/", "src/install/"],
    others: ["node:", "npm:@logtape/logtape"],
    why: "an adapter carries out what others have decided",
  },
  {
    at: "src/identity/",
    ours: [...PURE, "src/pki/", "src/store/store.ts"].concat(HOST_PORTS),
    others: ["npm:@logtape/logtape"],
    why: "it knows ports, never an adapter, and nothing of RPC",
  },
  {
    at: "src/agent/",
    ours: [...PURE, "src/ipam/", "src/cluster/", "src/route/", "src/cni/"]
      .concat("src/store/store.ts", "src/backup/", "src/identity/", HOST_PORTS),
    others: ["npm:@logtape/logtape"],
    why: "the agent knows ports, never an adapter, and nothing of RPC",
  },
  {
    at: "src/metrics/",
    ours: [
      "src/base/error.ts",
      "src/net/",
      "src/agent/",
      "src/api/server/call_metrics.ts",
    ],
    others: ["npm:prom-client", "npm:@connectrpc/connect"],
    why: "it counts what the agent and its server tell, and reads no more",
  },
  {
    at: "src/api/server/otel_tracing.ts",
    ours: ["src/base/error.ts", "src/rpc/"],
    others: ["npm:@opentelemetry/api", "npm:@connectrpc/connect"],
    why: "it is loaded where spans are wanted alone",
  },
  {
    at: "src/rpc/",
    ours: [...SHARED, "src/net/", "src/agent/", "src/gen/", "src/backup/"]
      .concat("src/identity/", "src/pki/")
      // The nouns that it translates; plans are the agent's.
      .concat(
        "src/addresses/plan/allocation.ts",
        "src/registry/plan/listing.ts",
      )
      .concat("src/registry/plan/state.ts", "src/registry/plan/join.ts")
      .concat("src/registry/plan/settling.ts")
      .concat(["ip_batch", "kernel_route", "plan", "status"]
        .map((noun) => `src/route/${noun}.ts`)),
    others: ["node:", "npm:@bufbuild/protobuf", "npm:@connectrpc/connect"]
      .concat("npm:@connectrpc/connect-node", "npm:@logtape/logtape"),
    why: "it translates between the wire and the agent",
  },
  {
    at: "src/cli/framework/client.ts",
    ours: [...SHARED, "src/net/", "src/cli/", "src/gen/"],
    others: ["npm:@bufbuild/protobuf", "npm:@connectrpc/connect"],
    why: "it is the RPC client of the command line",
  },
  ...PLUGIN_FILES.map((at): Layer => ({
    at,
    ours: [...PURE, "src/cni/", "src/cni/io.ts", ...PLUGIN_FILES],
    others: [],
    why: "the plugin starts fast: it loads no RPC library",
  })),
  {
    at: "src/cni/stellar_client.ts",
    ours: ["src/cni/io.ts", "src/gen/"],
    others: ["npm:@connectrpc/connect", "npm:@connectrpc/connect-node"],
    why: "it is the gRPC client of a Stellar-compatible service",
  },
  {
    at: "src/cli/",
    ours: [...SHARED, "src/net/", "src/cni/", "src/config/config.ts"]
      .concat("src/backup/migration.ts")
      .concat("src/build/build_info.ts", "src/cni/setup.ts")
      .concat(
        "src/backup/",
        "src/system/command.ts",
        "src/system/deno_whole_files.ts",
      )
      .concat("src/bundle/")
      .concat("src/install/host_files.ts", "src/install/service_control.ts")
      .concat("src/install/")
      // The grammars of some flags.
      .concat("src/host/plan/host_plan.ts", "src/routes/plan/protocol.ts")
      .concat("src/security/pki/token.ts", "src/security/pki/revocation.ts"),
    others: ["npm:@bufbuild/protobuf/wkt", "npm:commander"],
    why: "the command line reaches the agent through its RPC client alone",
  },
];

/**
 * Why one module may not import another, or undefined where it may. Modules
 * of packages are not looked into.
 */
export function forbids(edge: Edge): string | undefined {
  const { from, to } = edge;
  const layer = LAYERS.filter(({ at }) => covers(at, from))
    .sort((a, b) => b.at.length - a.at.length)[0];
  if (!layer) return `${from} is in no layer: give it one in the table`;
  const allowed = to.includes(":")
    ? layer.others.some((name) => to === name || to.startsWith(withSlash(name)))
    : [layer.at, ...layer.ours].some((at) => covers(at, to));
  return allowed ? undefined : `${from} may not import ${to}: ${layer.why}`;
}

/** Folders of which the source must not touch the world: see IMPURE. */
export const PURE_FILES: readonly string[] = [
  ...PURE,
  "src/ipam/",
  "src/cluster/",
  "src/route/",
  "src/cni/",
  "src/install/",
  "src/bundle/",
];

/** Folders of which the source may use cryptography and its randomness, and otherwise is as pure. */
export const CRYPTO_FILES: readonly string[] = ["src/pki/"];

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
