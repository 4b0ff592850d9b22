import { createClient } from "@connectrpc/connect";
import type { CDPSession, Page } from "playwright-core";
import { encodeReport } from "../../src/api/messages/cluster.ts";
import { createRpcTransport } from "../../src/api/client/client.ts";
import { RegistryService } from "../../src/gen/stellar/net/v1/registry_pb.ts";
import { ROOT } from "../generate.ts";
import { Chromium } from "../support/chromium.ts";
import { startRegistry } from "./agent.ts";
import { percentile } from "./percentile.ts";
import {
  childrenOf,
  processorMs,
  proportionalMiB,
  residentMiB,
} from "./proc_stat.ts";
import { type BenchOptions, type BenchReport, formatNumber } from "./report.ts";
import {
  each,
  joinHosts,
  reportOf,
  type SimulatedHost,
} from "./simulated_hosts.ts";

const CHANGES_A_SECOND = 200;
/** Heartbeats at once. */
const AT_ONCE = 256;
/** Hosts without a heartbeat for 15 s are unreachable. */
const HEARTBEAT_MS = 10_000;
const DEFAULT_MINUTES = 10;
const SCREEN = { width: 1920, height: 1080 };
/** Samples of memory in a minute. */
const SAMPLES_A_MINUTE = 2;
/** Events of the mouse that the browser has not confirmed yet. */
const EVENTS_UNDER_WAY = 8;
/** Changes whose way to the page is timed. */
const CHANGES_SEEN = 20;

/** What the page, its server and the agent take at one moment. */
interface Sample {
  readonly heapMiB: number;
  readonly elements: number;
  readonly browserMiB: number;
  readonly serverMiB: number;
  readonly agentMiB: number;
}

/**
 * The live map in a real browser while thousands of hosts report: frames a second
 * while the map is moved and zoomed, bytes a second, the time until a change is
 * on the page, and memory over some minutes.
 */
export async function benchPage(
  { quick, minutes = DEFAULT_MINUTES }: BenchOptions,
): Promise<readonly BenchReport[]> {
  const count = quick ? 64 : 4096;
  const restMs = quick ? 2_000 : minutes * 60_000;
  const moveMs = quick ? 2_000 : 30_000;
  await using agent = await startRegistry();
  const transport = createRpcTransport({ url: agent.url });
  const registry = createClient(RegistryService, transport);
  // The registry's own host is one of them.
  const hosts = await joinHosts(registry, count - 1);
  await each(hosts, (host) => beat(registry, host, 700));
  await using load = new Load(registry, hosts);
  await using server = await MapServer.start(agent.url);
  await using chromium = await Chromium.start();
  const { page } = await chromium.open({ viewport: SCREEN });
  const startedMs = performance.now();
  await page.goto(server.link);
  await page.locator("main").waitFor();
  const { origin } = new URL(page.url());
  await page.goto(`${origin}/#/space`);
  await page.getByText(`${count.toLocaleString("en")} owned`).waitFor();
  const openMs = performance.now() - startedMs;
  const session = await page.context().newCDPSession(page);
  const bytes = await countBytes(session);
  const pids = { server: server.pid, agent: agent.pid };

  const frames = await framesWhile(
    page,
    () => moveMap(page, session, moveMs),
  );
  const seenMs = await seeChanges(page, { load, hosts });
  // The first sample is of a page that has settled.
  const samples = [await sampleOf(session, pids)];
  const beforeMs = Object.values(pids).map(processorMs);
  const before = {
    bytes: bytes(),
    changes: load.changes,
    failures: load.failures,
    ms: performance.now(),
  };
  const steps = quick ? 1 : Math.max(1, minutes * SAMPLES_A_MINUTE);
  for (let i = 0; i < steps; i++) {
    await pause(restMs / steps);
    samples.push(await sampleOf(session, pids));
  }
  const seconds = (performance.now() - before.ms) / 1_000;
  const [serverMs, agentMs] = Object.values(pids)
    .map((pid, i) => (processorMs(pid) - beforeMs[i]!) / seconds / 10);
  return [{
    title: `page: frames a second with ${count} hosts`,
    columns: ["the map", "median", "worst second", "of seconds"],
    rows: [
      ["is dragged and zoomed", ...frameCells(frames)],
    ],
    notes: [
      `The map shows all hosts ${
        (openMs / 1_000).toFixed(1)
      } s after its link was opened.`,
      `A change is on the page after ${
        percentile(seenMs, 0.5).toFixed(0)
      } ms (median of ${seenMs.length}), ${
        Math.max(...seenMs).toFixed(0)
      } ms at most.`,
    ],
  }, {
    title: `page: memory with ${count} hosts, ${
      ((load.changes - before.changes) / seconds).toFixed(0)
    } changes a second for ${(seconds / 60).toFixed(1)} min, ${
      load.failures - before.failures
    } heartbeats failed`,
    columns: ["", "first", "half way", "last", "most"],
    rows: [
      row("heap of the page, MiB", samples, ({ heapMiB }) => heapMiB),
      row("elements of the page", samples, ({ elements }) => elements),
      row("browser, MiB", samples, ({ browserMiB }) => browserMiB),
      row("stellar-net ui, MiB", samples, ({ serverMiB }) => serverMiB),
      row("agent, MiB", samples, ({ agentMiB }) => agentMiB),
    ],
    notes: [
      `The page receives ${
        formatNumber((bytes() - before.bytes) / seconds / 1e3)
      } kB a second.`,
      `Processor: agent ${formatNumber(agentMs!)} %, stellar-net ui ${
        formatNumber(serverMs!)
      } % of a core.`,
    ],
  }];
}

