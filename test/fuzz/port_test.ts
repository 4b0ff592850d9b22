import assert from "node:assert/strict";
import fc from "fast-check";
import { residentMiB } from "../bench/proc_stat.ts";
import { writeFakeIp } from "../support/fake_ip.ts";
import { drawFuzz, fuzzedBytes, Tally } from "../support/fuzz.ts";
import {
  connectRaw,
  END_STREAM,
  frame,
  type FrameType,
  PREFACE,
  type RawClient,
} from "../support/raw_client.ts";
import { callHeaders, concat, FLOODS } from "../support/http2_floods.ts";
import { spawnAgent, type SpawnedAgent } from "../support/spawn_agent.ts";
import { SteadyClient } from "../support/steady_client.ts";
import { http1Call, STUB_PATH } from "../support/stub_network.ts";
import { withTempDir } from "../support/temp_dir.ts";

/** What the agent may have taken in addition at the end, garbage included. */
const MAX_GROWTH_MIB = 400;
const encoder = new TextEncoder();
const SETTINGS = frame("settings");

/** Runs an agent beside a steady client, and checks that both are well in the end. */
async function withAttackedAgent(
  name: string,
  use: (agent: SpawnedAgent, steady: SteadyClient) => Promise<void>,
): Promise<void> {
  await withTempDir(async (dir) => {
    const env = await writeFakeIp(dir);
    const args = ["--store", "kv::memory:"];
    await using agent = await spawnAgent({ args, env });
    await using steady = new SteadyClient(agent);
    await steady.serves();
    const before = residentMiB(agent.pid);
    await use(agent, steady);
    await steady.serves();
    await steady.stop();
    const after = residentMiB(agent.pid);
    console.log(
      `${name}: ${before.toFixed()} MiB before, ${after.toFixed()} MiB after; ` +
        `steady client: ${steady.rounds} rounds, slowest answer ` +
        `${steady.slowestMs.toFixed()} ms`,
    );
    assert.ok(after - before < MAX_GROWTH_MIB, `it grew by ${after - before}`);
    assert.doesNotMatch(agent.stderr, /Cannot answer|Uncaught|panicked/);
    assert.equal(await agent.stop(), 0);
  });
}

function dial({ port }: SpawnedAgent): Promise<RawClient> {
  return connectRaw({ hostname: "127.0.0.1", port });
}

const MESSAGE = frame("data", {
  stream: 1,
  flags: END_STREAM,
  payload: new Uint8Array(5),
});

const TYPES: readonly FrameType[] = [
  ...["data", "headers", "priority", "rst_stream", "settings"] as const,
  ...["push_promise", "ping", "goaway", "window_update"] as const,
  "continuation",
];

/** Frames of any type, on any stream, with any flags: in no order that makes sense. */
const anyFrames = fc.array(
  fc.oneof(
    fc.record({
      type: fc.constantFrom(...TYPES),
      flags: fc.nat(255),
      stream: fc.oneof(fc.nat(9), fc.nat(0x7fffffff)),
      payload: fc.uint8Array({ maxLength: 40 }),
    }).map(({ type, ...rest }) => frame(type, rest)),
    fc.constantFrom(callHeaders(1), MESSAGE, SETTINGS, callHeaders(3)),
  ),
  { maxLength: 12 },
).map(concat);

Deno.test("the port answers or closes whatever bytes and frames come", async () => {
  const tally = new Tally("port");
  const http1 = encoder.encode(http1Call("Info"));
  const http2 = [encoder.encode(PREFACE), SETTINGS, callHeaders(1), MESSAGE];
  const inputs = [
    ...drawFuzz(fuzzedBytes([http1, concat(http2)]), 250),
    ...drawFuzz(
      anyFrames.map((frames) => concat([encoder.encode(PREFACE), frames])),
      250,
    ),
  ];
  await withAttackedAgent("port", async (agent) => {
    const left = inputs.values();
    const worker = async () => {
      for (const input of left) {
        const client = await dial(agent);
        client.send(input);
        // The end of what is sent ends every connection, in one way or another.
        client.socket.end();
        const got = await client.closed;
        tally.add(outcomeOf(got));
      }
    };
    await Promise.all(Array.from({ length: 16 }, worker));
  });
  tally.print();
  assert.equal(tally.total, inputs.length);
});

function outcomeOf(got: string): string {
  if (got === "") return "closed";
  const status = /^HTTP\/1\.1 (\d{3})/.exec(got)?.[1];
  return status === undefined ? "HTTP/2" : `HTTP ${status}`;
}

