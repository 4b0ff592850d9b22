import assert from "node:assert/strict";
import { connect as connectTcp, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { setTimeout as delay } from "node:timers/promises";
import {
  Code,
  ConnectError,
  createClient,
  type Transport,
} from "@connectrpc/connect";
import {
  createConnectTransport,
  createGrpcTransport,
} from "@connectrpc/connect-node";
import { createRpcServer } from "../../../src/api/server/server.ts";
import { createIpam } from "../../../src/api/services/ipam.ts";
import { OwnerCalls } from "../../../src/api/services/owner_calls.ts";
import { GivenCertificate } from "../../../src/api/tls/given_certificate.ts";
import { IpamService } from "../../../src/gen/stellar/net/v1/ipam_pb.ts";
import {
  held,
  networks,
  startAgent,
  type TestAgent,
} from "../../agent/agents.ts";
import { withTempDir } from "../../support/temp_dir.ts";
import { TestAuthority } from "../../support/test_authority.ts";
import { waitFor } from "../../support/wait_for.ts";

const OWNERS = 60;

/** An agent behind each kind of listener. */
interface Running {
  readonly t: TestAgent;
  readonly ownerCalls: OwnerCalls;
  readonly transports: Readonly<Record<string, Transport>>;
  /** Opens a connection for HTTP/1.1. */
  readonly dials: Readonly<Record<string, () => Socket>>;
}

async function withAgent(use: (running: Running) => Promise<void>) {
  await withTempDir(async (dir) => {
    // Few addresses: what is released wrongly soon has another owner.
    let nowMs = Date.now();
    await using t = await startAgent({
      networks: networks(["10.0.0.0/16", 24]),
      now: () => nowMs++,
    });
    const { agent, store } = t;
    // Time for callers to give up while a commit is written.
    const commit = store.commit.bind(store);
    store.commit = async (...args) => {
      const result = await commit(...args);
      await delay(Math.random() * 4);
      return result;
    };
    const ownerCalls = new OwnerCalls();
    const authority = await TestAuthority.create(dir);
    const { certPath, keyPath, caPath } = await authority.issue("host");
    const tls = await GivenCertificate.open({ certPath, keyPath, caPath });
    const server = createRpcServer({
      routes: (router) =>
        void router.service(IpamService, createIpam(agent, ownerCalls)),
      tls,
    });
    const shown = {
      ca: await Deno.readTextFile(caPath),
      cert: await Deno.readTextFile(certPath),
      key: await Deno.readTextFile(keyPath),
    };
    const listen = { hostname: "127.0.0.1", port: 0 };
    try {
      const { port } = await server.listenTcp(listen);
      const { port: tlsPort } = await server.listenTcp(listen, {
        isSecure: true,
      });
      const socketPath = `${dir}/agent.sock`;
      await server.listenUnix(socketPath);
      const url = `http://127.0.0.1:${port}`;
      const tlsUrl = `https://127.0.0.1:${tlsPort}`;
      await use({
        ...{ t, ownerCalls },
        transports: {
          "HTTP/1.1": createConnectTransport({
            httpVersion: "1.1",
            baseUrl: url,
          }),
          "HTTP/1.1 over a unix socket": createConnectTransport({
            httpVersion: "1.1",
            baseUrl: "http://localhost",
            nodeOptions: { socketPath },
          }),
          "HTTP/1.1 over TLS": createConnectTransport({
            httpVersion: "1.1",
            baseUrl: tlsUrl,
            nodeOptions: shown,
          }),
          "gRPC": createGrpcTransport({ baseUrl: url }),
          "gRPC over TLS": createGrpcTransport({
            baseUrl: tlsUrl,
            nodeOptions: shown,
          }),
          "Connect over HTTP/2": createConnectTransport({
            httpVersion: "2",
            baseUrl: url,
          }),
        },
        dials: {
          "HTTP/1.1": () => connectTcp(port, "127.0.0.1"),
          "HTTP/1.1 over a unix socket": () => connectTcp(socketPath),
          "HTTP/1.1 over TLS": () =>
            connectTls({ ...shown, port: tlsPort, host: "127.0.0.1" }),
        },
      });
    } finally {
      await server.close({ graceMs: 0 });
    }
  });
}

/** Sends an Allocate, and cuts the connection after a time. */
async function cutOff(dial: () => Socket, containerId: string, ms: number) {
  const body = JSON.stringify({ owner: { containerId }, attachment: {} });
  const socket = dial();
  socket.on("error", () => {});
  socket.write(
    "POST /stellar.net.v1.IpamService/Allocate HTTP/1.1\r\nHost: localhost\r\n" +
      `Content-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
  );
  await delay(ms);
  socket.destroy();
}

/** How a caller gives up, by name. */
type GiveUp = "cancelled" | "timed out" | "timed out at the server" | "cut off";

function giveUp(
  how: GiveUp,
  { transport, dial, containerId }: {
    readonly transport: Transport;
    readonly dial: (() => Socket) | undefined;
    readonly containerId: string;
  },
): Promise<unknown> {
  const ms = Math.random() * 6;
  const client = createClient(IpamService, transport);
  const request = { owner: { containerId }, attachment: {} };
  switch (how) {
    case "cancelled": {
      const stop = new AbortController();
      setTimeout(() => stop.abort(), ms);
      return client.allocate(request, { signal: stop.signal });
    }
    case "timed out":
      return client.allocate(request, { timeoutMs: 1 + Math.floor(ms) });
    case "timed out at the server":
      return client.allocate(request, {
        headers: {
          "connect-timeout-ms": String(1 + Math.floor(ms)),
          "grpc-timeout": `${1 + Math.floor(ms)}m`,
        },
      });
    case "cut off":
      return dial ? cutOff(dial, containerId, ms) : Promise.resolve();
  }
}

const WAYS: readonly GiveUp[] = [
  "cancelled",
  "timed out",
  "timed out at the server",
  "cut off",
];

Deno.test("an Allocate that was given up takes nothing from its retry", async (t) => {
  await withAgent(async ({ t: { agent }, ownerCalls, transports, dials }) => {
    for (const [name, transport] of Object.entries(transports)) {
      for (const how of WAYS) {
        const dial = dials[name];
        if (how === "cut off" && !dial) continue;
        await t.step(`${name}, ${how}`, async () => {
          const client = createClient(IpamService, transport);
          const told = new Map<string, string>();
          await Promise.all(Array.from({ length: OWNERS }, async (_, i) => {
            const containerId = `c${i}`;
            await delay(Math.random() * 20);
            const first = giveUp(how, { transport, dial, containerId })
              .catch((error) => {
                const { code } = ConnectError.from(error);
                assert.ok(
                  [Code.Canceled, Code.DeadlineExceeded].includes(code),
                  String(error),
                );
              });
            if (i % 2 === 0) await first;
            const { allocation } = await client.allocate({
              owner: { containerId },
              attachment: {},
            });
            told.set(containerId, allocation!.addresses[0]!.address);
            await first;
          }));
          await waitFor("all calls to be settled", () => ownerCalls.size === 0);
          assert.equal(new Set(told.values()).size, OWNERS);
          assert.deepEqual(
            Object.entries(await held(agent)).sort(),
            [...told].sort(),
          );
          for (const containerId of told.keys()) {
            await client.release({ owner: { containerId } });
          }
        });
      }
    }
  });
});

/** Sends an Allocate whose answer it does not read. */
function ask(dial: () => Socket): Socket {
  const body = JSON.stringify({ owner: { containerId: "c1" }, attachment: {} });
  const socket = dial();
  socket.on("error", () => {});
  socket.pause();
  socket.write(
    "POST /stellar.net.v1.IpamService/Allocate HTTP/1.1\r\nHost: localhost\r\n" +
      `Content-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
  );
  return socket;
}

Deno.test("an Allocate keeps its address whatever its connection does after the answer", async (t) => {
  const UNIX = "HTTP/1.1 over a unix socket";
  const rows: readonly [
    name: string,
    dial: string,
    end: (s: Socket) => void,
  ][] = [
    ["a reset", "HTTP/1.1", (socket) => void socket.resetAndDestroy()],
    ["a close over TLS", "HTTP/1.1 over TLS", (s) => void s.destroy()],
    ["a close of a unix socket", UNIX, (socket) => void socket.end()],
    ["a late close of a unix socket", UNIX, (s) => void s.destroy()],
  ];
  await withAgent(async ({ t: { agent }, ownerCalls, dials }) => {
    for (const [name, dial, end] of rows) {
      await t.step(name, async () => {
        const socket = ask(dials[dial]!);
        if (name.includes("late")) {
          await waitFor(
            "the answer to count as delivered",
            async () =>
              ownerCalls.size === 0 &&
              Object.keys(await held(agent)).length === 1,
          );
        } else {
          await new Promise((resolve) => socket.resume().once("data", resolve));
        }
        end(socket);
        await waitFor("the call to be settled", () => ownerCalls.size === 0);
        await delay(50);
        assert.deepEqual(Object.keys(await held(agent)), ["c1"]);
        await agent.addresses.releaseOthers("a", "default", []);
        socket.destroy();
      });
    }
  });
});

Deno.test("an Allocate is undone when its caller leaves a unix socket without reading", async () => {
  await withAgent(async ({ t: { agent }, ownerCalls, dials }) => {
    const socket = ask(dials["HTTP/1.1 over a unix socket"]!);
    await waitFor(
      "the allocation",
      async () => Object.keys(await held(agent)).length === 1,
    );
    await delay(100);
    socket.destroy();
    await waitFor("the call to be settled", () => ownerCalls.size === 0);
    assert.deepEqual(await held(agent), {});
  });
});
