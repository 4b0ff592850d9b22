import assert from "node:assert/strict";
import { connect as connectNet, createServer, type Socket } from "node:net";
import { once } from "node:events";
import {
  DEFAULT_NATIVE_LIMITS,
  NATIVE_CALL,
  NativeCalls,
  type NativeLimits,
} from "../../src/cni/native_call.ts";
import { FakeIpamServer } from "../fake/fake_ipam_server.ts";
import { waitFor } from "../support/wait_for.ts";
import { withTempDir } from "../support/temp_dir.ts";

const VARIABLES = {
  CNI_COMMAND: "ADD",
  CNI_CONTAINERID: "c1",
  CNI_IFNAME: "eth0",
  CNI_NETNS: "/run/netns/c1",
};
const ANSWER = '{"cniVersion":"1.1.0","ips":[{"address":"192.0.2.2/29",' +
  '"gateway":"192.0.2.1"}],"dns":{}}\n';

interface World {
  readonly agent: FakeIpamServer;
  /** Resolves when the agent is done with each connection so far. */
  served(): Promise<void>;
  /** Connects as a plugin. */
  dial(): Promise<Plugin>;
  /** A configuration for the agent. */
  config(ipam?: Record<string, unknown>): string;
}

/** A plugin's side of a connection. */
interface Plugin {
  readonly socket: Socket;
  /** Bytes so far. */
  readonly received: () => Uint8Array;
  /** Resolves when so many bytes are there. */
  untilBytes(count: number): Promise<void>;
  readonly closed: Promise<unknown>;
}

async function withCalls(
  limits: Partial<NativeLimits>,
  use: (world: World) => Promise<void>,
): Promise<void> {
  await withTempDir(async (dir) => {
    const socketPath = `${dir}/agent.sock`;
    await using agent = await FakeIpamServer.start(socketPath);
    const calls = new NativeCalls({
      socketPath,
      connect: () => Deno.connect({ transport: "unix", path: socketPath }),
      now: Date.now,
      uptimeMs: () => performance.now(),
      randomId: () => crypto.randomUUID(),
      limits,
    });
    const serving = new Map<Socket, Promise<void>>();
    const server = createServer((socket) => {
      socket.on("error", () => {});
      serving.set(socket, calls.serve(socket));
    });
    const path = `${dir}/native.sock`;
    server.listen(path);
    await once(server, "listening");
    try {
      await use({
        agent,
        async served() {
          await Promise.all(serving.values());
        },
        dial: () => dialPlugin(path),
        config: (ipam) =>
          JSON.stringify({
            cniVersion: "1.1.0",
            name: "net",
            ipam: { type: "stellar-net", socket: socketPath, ...ipam },
          }),
      });
    } finally {
      // A test that has failed leaves connections open.
      for (const socket of serving.keys()) socket.destroy();
      server.close();
      await once(server, "close");
    }
  });
}

async function dialPlugin(path: string): Promise<Plugin> {
  const socket = connectNet(path);
  let received = new Uint8Array();
  socket.on("data", (chunk: Uint8Array) => {
    const longer = new Uint8Array(received.length + chunk.length);
    longer.set(received);
    longer.set(chunk, received.length);
    received = longer;
  });
  socket.on("error", () => {});
  const closed = once(socket, "close");
  await once(socket, "connect");
  return {
    socket,
    closed,
    received: () => received,
    untilBytes: async (count) => {
      await waitFor(`${count} bytes`, () => received.length >= count);
    },
  };
}

/** A call as the plugin sends it. */
function callOf(
  stdin: string,
  variables: Readonly<Record<string, string>> = VARIABLES,
): Uint8Array {
  const encoder = new TextEncoder();
  const env = encoder.encode(
    Object.entries(variables).map(([name, value]) => `${name}=${value}\0`)
      .join(""),
  );
  const config = encoder.encode(stdin);
  const bytes = new Uint8Array(12 + env.length + config.length);
  bytes.set(NATIVE_CALL);
  const view = new DataView(bytes.buffer);
  view.setUint32(4, env.length);
  view.setUint32(8, config.length);
  bytes.set(env, 12);
  bytes.set(config, 12 + env.length);
  return bytes;
}

/** Reads a whole answer: ms to wait, exit code, stdout, stderr. */
function parseAnswer(bytes: Uint8Array) {
  const view = new DataView(bytes.buffer);
  assert.deepEqual([bytes[0], bytes[5]], [1, 2]);
  const [out, err] = [view.getUint32(10), view.getUint32(14)];
  assert.equal(bytes.length, 18 + out + err);
  const decoder = new TextDecoder();
  return {
    waitMs: view.getUint32(1),
    exitCode: view.getUint32(6),
    stdout: decoder.decode(bytes.subarray(18, 18 + out)),
    stderr: decoder.decode(bytes.subarray(18 + out)),
  };
}

Deno.test("NativeCalls.serve() answers a call, in however many pieces it comes", () =>
  withCalls({}, async ({ agent, dial, config }) => {
    for (const size of [1, 7, 1000]) {
      agent.gone.add("net/c1/eth0");
      const plugin = await dial();
      const call = callOf(config({ timeout: "3s" }));
      for (let at = 0; at < call.length; at += size) {
        plugin.socket.write(call.subarray(at, at + size));
        if (size > 1) await new Promise((resolve) => setTimeout(resolve, 1));
      }
      await plugin.untilBytes(18 + ANSWER.length);
      assert.deepEqual(parseAnswer(plugin.received()), {
        waitMs: 4_000,
        exitCode: 0,
        stdout: ANSWER,
        stderr: "",
      });
      plugin.socket.write(new Uint8Array([6]));
      await plugin.closed;
      assert.deepEqual([...agent.held.keys()], ["net/c1/eth0"]);
    }
  }));