/** The heartbeats of all hosts, some with a change, until it is disposed of. */
class Load implements AsyncDisposable {
  /** Reports with a change that the registry has taken so far. */
  changes = 0;
  /** Heartbeats that failed so far. */
  failures = 0;
  readonly #registry: Parameters<typeof beat>[0];
  readonly #held: number[];
  readonly #pinned = new Map<SimulatedHost, number>();
  readonly #ended: Promise<void>;
  #isStopped = false;

  constructor(
    registry: Parameters<typeof beat>[0],
    hosts: readonly SimulatedHost[],
  ) {
    this.#registry = registry;
    this.#held = hosts.map(() => 700);
    this.#ended = this.#run(hosts);
  }

  /** Reports another use of a host at once, which then stays. */
  async change(host: SimulatedHost, held: number): Promise<void> {
    this.#pinned.set(host, held);
    this.changes++;
    // On a busy machine a connection may be closed meanwhile.
    await beat(this.#registry, host, held)
      .catch(() => beat(this.#registry, host, held));
  }

  async #run(hosts: readonly SimulatedHost[]): Promise<void> {
    let dueMs = performance.now();
    const aSecond = Math.max(
      CHANGES_A_SECOND,
      hosts.length / (HEARTBEAT_MS / 1_000),
    );
    const underWay = new Set<Promise<void>>();
    for (let i = 0; !this.#isStopped; i++) {
      // What a busy machine has missed is left out.
      dueMs = Math.max(dueMs + 1_000 / aSecond, performance.now() - 1_000);
      const aheadMs = dueMs - performance.now();
      if (aheadMs > 0) await pause(aheadMs);
      const at = i % hosts.length;
      const host = hosts[at]!;
      const isChange = (i * CHANGES_A_SECOND) % aSecond < CHANGES_A_SECOND;
      if (isChange) {
        this.#held[at] = (this.#held[at]! + 37) % 2_000;
      }
      const held = isChange
        ? this.#pinned.get(host) ?? this.#held[at]!
        : undefined;
      // One that fails comes again with the next round.
      const sent = beat(this.#registry, host, held).then(() => {
        if (isChange) this.changes++;
      }, () => void this.failures++).finally(() => underWay.delete(sent));
      underWay.add(sent);
      if (underWay.size >= AT_ONCE) await Promise.race(underWay);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isStopped = true;
    await this.#ended;
  }
}

/** Sends a heartbeat of a host. @param held as it reports; undefined: it reports nothing new */
async function beat(
  registry: ReturnType<typeof createClient<typeof RegistryService>>,
  host: SimulatedHost,
  held: number | undefined,
): Promise<void> {
  await registry.heartbeat({
    ...{ node: host.node, instanceId: host.node },
    ...held !== undefined &&
      { report: encodeReport(reportOf(host, 0, held)) },
  });
}

/** `stellar-net ui` in a process of its own, for the agent at a URL. */
class MapServer implements AsyncDisposable {
  readonly link: string;
  readonly #child: Deno.ChildProcess;

  private constructor(child: Deno.ChildProcess, link: string) {
    this.#child = child;
    this.link = link;
  }

  get pid(): number {
    return this.#child.pid;
  }

  static async start(url: string): Promise<MapServer> {
    const child = new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", `${ROOT}/main.ts`, "ui", "--url", url],
      stdout: "piped",
      stderr: "null",
    }).spawn();
    let text = "";
    const output = child.stdout.pipeThrough(new TextDecoderStream());
    for await (const part of output.values({ preventCancel: true })) {
      text += part;
      const link = /http:\/\/\S+/.exec(text)?.[0];
      if (link && text.includes("\n")) return new MapServer(child, link);
    }
    throw new Error(`Cannot measure: stellar-net ui has ended: ${text}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill("SIGTERM");
    await this.#child.status;
  }
}

/** Frames that the browser draws in each second while something goes on, from its own timeline. */
async function framesWhile(
  page: Page,
  run: () => Promise<void>,
): Promise<number[]> {
  const browser = page.context().browser()!;
  const categories = ["devtools.timeline.frame"]
    .concat("disabled-by-default-devtools.timeline.frame");
  await browser.startTracing(page, { categories });
  await run();
  const { traceEvents } = JSON.parse(
    (await browser.stopTracing()).toString(),
  ) as { traceEvents: { name: string; ts: number }[] };
  const times = traceEvents.filter(({ name }) => name === "DrawFrame")
    .map(({ ts }) => ts / 1e6).sort((a, b) => a - b);
  const begin = times[0] ?? 0;
  const seconds = Math.floor((times.at(-1) ?? 0) - begin);
  return Array.from(
    { length: seconds },
    (_, i) =>
      times.filter((time) => time >= begin + i && time < begin + i + 1).length,
  );
}

function frameCells(frames: readonly number[]): string[] {
  if (frames.length === 0) return ["0", "0", "0"];
  return [percentile(frames, 0.5), Math.min(...frames), frames.length]
    .map(String);
}

/** Drags the map in circles, and zooms in and out, as often as a screen shows it. */
async function moveMap(
  page: Page,
  session: CDPSession,
  forMs: number,
): Promise<void> {
  const box = (await page.locator(".cell-map-box").boundingBox())!;
  const middle = { x: box.x + box.width / 2, y: box.y + box.height / 2 };
  const radius = Math.min(box.width, box.height) / 4;
  await page.mouse.move(middle.x, middle.y);
  await page.mouse.wheel(0, -400);
  await page.mouse.down();
  // The browser confirms an event after the frame that shows it: to wait for
  // that would measure the way there and back.
  const underWay = new Set<Promise<unknown>>();
  const startedMs = performance.now();
  for (let i = 0; performance.now() - startedMs < forMs; i++) {
    const angle = i / 30;
    const at = {
      x: middle.x + Math.cos(angle) * radius,
      y: middle.y + Math.sin(angle) * radius,
    };
    const sent = session.send("Input.dispatchMouseEvent", {
      ...i % 4 === 3
        ? { type: "mouseWheel", deltaX: 0, deltaY: Math.sin(i / 90) * 40 }
        : { type: "mouseMoved", button: "left", buttons: 1 },
      ...at,
    }).finally(() => underWay.delete(sent));
    underWay.add(sent);
    if (underWay.size >= EVENTS_UNDER_WAY) await Promise.race(underWay);
    const aheadMs = i * 1_000 / 60 - (performance.now() - startedMs);
    if (aheadMs > 0) await pause(aheadMs);
  }
  await Promise.all(underWay);
  await page.mouse.up();
  await page.locator(".cell-map-box").press("0");
}

/** The times from reports to the page, in ms. */
async function seeChanges(
  page: Page,
  { load, hosts }: {
    readonly load: Load;
    readonly hosts: readonly SimulatedHost[];
  },
): Promise<number[]> {
  const times: number[] = [];
  for (let i = 0; i < CHANGES_SEEN; i++) {
    const host = hosts[(i * 97) % hosts.length]!;
    await page.evaluate((cell) => {
      location.hash = `#/space?cell=${cell}`;
    }, host.subnet);
    const details = page.getByRole("complementary", { name: "Details" });
    await details.getByText(host.subnet, { exact: true }).waitFor();
    // No simulated host has so many by itself.
    const held = 2_020 + i % 2 * 13;
    const shown = `${Math.floor((held + 12) * 100 / 2_045)}% in use`;
    // By the clock of the page: to ask it through the driver takes time itself.
    const seen = page.waitForFunction((text) => {
      const { document } = globalThis as unknown as {
        document: { querySelector(s: string): { textContent: string } | null };
      };
      const shown = document.querySelector(".space-details")?.textContent;
      return shown?.includes(text) && Date.now();
    }, shown);
    const startedMs = Date.now();
    await load.change(host, held);
    times.push(Number(await (await seen).jsonValue()) - startedMs);
  }
  return times;
}

