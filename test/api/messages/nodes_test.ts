import assert from "node:assert/strict";
import { create, toBinary } from "@bufbuild/protobuf";
import { createClient, createRouterTransport } from "@connectrpc/connect";
import { RpcRegistryPeer } from "../../../src/api/client/registry_peer.ts";
import { watchMessage, watchParts } from "../../../src/api/messages/nodes.ts";
import { createRegistry } from "../../../src/api/services/registry.ts";
import {
  RegistryService,
  WatchResponseSchema,
} from "../../../src/gen/stellar/net/v1/registry_pb.ts";
import { parseAddress } from "../../../src/net/address.ts";
import { formatPrefix, parsePrefix } from "../../../src/net/prefix.ts";
import type { ClusterEvent } from "../../../src/registry/feed.ts";
import type { RegistryHost } from "../../../src/registry/host.ts";

/** What gRPC clients accept. */
const MAX_BYTES = 4 * 1024 * 1024;
const COUNT = 14_000;

const names = (letter: string, count: number) =>
  Array.from({ length: count }, (_, i) => `${letter.repeat(240)}${i}`);
const cidrs = (count: number) =>
  Array.from(
    { length: count },
    (_, i) => `fd00:1111:2222:3333:4444:5555:0:${i.toString(16)}/128`,
  ).map((text) => formatPrefix(parsePrefix(text)));

/** A snapshot of long names, or one with as much that is gone. */
function eventOf(count: number, removed = 0): ClusterEvent {
  const advertised = [parseAddress("198.18.0.1")];
  const target = parseAddress("fd00::1");
  return {
    ...{ revision: 7, isSnapshot: removed === 0 },
    nodes: names("n", count).map((name) => ({
      ...{ name, subnets: [], advertised, apiUrl: "", joinedAtMs: 1 },
      ...{ state: "ready", seenAtMs: undefined, problem: "" },
    })),
    routes: cidrs(count).map((cidr) => ({
      ...{ destination: parsePrefix(cidr), target, addedAtMs: 1 },
    })),
    removedNodes: names("r", removed),
    removedRoutes: cidrs(removed),
  };
}

function textOf({ nodes, routes, ...event }: ClusterEvent): string {
  return JSON.stringify([
    ...[event.revision, event.isSnapshot],
    ...[event.removedNodes, event.removedRoutes],
    nodes.map(({ name }) => name),
    routes.map(({ destination }) => formatPrefix(destination)),
  ]);
}

function bytesOf(event: ClusterEvent): number {
  const message = create(WatchResponseSchema, watchMessage(event));
  return toBinary(WatchResponseSchema, message).length;
}

for (
  const [name, event] of [
    ["a large snapshot", eventOf(COUNT)],
    ["a large change", eventOf(COUNT, COUNT)],
  ] as const
) {
  Deno.test(`watchParts() cuts ${name} into messages below 4 MiB`, () => {
    assert.ok(bytesOf(event) > MAX_BYTES);
    const parts = watchParts(event);
    for (const part of parts) assert.ok(bytesOf(part) < MAX_BYTES);
    assert.deepEqual(
      parts.map(({ hasMore }) => hasMore),
      parts.map((part) => part !== parts.at(-1)),
    );
    assert.equal(watchParts(event), parts);
  });
}

Deno.test("watchParts() leaves a small event as it is", () => {
  const event = eventOf(10, 10);
  assert.deepEqual(watchParts(event), [event]);
});

Deno.test("a member puts a snapshot together that comes in parts, and an older one gets it whole", async () => {
  const event = eventOf(COUNT, COUNT);
  const host = {
    nodes: {
      async *watch() {
        yield event;
      },
    },
  } as unknown as RegistryHost;
  const transport = createRouterTransport((router) =>
    void router.service(
      RegistryService,
      createRegistry(() => host, {
        self: "a",
        reports: {} as never,
        events: {} as never,
      }),
    )
  );
  const { signal } = new AbortController();
  const peer = new RpcRegistryPeer("http://x", transport);
  const events = await Array.fromAsync(peer.watch(signal));
  assert.equal(events.length, 1);
  // A difference of events would be too large to show.
  assert.ok(textOf(events[0]!) === textOf(event), "they differ");
  const counts = async (request: { parts?: boolean; progress?: boolean }) => {
    const messages = await Array.fromAsync(
      createClient(RegistryService, transport).watch(request, { signal }),
    );
    return messages.map(({ nodes, more, asOf }) =>
      [nodes.length < COUNT, more, asOf !== undefined].join(" ")
    );
  };
  assert.deepEqual(await counts({}), ["false false false"]);
  const parts = await counts({ parts: true, progress: true });
  assert.equal(parts.length, watchParts(event).length);
  assert.equal(parts.pop(), "true false true");
  assert.deepEqual(new Set(parts), new Set(["true true false"]));
});
