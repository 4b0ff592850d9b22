import assert from "node:assert/strict";
import { NetError } from "../../src/base/error.ts";
import { parseAddress } from "../../src/net/address.ts";
import { parsePrefix, prefixOf } from "../../src/net/prefix.ts";
import type { AddressRequest } from "../../src/agent/address_request.ts";
import type { StationProcess } from "../../src/station/port.ts";
import {
  MAX_STATIONS,
  Stations,
  type StationsOptions,
} from "../../src/station/stations.ts";

const SUBNET = parsePrefix("172.16.4.0/22");
const HOST = parseAddress("198.18.0.12");

interface World {
  readonly stations: Stations;
  readonly requests: AddressRequest[];
  readonly log: string[];
}

/** A host whose stations only note what happens to them. */
function createWorld(
  { hasBridge = true, start, attach }: {
    readonly hasBridge?: boolean;
    /** The error of a start; default none. */
    readonly start?: NetError;
    /** The error of an attachment; default none. */
    readonly attach?: NetError;
  } = {},
): World {
  const requests: AddressRequest[] = [];
  const log: string[] = [];
  const gateway = parseAddress("172.16.4.1");
  const process: StationProcess = {
    ...{ pid: 7, port: 4000, keepAlive: () => {} },
    attach: ({ bridge, linkName }) => {
      log.push(`attach ${linkName.length <= 15} ${bridge}`);
      return attach ? Promise.reject(attach) : Promise.resolve();
    },
    ping: () => Promise.resolve({ isAnswered: true, mtuBytes: undefined }),
    exchange: () => Promise.resolve(""),
    countEchoes: () => Promise.resolve({ 4: 0, 6: 0 }),
    [Symbol.asyncDispose]: () => {
      log.push("end");
      return Promise.resolve();
    },
  };
  const addresses: StationsOptions["agent"]["addresses"] = {
    allocate: (_, request) => {
      requests.push(request);
      const allocation = {
        ...{ id: "x", owner: request.owner, requested: false },
        ...{ allocatedAtMs: 0 },
        addresses: [{ address: parseAddress("172.16.4.9"), subnet: SUBNET }],
      };
      const outcome = { created: true, renewed: false, updated: false };
      return Promise.resolve({ ...outcome, allocation, avoided: [] });
    },
    release: (_, { owner }) => {
      log.push(`release ${owner.containerId}`);
      return Promise.resolve(undefined);
    },
    keepAlive: () => Promise.resolve([]),
  };
  const stations = new Stations({
    agent: { node: "host2", member: { subnets: [SUBNET] }, addresses },
    controller: {
      advertised: [HOST],
      readInterfaces: () =>
        Promise.resolve({
          defaultRoutes: [],
          links: hasBridge
            ? [{
              ...{ name: "stellar0", kind: "bridge", isUp: true },
              mtuBytes: 1400,
              addresses: [{
                ...{ address: gateway, prefix: prefixOf(gateway, 22) },
                ...{ scope: "global", isTransient: false },
              }],
            }]
            : [],
        }),
    },
    probe: {
      ping: () => Promise.resolve({ isAnswered: true, mtuBytes: undefined }),
    },
    maker: {
      start: () => start ? Promise.reject(start) : Promise.resolve(process),
    },
    randomId: () => "0123-4567-89ab-cdef",
  });
  return { stations, requests, log };
}

Deno.test("Stations.open() holds an address for 15 s at a time, and releases it after the namespace has ended", async () => {
  const { stations, requests, log } = createWorld();
  const owner = {
    network: "stellar-net-test",
    containerId: "stellar-test-0123-4567-89ab-cdef",
    interfaceName: "eth0",
  };
  {
    await using station = await stations.open();
    assert.deepEqual(station.addresses, [parseAddress("172.16.4.9")]);
    assert.equal(station.mtuBytes, 1400);
    assert.equal(station.limit, "");
  }
  assert.deepEqual(requests, [{ owner, addresses: [], ttlMs: 15_000 }]);
  assert.deepEqual(log, [
    "attach true stellar0",
    "end",
    `release ${owner.containerId}`,
  ]);
});

Deno.test("Stations.open() leaves nothing when an attachment fails", async () => {
  const attach = new NetError("unavailable", "no ip");
  const { stations, log } = createWorld({ attach });
  // More often than there may be stations: a failed one does not count.
  for (let i = 0; i <= MAX_STATIONS; i++) {
    log.length = 0;
    await assert.rejects(stations.open(), attach);
    assert.deepEqual(log.slice(1), [
      "end",
      "release stellar-test-0123-4567-89ab-cdef",
    ]);
  }
});

Deno.test("Stations.open() refuses more stations than a host may have, until one ends", async () => {
  const { stations } = createWorld();
  const open = [];
  for (let i = 0; i < MAX_STATIONS; i++) open.push(await stations.open());
  await assert.rejects(stations.open(), { code: "exhausted" });
  await open.pop()![Symbol.asyncDispose]();
  open.push(await stations.open());
  for (const station of open) await station[Symbol.asyncDispose]();
});

Deno.test("Stations.open() takes addresses of the host where it can make no station, and says why", async (t) => {
  const refused = new NetError("permission_denied", "no right");
  const rows = [
    {
      name: "without a bridge",
      world: { hasBridge: false },
      address: HOST,
      limit: /no bridge yet/,
    },
    {
      name: "without the right to make a namespace",
      world: { start: refused },
      address: parseAddress("172.16.4.1"),
      limit: /its gateway is the end \(no right\)/,
    },
  ];
  for (const { name, world, address, limit } of rows) {
    await t.step(name, async () => {
      const { stations, requests } = createWorld(world);
      await using station = await stations.open();
      assert.deepEqual(station.addresses, [address]);
      assert.match(station.limit, limit);
      assert.equal(station.port, 0);
      assert.deepEqual(requests, []);
    });
  }
});