/** Frames of one flood. */
const FLOOD = 20_000;

Deno.test("floods of HTTP/2 frames leave others as they are", async (t) => {
  await withAttackedAgent("floods", async (agent, steady) => {
    for (const [name, make] of Object.entries(FLOODS)) {
      await t.step(name, async () => {
        const client = await dial(agent);
        client.send(PREFACE);
        client.send(SETTINGS);
        let sent = 0;
        while (sent < FLOOD && !client.socket.destroyed) {
          const batch = Array.from({ length: 500 }, () => make(sent++));
          client.send(concat(batch));
          await new Promise((resolve) => setTimeout(resolve));
        }
        await steady.serves();
        const isCut = client.socket.destroyed;
        console.log(`flood of ${name}: ${sent} frames, cut off: ${isCut}`);
        client.socket.destroy();
        await client.closed;
      });
    }
  });
});

/** Requests over whose end two servers could be of two minds, and headers without end. */
const SMUGGLING: Readonly<Record<string, string>> = {
  "two lengths": http1Call("Info", "{}", "Content-Length: 7\r\n"),
  "a length and chunks": http1Call(
    "Info",
    "0\r\n\r\n",
    "Transfer-Encoding: chunked\r\n",
  ),
  "chunks that are not the last": request("Transfer-Encoding: chunked, x"),
  "chunks by another name": request("Transfer-Encoding: xchunked"),
  "a space before the colon": request("Content-Length : 2"),
  "a line that goes on": request("X: a\r\n Content-Length: 5"),
  "a negative length": request("Content-Length: -1"),
  "a length in hex": request("Content-Length: 0x2"),
  "a length with a sign": request("Content-Length: +2"),
  "a bare line feed": request("X: a\nContent-Length: 5"),
  "a NUL in a header": request("X: a\0b"),
  "a chunk's size too long": request(
    "Transfer-Encoding: chunked",
    "fffffffffffffffff\r\n{}\r\n0\r\n\r\n",
  ),
  "headers without end": request(`X: ${"y".repeat(40_000)}`),
  "many headers": request("X: y\r\n".repeat(4_000) + "Z: z"),
};

function request(headers: string, body = "{}"): string {
  return `POST ${STUB_PATH}/Info HTTP/1.1\r\nHost: localhost\r\n` +
    `Content-Type: application/json\r\n${headers}\r\n\r\n${body}`;
}

Deno.test("HTTP/1.1 requests with two meanings are refused, and the connection ends", async (t) => {
  await withAttackedAgent("smuggling", async (agent) => {
    for (const [name, text] of Object.entries(SMUGGLING)) {
      await t.step(name, async () => {
        const client = await dial(agent);
        client.send(text);
        client.send(http1Call("Info"));
        const got = await client.closed;
        assert.match(got, /^HTTP\/1\.1 4\d\d [^]*/);
        assert.equal(got.match(/HTTP\/1\.1 \d{3}/g)?.length, 1, got);
      });
    }
  });
});

/** Connections that the test makes at most, whatever may be open at once. */
const MANY = 10_000;

Deno.test("ten thousand connections that say nothing or go slowly leave others as they are", async () => {
  await withAttackedAgent("connections", async (agent, steady) => {
    const wanted = Math.min(MANY, await openFilesLimit() - 500);
    const clients: RawClient[] = [];
    const starts = ["", PREFACE, "POST / HTT", http1Call("Info").slice(0, -1)];
    try {
      while (clients.length < wanted) {
        const batch = await Promise.all(
          Array.from({ length: 100 }, () => dial(agent)),
        );
        for (const client of batch) {
          client.send(starts[clients.length % starts.length]!);
          clients.push(client);
        }
      }
      await steady.serves();
      const open = clients.filter(({ socket }) => !socket.destroyed).length;
      console.log(
        `connections: ${clients.length} made, ${open} open at once, ` +
          `${residentMiB(agent.pid).toFixed()} MiB`,
      );
    } finally {
      for (const { socket } of clients) socket.destroy();
    }
    await Promise.all(clients.map(({ closed }) => closed));
    assert.ok(clients.length >= wanted);
  });
});

async function openFilesLimit(): Promise<number> {
  const limits = await Deno.readTextFile("/proc/self/limits");
  return Number(/^Max open files\s+(\d+)/m.exec(limits)![1]);
}
