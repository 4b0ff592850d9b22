import assert from "node:assert/strict";
import * as grpc from "@grpc/grpc-js";
import { createGrpcJsClient, type GrpcJsClient } from "../support/grpc_js.ts";
import { spawnAgent } from "../support/spawn_agent.ts";

const CLIENTS = 16;
const WALK_MS = 3000;
/** For a busy machine: until all has happened. */
const MAX_WALK_MS = 60_000;
/** The agent's own, which claims a subnet when it needs one. */
const OWN = "node1";
/** More than there are subnets. */
const NODES = ["x", "y", OWN];
const NETWORK = "10.5.0.0/28";

/** A call that was answered; `got` is the subnet or address, undefined when it was refused. */
interface Call {
  readonly kind: "claim" | "give up" | "allocate" | "release";
  readonly node: string;
  readonly id: string;
  readonly got: string | undefined;
  readonly start: number;
  readonly end: number;
}

/** Something that certainly belonged to somebody. */
interface Hold {
  readonly what: string;
  readonly who: string;
  readonly node: string;
  readonly from: number;
  readonly to: number;
}

const { NOT_FOUND, FAILED_PRECONDITION, RESOURCE_EXHAUSTED } = grpc.status;

/** How each call is made, and how it may be refused. */
const CALLS: Readonly<
  Record<Call["kind"], readonly [method: string, refusals: grpc.status[]]>
> = {
  "claim": ["AllocateSubnet", [RESOURCE_EXHAUSTED]],
  "give up": ["DeallocateSubnet", [NOT_FOUND, FAILED_PRECONDITION]],
  "allocate": ["AllocateIP", [NOT_FOUND, RESOURCE_EXHAUSTED]],
  "release": ["ReleaseIP", []],
};

async function makeCall(
  client: GrpcJsClient,
  { kind, node, id }: Pick<Call, "kind" | "node" | "id">,
): Promise<Call> {
  const [method, refusals] = CALLS[kind];
  const start = performance.now();
  let got: string | undefined;
  try {
    const answer = await client.call<{ subnetCidr?: string; ip?: string }>(
      method,
      { node, id },
    );
    got = answer.subnetCidr ?? answer.ip ?? "";
  } catch (error) {
    const { code, details } = error as grpc.ServiceError;
    assert.ok(refusals.includes(code), `${method}: ${details}`);
  }
  return { kind, node, id, got, start, end: performance.now() };
}

function pick<T>(choices: readonly T[]): T {
  return choices[Math.floor(Math.random() * choices.length)]!;
}

/** Whether each kind of call was carried out some times, and each node had a subnet. */
function isVaried(log: readonly Call[]): boolean {
  const done = log.filter((call) => call.got !== undefined);
  return Object.keys(CALLS).every((kind) =>
    done.filter((call) => call.kind === kind).length > 2
  ) && NODES.every((node) =>
    done.some((call) =>
      call.kind === "claim" && call.node === node
    )
  );
}

/** Makes calls at random, for an id that no other client has. */
async function walk(
  client: GrpcJsClient,
  id: string,
  log: Call[],
): Promise<void> {
  const kinds = Object.keys(CALLS) as Call["kind"][];
  const begun = performance.now();
  const lasted = () => performance.now() - begun;
  while (lasted() < WALK_MS || (!isVaried(log) && lasted() < MAX_WALK_MS)) {
    const node = pick(NODES);
    // Mostly releases, so that subnets fall empty.
    const kind = Math.random() < 0.6 ? "release" : pick(kinds);
    log.push(await makeCall(client, { kind, node, id }));
  }
}

/** From the end of an allocation to the start of the release after it. */
function addressHolds(log: readonly Call[]): Hold[] {
  const holds: Hold[] = [];
  const own = Map.groupBy(log, ({ node, id }) => `${id} on ${node}`);
  for (const [who, calls] of own) {
    let open: Omit<Hold, "to"> | undefined;
    for (const { kind, got, node, start, end } of calls) {
      if (kind === "release") {
        if (open) holds.push({ ...open, to: start });
        open = undefined;
      } else if (kind === "allocate" && got !== undefined) {
        open ??= { what: got, who, node, from: end };
      }
    }
    if (open) holds.push({ ...open, to: Infinity });
  }
  return holds;
}

/** From the end of a claim to the start of the next release of the node's subnet, whoever made it. */
function subnetHolds(log: readonly Call[]): Hold[] {
  return log
    .filter(({ kind, got }) => kind === "claim" && got !== undefined)
    .map(({ node, got, end: from }) => {
      const to = log
        .filter((c) => c.kind === "give up" && c.got !== undefined)
        .filter((c) => c.node === node && c.end > from)
        .reduce((first, { start }) => Math.min(first, start), Infinity);
      return { what: got!, who: node, node, from, to };
    })
    .filter(({ from, to }) => from < to);
}

/** Pairs of one thing that belonged to two at one time. */
function disputes(holds: readonly Hold[]): [Hold, Hold][] {
  return holds.flatMap((a, i) =>
    holds.slice(i + 1)
      .filter((b) => a.what === b.what && a.who !== b.who)
      .filter((b) => a.from < b.to && b.from < a.to)
      .map((b): [Hold, Hold] => [a, b])
  );
}

Deno.test("nodes claim and give up subnets while addresses come and go: nothing belongs to two", async () => {
  await using agent = await spawnAgent({
    node: OWN,
    args: ["--network", NETWORK, "--subnet-prefix", "29", "--cool-down", "0s"],
  });
  const clients = Array.from(
    { length: CLIENTS },
    () =>
      createGrpcJsClient(`127.0.0.1:${agent.port}`, {
        file: "stellar/services/network/v1/network.proto",
        service: "stellar.services.network.v1.Network",
      }),
  );
  const log: Call[] = [];
  try {
    await Promise.all(clients.map((client, i) => walk(client, `c${i}`, log)));
    const client = clients[0]!;
    for (const node of NODES) {
      for (let i = 0; i < CLIENTS; i++) {
        const id = `c${i}`;
        log.push(await makeCall(client, { kind: "release", node, id }));
      }
      log.push(await makeCall(client, { kind: "give up", node, id: "" }));
    }
    const last = { kind: "allocate", node: OWN, id: "last" } as const;
    const { got } = await makeCall(client, last);
    assert.match(got ?? "", /^10\.5\.0\.(?:2|10)$/);
  } finally {
    for (const client of clients) client.close();
  }
  assert.ok(isVaried(log), "some of it hardly ever");

  const addresses = addressHolds(log);
  assert.deepEqual(disputes(addresses), []);
  assert.deepEqual(disputes(subnetHolds(log)), []);
  const underfoot = log
    .filter((c) => c.kind === "give up" && c.got !== undefined)
    .flatMap(({ node, start, end }) =>
      addresses.filter((h) => h.node === node && h.from < start && h.to > end)
    );
  assert.deepEqual(underfoot, []);
});