Deno.test("NativeCalls.serve() has limits unless a test sets others", () => {
  assert.deepEqual(DEFAULT_NATIVE_LIMITS, {
    maxCalls: 256,
    receiveMs: 10_000,
    printMs: 5_000,
  });
});

Deno.test("NativeCalls.serve() answers an error with exit code 1", () =>
  withCalls({}, async ({ dial }) => {
    const plugin = await dial();
    plugin.socket.write(callOf("[]"));
    await plugin.untilBytes(19);
    plugin.socket.write(new Uint8Array([6]));
    await plugin.closed;
    const { exitCode, stdout, waitMs } = parseAnswer(plugin.received());
    assert.deepEqual([exitCode, JSON.parse(stdout).code, waitMs], [
      ...[1, 6, 11_000],
    ]);
  }));

Deno.test("NativeCalls.serve() undoes an ADD whose plugin ends before it has printed", async (t) => {
  const rows: readonly [name: string, end: (plugin: Plugin) => void][] = [
    ["it closes", ({ socket }) => socket.end()],
    ["it is killed", ({ socket }) => socket.destroy()],
  ];
  for (const [name, end] of rows) {
    await t.step(name, () =>
      withCalls({}, async ({ agent, dial, config }) => {
        const plugin = await dial();
        plugin.socket.write(callOf(config()));
        await plugin.untilBytes(18 + ANSWER.length);
        assert.equal(agent.held.size, 1);
        end(plugin);
        await waitFor("the undo", () => agent.held.size === 0);
      }));
  }
  await t.step(
    "it ends while the agent works",
    () =>
      withCalls({}, async ({ agent, dial, config }) => {
        const plugin = await dial();
        plugin.socket.write(callOf(config()));
        plugin.socket.destroy();
        await waitFor(
          "both calls",
          () => agent.calls.some(([method]) => method === "Release"),
        );
        assert.equal(agent.held.size, 0);
      }),
  );
});

Deno.test("NativeCalls.serve() leaves an address that the plugin may still print", () =>
  withCalls({ printMs: 20 }, async ({ agent, dial, config }) => {
    const plugin = await dial();
    plugin.socket.write(callOf(config()));
    await plugin.untilBytes(18 + ANSWER.length);
    await waitFor("the end", () => plugin.socket.readableEnded);
    plugin.socket.end();
    await plugin.closed;
    assert.deepEqual(agent.calls.map(([method]) => method), ["Allocate"]);
  }));

Deno.test("NativeCalls.serve() leaves calls that need the caller's rights to the executable", async (t) => {
  const rows: readonly [
    name: string,
    ipam: Record<string, unknown>,
    verb: string,
  ][] = [
    ["another socket", { socket: "/run/other.sock" }, "ADD"],
    ["Stellar's service", {
      ...{ type: "stellar-cni-ipam", node_name: "n" },
      peer_addr: "127.0.0.1:1",
    }, "ADD"],
    ["a release for the queue", {}, "DEL"],
  ];
  for (const [name, ipam, verb] of rows) {
    await t.step(name, () =>
      withCalls({}, async ({ agent, dial, config }) => {
        if (verb === "DEL") {
          agent.fail({
            kind: "refuse",
            code: "unavailable",
            message: "the disk is full",
          });
        }
        const plugin = await dial();
        const variables = { ...VARIABLES, CNI_COMMAND: verb };
        plugin.socket.write(callOf(config(ipam), variables));
        await waitFor("the end", () => plugin.socket.readableEnded);
        assert.deepEqual([...plugin.received()].filter((_, i) => i % 5 === 0), [
          ...[1, 0],
        ]);
        plugin.socket.end();
        assert.equal(agent.held.size, 0);
      }));
  }
});

Deno.test("NativeCalls.serve() refuses messages that are no call", async (t) => {
  const rows: readonly [name: string, bytes: Uint8Array][] = [
    ["too many bytes of variables", withNumber(4, 4 * 1024 * 1024 + 1)],
    ["too many bytes of stdin", withNumber(8, 1024 * 1024 + 1)],
    ["the largest numbers", withNumber(8, 0xffff_ffff)],
  ];
  for (const [name, bytes] of rows) {
    await t.step(name, () =>
      withCalls({}, async ({ dial }) => {
        const plugin = await dial();
        plugin.socket.write(bytes);
        await waitFor("the end", () => plugin.socket.readableEnded);
        assert.deepEqual([...plugin.received()], [0]);
        plugin.socket.end();
      }));
  }
});

function withNumber(at: number, number: number): Uint8Array {
  const bytes = callOf("{}");
  new DataView(bytes.buffer).setUint32(at, number);
  return bytes;
}

Deno.test("NativeCalls.serve() closes a connection that does not send its call in time", () =>
  withCalls({ receiveMs: 30 }, async ({ dial }) => {
    const plugin = await dial();
    plugin.socket.write(callOf("{}").subarray(0, 20));
    await plugin.closed;
    assert.equal(plugin.received().length, 0);
  }));

Deno.test("NativeCalls.serve() sends calls beyond the limit to the executable", () =>
  withCalls({ maxCalls: 2 }, async ({ dial, config, served }) => {
    const first = [await dial(), await dial()];
    for (const plugin of first) {
      plugin.socket.write(callOf("{}").subarray(0, 5));
    }
    const third = await dial();
    await waitFor("the end", () => third.socket.readableEnded);
    assert.deepEqual([...third.received()], [0]);
    third.socket.end();
    for (const { socket } of first) socket.destroy();
    await served();
    const plugin = await dial();
    plugin.socket.write(callOf(config()));
    await plugin.untilBytes(18 + ANSWER.length);
    plugin.socket.write(new Uint8Array([6]));
    await plugin.closed;
  }));
