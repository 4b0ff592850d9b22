import assert from "node:assert/strict";
import { once } from "node:events";
import { type ClientHttp2Session, connect } from "node:http2";
import { connect as connectTcp, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { setTimeout as delay } from "node:timers/promises";
import { create, toBinary } from "@bufbuild/protobuf";
import { Network } from "../../src/gen/stellar/services/network/v1/network_pb.ts";
import type { RpcLimits } from "../../src/api/limits/limits.ts";
import type { TlsMaterial } from "../../src/api/tls/credentials.ts";
import { residentMiB } from "../bench/proc_stat.ts";
import { callGrpc, opened } from "../support/cluster_tls.ts";
import { Tally } from "../support/fuzz.ts";
import { callHeaders, concat, FLOODS } from "../support/http2_floods.ts";
import {
  END_HEADERS,
  END_STREAM,
  frame,
  hpack,
  parseFrames,
  PREFACE,
} from "../support/raw_client.ts";
import { http1Call, STUB_PATH } from "../support/stub_network.ts";
import { waitFor } from "../support/wait_for.ts";

/** What the server may have taken in addition at the end, garbage included. */
const MAX_GROWTH_MIB = 300;
/** How long the good client may wait for an answer. */
const MAX_ANSWER_MS = 120_000;
/** Frames of one flood. */
const FLOOD = 20_000;
/** Clients that go slowly, of each kind. */
const SLOW = 25;

const LIMITS: Partial<RpcLimits> = {
  ...{ headerTimeoutMs: 1000, requestTimeoutMs: 1000 },
  ...{ recheckIntervalMs: 200, maxAnonymousMs: 3000 },
};

/** What stands in the line of attacked_server_main.ts. */
interface AttackedServer {
  readonly ports: { readonly tls: number; readonly plain: number };
  /** Of a client that is let in, and attacks. */
  readonly member: TlsMaterial;
  /** Of a client that is let in, and only calls. */
  readonly good: TlsMaterial;
}

/** How an attacker comes. */
type Way = "plain" | "anonymous" | "member";
const WAYS: readonly Way[] = ["plain", "anonymous", "member"];

/** Runs a server beside a good client, and checks that both are well in the end. */
async function withAttackedServer(
  name: string,
  use: (server: AttackedServer) => Promise<void>,
): Promise<void> {
  const main = new URL("../support/attacked_server_main.ts", import.meta.url);
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", main.href, JSON.stringify(LIMITS)],
    ...{ stdin: "piped", stdout: "piped", stderr: "piped" },
  }).spawn();
  const stderr = new Response(child.stderr).text();
  const lines = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  try {
    const { value } = await lines.read();
    const server: AttackedServer = JSON.parse(value!);
    const good = new GoodClient(server);
    await good.serves();
    const before = residentMiB(child.pid);
    await use(server);
    await good.serves();
    await good.stop();
    const after = residentMiB(child.pid);
    console.log(
      `${name}: ${before.toFixed()} MiB before, ${after.toFixed()} MiB after; ` +
        `good client: ${good.answers} answers, slowest ${good.slowestMs.toFixed()} ms`,
    );
    assert.ok(after - before < MAX_GROWTH_MIB, `it grew by ${after - before}`);
  } finally {
    await child.stdin.close().catch(() => {});
    await lines.cancel();
    await child.status;
    await stderr;
  }
  assert.equal((await child.status).code, 0, await stderr);
  assert.doesNotMatch(await stderr, /Uncaught|panicked/);
}

/** A client with a certificate that calls all the time. */
class GoodClient {
  readonly #server: AttackedServer;
  readonly #done: Promise<void>;
  #isStopped = false;
  answers = 0;
  slowestMs = 0;

  constructor(server: AttackedServer) {
    this.#server = server;
    this.#done = this.#run();
    this.#done.catch(() => {});
  }

