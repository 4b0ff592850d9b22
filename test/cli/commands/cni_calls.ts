import assert from "node:assert/strict";
import { join } from "node:path";
import { cniMain } from "../../../src/cni/main.ts";
import { createCniHost } from "../../../src/cni/deno_io.ts";
import type { PluginIo, StdinContent } from "../../../src/cni/io.ts";
import { FakeIpamServer } from "../../fake/fake_ipam_server.ts";
import { withTempDir } from "../../support/temp_dir.ts";

/** What a call of the plugin left. */
export interface PluginResult {
  readonly code: number;
  /** What came on stdout: one object, or undefined when it was empty. */
  readonly output: Record<string, unknown> | undefined;
  readonly stderr: string;
}

/** A call of the plugin. */
export interface PluginCall {
  /** Over those that each command needs. */
  readonly env?: Readonly<Record<string, string>>;
  /** The configuration: keys over the usual ones, or the whole text. */
  readonly config?: Readonly<Record<string, unknown>> | Uint8Array;
  /** What of the plugin's world is another. */
  readonly io?: Partial<PluginIo>;
}

/** The plugin in this process, with an agent that is a fake. */
export interface PluginWorld {
  readonly agent: FakeIpamServer;
  readonly queueDir: string;
  readonly socketPath: string;
  call(verb: string, call?: PluginCall): Promise<PluginResult>;
  /** The files in the queue: their contents. */
  queued(): Promise<unknown[]>;
}

/** Gives a plugin and a fake agent to a test. */
export async function withPlugin(
  use: (world: PluginWorld) => Promise<void>,
): Promise<void> {
  await withTempDir(async (dir) => {
    const socketPath = join(dir, "agent.sock");
    const queueDir = join(dir, "queue");
    await using agent = await FakeIpamServer.start(socketPath);
    await use({
      agent,
      socketPath,
      queueDir,
      call: (verb, call = {}) =>
        runPlugin(verb, { socketPath, queueDir, call }),
      queued: () => readQueue(queueDir),
    });
  });
}

async function runPlugin(
  verb: string,
  options: {
    readonly socketPath: string;
    readonly queueDir: string;
    readonly call: PluginCall;
  },
): Promise<PluginResult> {
  const { env = {}, config = {}, io } = options.call;
  const { socketPath: socket, queueDir: queue } = options;
  const variables: Record<string, string> = {
    CNI_COMMAND: verb,
    CNI_CONTAINERID: "c1",
    CNI_IFNAME: "eth0",
    CNI_NETNS: "/run/netns/c1",
    // No test may reach an agent of this host.
    STELLAR_NET_SOCKET: socket,
    ...env,
  };
  const bytes = config instanceof Uint8Array
    ? config
    : new TextEncoder().encode(JSON.stringify({
      cniVersion: "1.1.0",
      name: "net",
      ipam: { type: "stellar-net", socket, queue, timeout: "5s" },
      ...config,
    }));
  let stdout = "";
  let stderr = "";
  const content: StdinContent = { kind: "read", bytes };
  const code = await cniMain({
    ...createCniHost(),
    env: (name) => variables[name],
    readStdin: () => Promise.resolve(content),
    stdout: (text) => stdout += text,
    stderr: (text) => stderr += text,
    connectStellar: () => Promise.reject(new Error("not in this test")),
    ...io,
  });
  return { code, output: parseOutput(stdout), stderr };
}

/** Parses what came on stdout: one object of JSON or nothing. */
export function parseOutput(
  stdout: string,
): Record<string, unknown> | undefined {
  if (stdout === "") return undefined;
  const value = JSON.parse(stdout);
  assert.equal(Object.prototype.toString.call(value), "[object Object]");
  return value;
}

async function readQueue(dir: string): Promise<unknown[]> {
  const names: string[] = [];
  for await (const { name } of Deno.readDir(dir)) names.push(name);
  return await Promise.all(
    names.sort().map(async (name) =>
      JSON.parse(await Deno.readTextFile(join(dir, name)))
    ),
  );
}
