import assert from "node:assert/strict";
import { ROOT } from "../generate.ts";
import { run } from "../support/run.ts";
import { formatRatio, formatReport } from "./report.ts";

function bench(...args: readonly string[]): ReturnType<typeof run> {
  return run(Deno.execPath(), ["run", "-A", "test/bench/main.ts", ...args], {
    cwd: ROOT,
    timeoutMs: 600_000,
  });
}

/** The tables that are printed, and the first cells of their rows. */
const TABLES: Readonly<Record<string, readonly string[]>> = {
  "rpc: ": ["grpc-js", "grpc-js", "grpc-js", "2 of grpc-js", "fetch"],
  "subnet: ": ["first", "last"],
  "memory: ": ["idle", "/24 full", "/24 full, 400 requests", "started again"],
  "restart: ": ["serves", "has answered for an address"],
  "host-local: ": [
    "agent over gRPC",
    "host-local, nothing held",
    "host-local, 500 held",
    "a process that does nothing",
  ],
  "cni: one process": ["empty script", "ADD", "DEL", "native ADD"],
  "cni: 4 processes": ["empty script", "ADD", "DEL", "native ADD"],
  "cni: memory of 4": ["empty script", "ADD", "DEL", "native ADD"],
  "routes: ": ["ip -batch", "from empty, in the kernel"],
  "join: ": ["2"],
  "cluster: 64 nodes join": ["all have joined"],
  "cluster: 64 watchers come": ["bare streams", "registry"],
  "cluster: from a change": [
    "a route, bare streams",
    "a route",
    "a node, bare streams",
    "a node",
  ],
  "cluster: resident memory": ["idle", "all have joined", "all watch"],
  "probes: ": ["3 nodes", "64 nodes", "64 nodes, 10 changes a second"],
  "page: frames": ["is dragged and zoomed"],
  "page: memory": [
    "heap of the page, MiB",
    "elements of the page",
    "browser, MiB",
    "stellar-net ui, MiB",
    "agent, MiB",
  ],
  "etcd: ": [
    "Deno KV",
    "etcd, one member",
    "etcd, three members",
    "etcd, three members, three agents",
  ],
  "cluster on etcd: 64 nodes join": ["all have joined"],
  "cluster on etcd: from a change": [
    "a route, bare streams",
    "a route",
    "a node, bare streams",
    "a node",
  ],
  "throughput: ": ["host to host", "container to container", "over a VXLAN"],
  "startup: ": [
    "an empty script on the runtime",
    "CNI plugin, VERSION, sources",
    "CNI plugin, VERSION, built",
    "command line, sources",
    "command line, built",
    "agent, until it serves and has stopped, sources",
    "agent, until it serves and has stopped, built",
  ],
  "before: ": [
    "idle, ms a minute",
    "idle, MiB",
    "idle, applies routes, ms a minute",
    "idle, applies routes, MiB",
    "AllocateIP, grpc-js, 64 at once, us",
    "GetIP, grpc-js, 64 at once, us",
    "ReleaseIP, grpc-js, 64 at once, us",
    "AllocateIP, fetch, 64 at once, us",
    "GetIP, fetch, 64 at once, us",
    "ReleaseIP, fetch, 64 at once, us",
  ],
  "soak: ": [
    "resident memory, MiB",
    "heap, MiB",
    "open files",
    "store",
    "agent, µs of processor a call",
    "allocations",
    "allocate, median",
  ],
};

Deno.test("bench --quick measures everything and prints its tables", async () => {
  const { code, stdout, stderr } = await bench("--quick");
  assert.equal(code, 0, stdout + stderr);
  const lines = stdout.split("\n");
  for (const [title, rows] of Object.entries(TABLES)) {
    // A title, an empty line, the names of the columns, and the rows.
    const start = lines.findIndex((line) => line.startsWith(title)) + 3;
    assert(start > 3, `${title} is missing:\n${stdout}`);
    const table = lines.slice(start, start + rows.length);
    // Memory and frames have budgets; all else is compared with something.
    const value = /^(?:cni: memory|page: )/.test(title)
      ? "\\d"
      : "\\d\\.\\d\\dx";
    for (const [i, row] of rows.entries()) {
      // Few calls may take less than the step in which the kernel counts.
      const isProcessor = /\bus$|µs of processor/.test(row);
      const cell = isProcessor ? `(${value}|-$)` : value;
      assert.match(table[i]!, new RegExp(`^${row} .*${cell}`), stdout);
    }
  }
});

Deno.test("bench runs the benchmarks that are named", async () => {
  const { code, stdout, stderr } = await bench("--quick", "subnet");
  assert.equal(code, 0, stderr);
  assert.match(stdout, /^subnet: /m);
  assert.doesNotMatch(
    stdout,
    /^(rpc|host-local|cni|routes|join|cluster|view|page|probes|etcd|throughput|startup|before|soak|hammer|healthy|reclaim|kinds): /m,
  );
});

Deno.test("bench refuses a name that it does not know", async () => {
  const { code, stdout, stderr } = await bench("rcp");
  assert.deepEqual({ code, stdout }, { code: 2, stdout: "" });
  assert.match(stderr, /^Cannot measure rcp: there are rpc, subnet, /);
});

Deno.test("bench refuses a flag that it does not know, and a value that is no number", async () => {
  for (const flag of ["--opps=1", "--ops=many", "--seed=0"]) {
    const { code, stdout, stderr } = await bench("hammer", flag);
    assert.deepEqual({ code, stdout }, { code: 2, stdout: "" }, flag);
    assert.match(stderr, /^Cannot measure .*--(opps|ops|seed)/);
  }
});

Deno.test("formatReport() aligns the first column left and the others right", () => {
  const report = {
    title: "title",
    columns: ["", "ms"],
    rows: [["a", "1.00"], ["bcd", "10.0"]],
    notes: ["note"],
  };
  assert.equal(
    formatReport(report),
    "title\n\n       ms\na    1.00\nbcd  10.0\n  note\n",
  );
});

Deno.test("formatRatio() writes a dash where there is nothing to compare with", () => {
  assert.deepEqual([5 / 4, 5 / 0, 0 / 0].map(formatRatio), ["1.25x", "-", "-"]);
});
