import assert from "node:assert/strict";
import * as grpc from "@grpc/grpc-js";
import { createGrpcJsClient, type GrpcJsClient } from "../support/grpc_js.ts";
import { createIpamClient } from "../support/ipam_client.ts";
import { isLinearizable, type Operation } from "../support/linearizable.ts";
import { spawnAgent, type SpawnedAgent } from "../support/spawn_agent.ts";

const NODE = "node1";
const CLIENTS = 64;
/** Of each client, at once: callers that share its connection. */
const CALLERS = 4;
const HISTORY_CLIENTS = 16;
const HISTORY_MS = 3000;
/** Addresses of a /27. */
const CAPACITY = 29;
/** Ids for which several clients make calls. */
const SHARED = ["shared-0", "shared-1"];

/** Runs an agent whose node has one subnet, and calls a function with clients of it. */
async function withClients(
  options: { readonly clients: number; readonly args: readonly string[] },
  use: (clients: readonly GrpcJsClient[], agent: SpawnedAgent) => Promise<void>,
): Promise<void> {
  await using agent = await spawnAgent({ node: NODE, args: options.args });
  const clients = Array.from(
    { length: options.clients },
    () =>
      createGrpcJsClient(`127.0.0.1:${agent.port}`, {
        file: "stellar/services/network/v1/network.proto",
        service: "stellar.services.network.v1.Network",
      }),
  );
  try {
    await use(clients, agent);
  } finally {
    for (const client of clients) client.close();
  }
}

/** Asks for the address of an id: its text, or "" when none is left. */
async function allocate(client: GrpcJsClient, id: string): Promise<string> {
  try {
    const request = { id, node: NODE };
    return (await client.call<{ ip: string }>("AllocateIP", request)).ip;
  } catch (error) {
    const { code, details } = error as grpc.ServiceError;
    assert.equal(code, grpc.status.RESOURCE_EXHAUSTED, details);
    assert.match(details, /^IP allocation exhausted/);
    return "";
  }
}

async function read(client: GrpcJsClient, id: string): Promise<string> {
  const request = { id, node: NODE };
  return (await client.call<{ ip: string }>("GetIP", request)).ip;
}

/** How many connections a port of 127.0.0.1 has, as the kernel counts them (proc(5), /proc/net/tcp). */
async function countConnections(port: number): Promise<number> {
  const local = `0100007F:${port.toString(16).padStart(4, "0").toUpperCase()}`;
  const established = "01";
  const lines = (await Deno.readTextFile("/proc/net/tcp")).split("\n");
  return lines.map((line) => line.trim().split(/\s+/))
    .filter(([, from, , state]) => from === local && state === established)
    .length;
}

/** Every address that the first /22 of a network gives out. */
function addressesOf22(network: string): string[] {
  const [a, b] = network.split(".");
  return Array.from({ length: 1021 }, (_, i) => i + 2)
    .map((offset) => `${a}.${b}.${offset >> 8}.${offset & 255}`);
}

Deno.test("256 callers on 64 connections fill a subnet: every address once, then RESOURCE_EXHAUSTED", () =>
  withClients({
    clients: CLIENTS,
    args: ["--network", "10.8.0.0/22", "--subnet-prefix", "22"],
  }, async (clients, agent) => {
    const given: [id: string, ip: string][] = [];
    let refused = 0;
    const fill = async (client: GrpcJsClient, name: string) => {
      for (let i = 0;; i++) {
        const id = `${name}-${i}`;
        const ip = await allocate(client, id);
        if (ip === "") break;
        given.push([id, ip]);
      }
      refused++;
    };
    await Promise.all(
      clients.flatMap((client, c) =>
        Array.from({ length: CALLERS }, (_, i) => fill(client, `${c}-${i}`))
      ),
    );
    assert.equal(await countConnections(agent.port), CLIENTS);
    assert.equal(refused, CLIENTS * CALLERS);
    assert.deepEqual(
      given.map(([, ip]) => ip).sort(),
      addressesOf22("10.8").sort(),
    );

    await agent.restart();
    using ipam = createIpamClient(agent.port);
    const held = (await ipam.list()).map(([id, [ip]]) => [id, ip]);
    assert.deepEqual(held.sort(), given.sort());
    await assert.rejects(ipam.allocate("one-more"), {
      code: grpc.status.RESOURCE_EXHAUSTED,
    });
  }));

/** A call of the history, and when it was under way. */
interface Call {
  readonly id: string;
  readonly kind: "allocate" | "release" | "get";
  /** The address that was answered, "" for none. */
  readonly ip: string;
  readonly start: number;
  readonly end: number;
}

