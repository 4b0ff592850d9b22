import assert from "node:assert/strict";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { setTimeout as delay } from "node:timers/promises";
import { CONFIG } from "../generate.ts";
import { enrolWithin } from "../support/enrol_within.ts";
import { createNamespace, type Namespace } from "../support/namespace.ts";
import { run } from "../support/run.ts";
import { spawnAgent } from "../support/spawn_agent.ts";
import { signalChild } from "../support/signal_child.ts";
import { withTempDir } from "../support/temp_dir.ts";
import { waitFor } from "../support/wait_for.ts";
import type {
  InterruptedCounts,
  InterruptedPlan,
  InterruptedWay,
} from "./interrupted_main.ts";

const MAIN = fileURLToPath(new URL("interrupted_main.ts", import.meta.url));
const ADDRESS = "198.18.0.1";
const TLS = `${ADDRESS}:9000`;
const SETUP = `ip link set lo up\nip address add ${ADDRESS}/32 dev lo`;
const PROXY_1 = 8001;
const PROXY_2 = 8002;
/** How long an answer may turn out to be unread, and more: what undoes an allocation has done so by then. */
const SETTLE_MS = 3_000;

/** What came of the interrupted calls over one way. */
export interface WayReport extends Omit<InterruptedCounts, "held"> {
  readonly name: string;
  /** Owners whose last answer named an address that they do not hold in the end. */
  readonly lost: readonly string[];
  /** Owners that hold an address and have released it. */
  readonly left: readonly string[];
}

/** HAProxy, which closes idle connections to the agent after a second. */
const haproxy = (port: number) => `
global
  maxconn 2000
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
listen http1
  bind 127.0.0.1:${PROXY_1}
  option abortonclose
  http-reuse always
  server agent 127.0.0.1:${port} pool-purge-delay 1s
listen http2
  bind 127.0.0.1:${PROXY_2} proto h2
  http-reuse always
  server agent 127.0.0.1:${port} proto h2 pool-purge-delay 1s
`;

/**
 * Has clients cancel calls, let them time out and cut off their connections,
 * at moments that the seed decides, and make each of them again at once, over
 * each way to one agent.
 *
 * @param options `calls`: calls to interrupt, over all ways
 */
export async function runInterrupted(
  options: { readonly calls: number; readonly seed: number },
): Promise<readonly WayReport[]> {
  return await withTempDir(async (dir) => {
    await using namespace = await createNamespace("net", SETUP);
    await using agent = await spawnAgent({
      within: namespace.within,
      args: ["--listen", TLS, "--advertise", ADDRESS, "--cool-down", "1s"]
        .concat("--log-level", "warning"),
    });
    const { socketPath } = agent;
    const role = "operator";
    const url = `https://${TLS}`;
    const tls = await enrolWithin(namespace, { socketPath, url, role, dir });
    await using _proxy = await startProxy(namespace, dir, agent.port);
    const http1 = { protocol: "Connect over HTTP/1.1" } as const;
    const grpc = { protocol: "gRPC" } as const;
    const ways: readonly InterruptedWay[] = [
      { name: "HTTP/1.1", url: agent.url, ...http1 },
      { name: "HTTP/2", url: agent.url, ...grpc },
      { name: "TLS", url, ...grpc, tls },
      {
        name: "HAProxy, HTTP/1.1",
        url: `http://127.0.0.1:${PROXY_1}`,
        ...http1,
      },
      { name: "HAProxy, HTTP/2", url: `http://127.0.0.1:${PROXY_2}`, ...grpc },
    ];
    const calls = Math.ceil(options.calls / ways.length);
    const plan = { ways, calls, seed: options.seed };
    const all = await runMain(namespace, plan);
    await delay(SETTLE_MS);
    const found = await listHeld(namespace, socketPath);
    const reports = ways.map(({ name }, index) => {
      const { held, ...counts } = all[index]!;
      const prefix = `${name.replaceAll(/\W+/g, "-")}-`;
      const lost = Object.entries(held)
        .filter(([owner, address]) => found.get(owner) !== address)
        .map(([owner, address]) => `${owner}: ${address}`);
      const left = [...found.keys()]
        .filter((owner) => new RegExp(`^${prefix}\\d+-\\d+$`).test(owner))
        .filter((owner) => !Object.hasOwn(held, owner));
      return { name, ...counts, lost, left };
    });
    assert.equal(await agent.stop(), 0);
    return reports;
  });
}

async function runMain(
  { within }: Namespace,
  plan: InterruptedPlan,
): Promise<InterruptedCounts[]> {
  const [command, ...args] = [...within, Deno.execPath(), "run", "-A"]
    .concat(CONFIG, "--no-check", MAIN, JSON.stringify(plan));
  const { code, stdout, stderr } = await run(command!, args, {
    timeoutMs: 1_800_000,
  });
  assert.equal(code, 0, stderr);
  return JSON.parse(stdout);
}

/** Who holds which address, by container id. */
async function listHeld(
  { within }: Namespace,
  socketPath: string,
): Promise<Map<string, string>> {
  const held = new Map<string, string>();
  let pageToken = "";
  do {
    const [command, ...args] = [
      ...[...within, "curl", "--silent", "--unix-socket", socketPath],
      ...["--json", JSON.stringify({ pageToken, pageSize: 1000 })],
      "http://agent/stellar.net.v1.IpamService/ListAllocations",
    ];
    const { stdout } = await run(command!, args);
    const page = JSON.parse(stdout);
    for (const { owner, addresses } of page.allocations ?? []) {
      held.set(owner.containerId, addresses[0].address);
    }
    pageToken = page.nextPageToken ?? "";
  } while (pageToken !== "");
  return held;
}

async function startProxy(
  { within }: Namespace,
  dir: string,
  port: number,
): Promise<AsyncDisposable> {
  const config = join(dir, "haproxy.cfg");
  await Deno.writeTextFile(config, haproxy(port));
  const [command, ...args] = [
    ...[...within, "/usr/sbin/haproxy", "-q", "-db", "-f", config],
  ];
  const child = new Deno.Command(command!, { args, stdin: "null" }).spawn();
  const proxy = {
    async [Symbol.asyncDispose]() {
      signalChild(child, "SIGKILL");
      await child.status;
    },
  };
  await waitFor("HAProxy to serve", async () => {
    const [curl, ...words] = [
      ...[...within, "curl", "--silent", "--fail", "--json", "{}"],
      `http://127.0.0.1:${PROXY_1}/grpc.health.v1.Health/Check`,
    ];
    return (await run(curl!, words)).code === 0;
  });
  return proxy;
}