  /** Waits until it has had some more answers. @throws what went wrong */
  async serves(): Promise<void> {
    const wanted = this.answers + 3;
    while (this.answers < wanted) {
      await Promise.race([delay(10), this.#done]);
      if (this.#isStopped) await this.#done;
    }
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#done;
  }

  async #run(): Promise<void> {
    const { ports, good } = this.#server;
    const { info } = Network.method;
    let session: ClientHttp2Session | undefined;
    for (let n = 0; !this.#isStopped; n++) {
      const from = performance.now();
      // A new connection now and then: those have to be let in, too.
      if (n % 10 === 0) {
        session?.destroy();
        // On a busy machine a handshake may take longer than the server waits.
        session = await waitFor(
          "the good client to be let in",
          () => opened(connect(`https://127.0.0.1:${ports.tls}`, good)),
          { timeoutMs: MAX_ANSWER_MS },
        );
      }
      const { code, message } = await callGrpc(
        session!,
        info,
        create(info.input),
      );
      assert.equal(code, 0, message);
      const tookMs = performance.now() - from;
      assert.ok(tookMs < MAX_ANSWER_MS, `${tookMs} ms`);
      this.slowestMs = Math.max(this.slowestMs, tookMs);
      this.answers++;
      await delay(10);
    }
    session?.destroy();
  }
}

/** Connects, and does the handshake. */
async function dial(
  { ports, member }: AttackedServer,
  way: Way,
): Promise<{ socket: Socket; closed: Promise<string>; got: () => string }> {
  const to = { host: "127.0.0.1", port: ports[way === "plain" ? way : "tls"] };
  const { ca } = member;
  const socket = way === "plain"
    ? connectTcp(to)
    : connectTls({ ...to, ...way === "member" ? member : { ca } });
  let received = "";
  socket.setEncoding("latin1").on("data", (text) => received += text);
  socket.on("error", () => {});
  const closed = new Promise<string>((resolve) => {
    socket.once("close", () => resolve(received));
  });
  await Promise.race([
    once(socket, way === "plain" ? "connect" : "secureConnect"),
    closed,
  ]);
  return { socket, closed, got: () => received };
}

/** Whether something happens within a time; returns as soon as it is known. */
async function endsWithin(ms: number, end: Promise<unknown>): Promise<boolean> {
  const late = new AbortController();
  const { signal } = late;
  try {
    return await Promise.race([
      end.then(() => true),
      delay(ms, false, { signal }).catch(() => false),
    ]);
  } finally {
    late.abort();
  }
}

const SETTINGS = frame("settings");

Deno.test("floods of HTTP/2 frames end the connection or do no harm, over TLS and in plain text", async () => {
  const tally = new Tally("floods");
  await withAttackedServer("floods", async (server) => {
    for (const way of WAYS) {
      for (const [name, make] of Object.entries(FLOODS)) {
        const { socket, closed } = await dial(server, way);
        socket.write(PREFACE);
        socket.write(SETTINGS);
        let sent = 0;
        while (sent < FLOOD && !socket.destroyed) {
          const batch = Array.from({ length: 500 }, () => make(sent++));
          socket.write(concat(batch));
          await delay(0);
        }
        // What was sent is dealt with before the end of it is seen.
        const isToBeCut = ["settings", "pings"].includes(name);
        const isCut = await endsWithin(isToBeCut ? 60_000 : 300, closed);
        tally.add(`${name} ${isCut ? "cut off" : "borne"}`);
        if (isToBeCut) assert.equal(isCut, true, `${name} over ${way}`);
        socket.destroy();
        await closed;
      }
    }
  });
  tally.print();
  assert.equal(tally.total, WAYS.length * Object.keys(FLOODS).length);
});

type Sender = (socket: Socket, closed: Promise<unknown>) => Promise<void>;

/** Sends a text byte by byte. */
function slowly(text: string, first = ""): Sender {
  return async (socket, closed) => {
    socket.write(first, "latin1");
    for (const byte of text) {
      if (socket.destroyed) return;
      socket.write(byte, "latin1");
      await endsWithin(100, closed);
    }
  };
}

/** Clients that send slowly; the server has to cut off each. */
const SLOWLY: Readonly<Record<string, Sender>> = {
  "nothing": () => Promise.resolve(),
  "a preface": slowly(PREFACE),
  "a preface and no settings": slowly("", PREFACE),
  "headers of HTTP/1.1": slowly(http1Call("Info")),
  "one header without end": slowly("y".repeat(200), "GET / HTTP/1.1\r\nX: "),
  "a body of HTTP/1.1": slowly(
    "x".repeat(200),
    `POST ${STUB_PATH}/Info HTTP/1.1\r\nHost: localhost\r\n` +
      "Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n",
  ),
};

Deno.test("clients that send slowly are cut off, over TLS and in plain text", async () => {
  const tally = new Tally("slow senders");
  await withAttackedServer("slow senders", async (server) => {
    const attacks = WAYS.flatMap((way) =>
      Object.entries(SLOWLY).map(async ([name, send]) => {
        const startedAt = performance.now();
        // Fewer than an anonymous client may have, all kinds together.
        const count = way === "anonymous" ? 5 : SLOW;
        await Promise.all(Array.from({ length: count }, async () => {
          const { socket, closed } = await dial(server, way);
          await send(socket, closed);
          await closed;
          tally.add(`${name} cut off`);
        }));
        const tookMs = performance.now() - startedAt;
        assert.ok(tookMs < 120_000, `${name} over ${way} took ${tookMs} ms`);
      })
    );
    await Promise.all(attacks);
  });
  tally.print();
  assert.equal(tally.total, Object.keys(SLOWLY).length * (2 * SLOW + 5));
});

/** Half of a ClientHello, or less. */
const HALVES = ["\x16", "\x16\x03\x01\x02", "\x16\x03\x01\x02\x00\x01\x00"];

Deno.test("handshakes that do not come to their end are cut off", async () => {
  const tally = new Tally("half handshakes");
  await withAttackedServer("half handshakes", async ({ ports }) => {
    await Promise.all(Array.from({ length: 100 }, async (_, i) => {
      const socket = connectTcp({ host: "127.0.0.1", port: ports.tls });
      socket.on("error", () => {});
      socket.resume().write(HALVES[i % HALVES.length]!, "latin1");
      await once(socket, "close");
      tally.add("cut off");
    }));
  });
  tally.print();
  assert.equal(tally.total, 100);
});

/** SETTINGS that leave the server no room to answer (RFC 9113 section 6.5.2). */
const NO_WINDOW = frame("settings", {
  payload: Uint8Array.of(0, 4, 0, 0, 0, 0),
});

/** A call whose answer is as long as its request. */
function echoCall(stream: number, type: string): Uint8Array {
  const { input } = Network.method.allocateIP;
  const message = toBinary(
    input,
    create(input, { id: "x".repeat(8_000), node: "host2" }),
  );
  const envelope = new Uint8Array(5 + message.length);
  new DataView(envelope.buffer).setUint32(1, message.length);
  envelope.set(message, 5);
  return concat([
    frame("headers", {
      stream,
      flags: END_HEADERS,
      payload: hpack({
        ...{ ":method": "POST", ":scheme": "http", ":authority": "localhost" },
        ":path": `${STUB_PATH}/AllocateIP`,
        "content-type": type,
      }),
    }),
    frame("data", {
      stream,
      flags: END_STREAM,
      payload: type.includes("grpc") ? envelope : message,
    }),
  ]);
}

Deno.test("clients that do not read their answers do not keep them waiting for ever", async () => {
  const tally = new Tally("windows of nothing");
  const calls = 6;
  await withAttackedServer("windows of nothing", async (server) => {
    for (const way of ["plain", "member"] as const) {
      for (const type of ["application/grpc", "application/proto"]) {
        await Promise.all(Array.from({ length: SLOW }, async () => {
          const { socket, closed, got } = await dial(server, way);
          socket.write(PREFACE);
          socket.write(NO_WINDOW);
          for (let i = 0; i < calls; i++) {
            socket.write(echoCall(2 * i + 1, type));
          }
          const count = () => {
            const frames = parseFrames(got());
            return frames.filter((f) => f.type === "rst_stream").length;
          };
          const deadline = performance.now() + 120_000;
          while (count() < calls && !socket.destroyed) {
            assert.ok(performance.now() < deadline, `${count()} of ${type}`);
            await delay(50);
          }
          for (let i = 0; i < calls; i++) tally.add(`${type} cut off`);
          socket.destroy();
          await closed;
        }));
      }
    }
  });
  tally.print();
  assert.equal(tally.total, 4 * SLOW * calls);
});

Deno.test("what the floods are made of makes a call", async () => {
  await withAttackedServer("a call", async (server) => {
    const { socket, closed, got } = await dial(server, "plain");
    socket.write(concat([new TextEncoder().encode(PREFACE), SETTINGS]));
    socket.write(concat([
      callHeaders(1),
      frame("data", {
        stream: 1,
        flags: END_STREAM,
        payload: new Uint8Array(5),
      }),
    ]));
    while (!parseFrames(got()).some(({ type }) => type === "data")) {
      await Promise.race([once(socket, "data"), closed]);
    }
    socket.destroy();
    await closed;
  });
});