/** An id's register: the address that it holds, "" for none. */
function toOperation({ kind, ip, start, end }: Call): Operation<string> {
  const steps = {
    allocate: (state: string) => state === "" || state === ip ? ip : undefined,
    release: () => "",
    get: (state: string) => state === ip ? state : undefined,
  };
  return { start, end, step: steps[kind] };
}

/** Makes calls for some ids, in random order, until the time is up. */
async function walk(
  client: GrpcJsClient,
  ids: readonly string[],
  log: Call[],
): Promise<void> {
  const until = performance.now() + HISTORY_MS;
  while (performance.now() < until) {
    const id = ids[Math.floor(Math.random() * ids.length)]!;
    const dice = Math.random();
    const kind = dice < 0.5 ? "allocate" : dice < 0.9 ? "release" : "get";
    const start = performance.now();
    let ip = "";
    if (kind === "allocate") ip = await allocate(client, id);
    else if (kind === "get") ip = await read(client, id);
    else await client.call("ReleaseIP", { id, node: NODE });
    log.push({ id, kind, ip, start, end: performance.now() });
  }
}

/** A time in which an id held an address. */
interface Hold {
  readonly id: string;
  readonly ip: string;
  readonly from: number;
  readonly to: number;
}

/**
 * The times in which ids certainly held an address, or, where `sure` is false,
 * may have held it; for ids of which one caller makes all the calls.
 */
function holdsOf(log: readonly Call[], sure: boolean): Hold[] {
  const holds: Hold[] = [];
  for (const calls of Map.groupBy(log, ({ id }) => id).values()) {
    let open: Omit<Hold, "to"> | undefined;
    for (const { id, kind, ip, start, end } of calls) {
      if (kind === "release") {
        if (open) holds.push({ ...open, to: sure ? start : end });
        open = undefined;
      } else if (ip !== "") open ??= { id, ip, from: sure ? end : start };
    }
    if (open) holds.push({ ...open, to: Infinity });
  }
  return holds;
}

/** Pairs that held one address at one time. */
function overlapping(holds: readonly Hold[]): [Hold, Hold][] {
  const found: [Hold, Hold][] = [];
  for (const tenants of Map.groupBy(holds, ({ ip }) => ip).values()) {
    const sorted = tenants.sort((a, b) => a.from - b.from);
    for (const [i, hold] of sorted.entries()) {
      const next = sorted[i + 1];
      if (next && next.from < hold.to) found.push([hold, next]);
    }
  }
  return found;
}

Deno.test("16 clients allocate and release at random: no address has two owners, and every answer is right", () =>
  withClients({
    clients: HISTORY_CLIENTS,
    // For 50 ids: they run out again and again.
    args: ["--network", "10.9.0.0/27", "--subnet-prefix", "27"]
      .concat("--cool-down", "0s"),
  }, async (clients, agent) => {
    const own: Call[] = [];
    const shared: Call[] = [];
    await Promise.all(
      clients.map((client, c) =>
        c < 12
          ? walk(client, [0, 1, 2, 3].map((i) => `own-${c}-${i}`), own)
          : walk(client, SHARED, shared)
      ),
    );
    const log = [...own, ...shared];
    assert.ok(log.length > 200, `only ${log.length} calls were made`);
    assert.ok(log.some(({ kind, ip }) => kind === "allocate" && ip === ""));

    const wrong = [...Map.groupBy(log, ({ id }) => id)]
      .filter(([, calls]) => !isLinearizable(calls.map(toOperation), ""))
      .map(([id]) => id);
    assert.deepEqual(wrong, []);
    const holds = holdsOf(own, true);
    assert.deepEqual(overlapping(holds), []);

    const possible = holdsOf(own, false);
    for (const { kind, ip, start, end } of log) {
      if (kind !== "allocate" || ip !== "") continue;
      const holders = new Set(
        possible.filter(({ from, to }) => from <= end && start <= to)
          .map(({ id }) => id),
      );
      assert.ok(holders.size + SHARED.length >= CAPACITY, "refused too early");
    }

    using ipam = createIpamClient(agent.port);
    const listed = (await ipam.list()).map(([id, [ip]]) => `${id} ${ip}`);
    const held = holds.filter(({ to }) => to === Infinity)
      .map(({ id, ip }) => `${id} ${ip}`);
    assert.deepEqual(
      listed.filter((l) => l.startsWith("own")).sort(),
      held.sort(),
    );
    for (const ip of new Set(log.map((call) => call.ip).filter(Boolean))) {
      const tenures = (await ipam.history(ip)).toReversed();
      for (const [i, { releasedAtMs }] of tenures.slice(0, -1).entries()) {
        const next = tenures[i + 1]!;
        assert.ok(releasedAtMs! <= next.allocatedAtMs, `${ip} ${next.id}`);
      }
    }
  }));