/** Counts the bytes that the page receives. */
async function countBytes(session: CDPSession): Promise<() => number> {
  let bytes = 0;
  session.on("Network.dataReceived", ({ dataLength }) => bytes += dataLength);
  await session.send("Network.enable");
  return () => bytes;
}

async function sampleOf(
  session: CDPSession,
  pids: { readonly server: number; readonly agent: number },
): Promise<Sample> {
  await session.send("HeapProfiler.collectGarbage");
  const { usedSize } = await session.send("Runtime.getHeapUsage");
  const { nodes } = await session.send("Memory.getDOMCounters");
  const browser = childrenOf(Deno.pid)
    .filter((pid) => commandOf(pid).includes("/chromium"));
  return {
    heapMiB: usedSize / 2 ** 20,
    elements: nodes,
    browserMiB: proportionalMiB(browser),
    serverMiB: residentMiB(pids.server),
    agentMiB: residentMiB(pids.agent),
  };
}

function commandOf(pid: number): string {
  try {
    return Deno.readTextFileSync(`/proc/${pid}/cmdline`).split("\0")[0]!;
  } catch {
    // The process has ended.
    return "";
  }
}

function row(
  name: string,
  samples: readonly Sample[],
  of: (sample: Sample) => number,
): string[] {
  const values = samples.map(of);
  const half = values[Math.floor(values.length / 2)]!;
  return [
    name,
    ...[values[0]!, half, values.at(-1)!, Math.max(...values)]
      .map(formatNumber),
  ];
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
