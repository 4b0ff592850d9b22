import assert from "node:assert/strict";
import {
  addressAnswer,
  constantAnswer,
  parseCall,
  poolAnswer,
} from "../../../src/docker/plan/call.ts";
import { formatPool, parsePool } from "../../../src/docker/plan/pool.ts";
import { parseAddress } from "../../../src/net/address.ts";
import { parsePrefix } from "../../../src/net/prefix.ts";

const POOL = {
  subnet: parsePrefix("172.16.4.0/22"),
  network: "web",
  nonce: "n-1",
};
const ID = formatPool(POOL);
const MAC = "com.docker.network.endpoint.macaddress";

function parse(call: string, body: unknown) {
  return parseCall(`/IpamDriver.${call}`, JSON.stringify(body));
}

/** The requests as Docker 20.10 sends them. */
const READ: readonly [name: string, call: () => unknown, read: unknown][] = [
  [
    "a network without options",
    () =>
      parse("RequestPool", {
        AddressSpace: "stellar-net",
        Pool: "",
        SubPool: "",
        Options: null,
        V6: false,
      }),
    {
      kind: "request pool",
      wanted: { subnet: undefined, family: 4, network: "docker" },
    },
  ],
  [
    "a network with a subnet and a name",
    () =>
      parse("RequestPool", {
        Pool: "fd00::/64",
        Options: { "stellar-net.network": "web" },
        V6: true,
      }),
    {
      kind: "request pool",
      wanted: { subnet: parsePrefix("fd00::/64"), family: 6, network: "web" },
    },
  ],
  [
    "the end of a network",
    () => parse("ReleasePool", { PoolID: ID }),
    { kind: "release pool", pool: POOL },
  ],
  [
    "a gateway",
    () =>
      parse("RequestAddress", {
        PoolID: ID,
        Address: "",
        Options: { RequestAddressType: "com.docker.network.gateway" },
      }),
    { kind: "request gateway", pool: POOL },
  ],
  [
    "the gateway that the agent would choose",
    () =>
      parse("RequestAddress", {
        PoolID: ID,
        Address: "172.16.4.1",
        Options: { RequestAddressType: "com.docker.network.gateway" },
      }),
    { kind: "request gateway", pool: POOL },
  ],
  [
    "an endpoint",
    () =>
      parse("RequestAddress", {
        PoolID: ID,
        Address: "",
        Options: { [MAC]: "02:42:AC:10:04:02" },
      }),
    {
      kind: "request address",
      pool: POOL,
      address: undefined,
      macAddress: "02:42:ac:10:04:02",
      isReplay: false,
    },
  ],
  [
    "an endpoint with --ip",
    () =>
      parse("RequestAddress", {
        PoolID: ID,
        Address: "172.16.4.9",
        Options: { [MAC]: "02:42:ac:10:04:02" },
      }),
    {
      kind: "request address",
      pool: POOL,
      address: parseAddress("172.16.4.9"),
      macAddress: "02:42:ac:10:04:02",
      isReplay: false,
    },
  ],
  [
    "an endpoint that Docker names again after its start",
    () =>
      parse("RequestAddress", {
        PoolID: ID,
        Address: "172.16.4.9",
        Options: null,
      }),
    {
      kind: "request address",
      pool: POOL,
      address: parseAddress("172.16.4.9"),
      macAddress: "",
      isReplay: true,
    },
  ],
  [
    "a release",
    () => parse("ReleaseAddress", { PoolID: ID, Address: "172.16.4.9" }),
    {
      kind: "release address",
      pool: POOL,
      address: parseAddress("172.16.4.9"),
    },
  ],
  [
    "a handshake without a body",
    () => parseCall("/Plugin.Activate", ""),
    { kind: "activate" },
  ],
];

for (const [name, call, read] of READ) {
  Deno.test(`parseCall() reads ${name}`, () => {
    assert.deepEqual(call(), read);
  });
}

/** Each error names the field, the value and the way out. */
const REFUSED: readonly [name: string, call: () => unknown, RegExp][] = [
  [
    "--ip-range",
    () =>
      parse("RequestPool", { Pool: "172.16.4.0/22", SubPool: "172.16.4.0/24" }),
    /SubPool is not valid: "172\.16\.4\.0\/24" .*leave --ip-range out/,
  ],
  [
    "a subnet of another family",
    () => parse("RequestPool", { Pool: "172.16.4.0/22", V6: true }),
    /Pool is not valid: "172\.16\.4\.0\/22" is IPv4, and V6 is true/,
  ],
  [
    "an invalid subnet",
    () => parse("RequestPool", { Pool: "172.16.4.0/33" }),
    /Pool is not valid: "172\.16\.4\.0\/33"/,
  ],
  [
    "a PoolID of another driver",
    () => parse("ReleasePool", { PoolID: "LocalDefault/10.0.0.0/8" }),
    /PoolID is not valid: "LocalDefault\/10\.0\.0\.0\/8"/,
  ],
  [
    "an address outside the subnet",
    () => parse("RequestAddress", { PoolID: ID, Address: "172.16.8.9" }),
    /Address is not valid: "172\.16\.8\.9" is outside the subnet 172\.16\.4\.0\/22/,
  ],
  [
    "another gateway",
    () =>
      parse("RequestAddress", {
        PoolID: ID,
        Address: "172.16.4.9",
        Options: { RequestAddressType: "com.docker.network.gateway" },
      }),
    /"172\.16\.4\.9" is not the gateway 172\.16\.4\.1 .*leave --gateway out/,
  ],
  [
    "an invalid MAC address",
    () => parse("RequestAddress", { PoolID: ID, Options: { [MAC]: "x" } }),
    /macaddress is not valid: "x" is not a MAC address/,
  ],
  [
    "a release of no address",
    () => parse("ReleaseAddress", { PoolID: ID, Address: "" }),
    /Address is not valid: it is empty/,
  ],
  [
    "no JSON",
    () => parseCall("/IpamDriver.ReleasePool", "{"),
    /it is not JSON/,
  ],
  [
    "a list",
    () => parse("ReleasePool", []),
    /the body is not valid: it is not an object/,
  ],
  [
    "another call",
    () => parseCall("/NetworkDriver.CreateNetwork", "{}"),
    /"\/NetworkDriver\.CreateNetwork": IPAM drivers have no such call/,
  ],
];

for (const [name, call, message] of REFUSED) {
  Deno.test(`parseCall() refuses ${name}`, () => {
    assert.throws(call, { name: "NetError", message });
  });
}

Deno.test("constantAnswer() asks Docker for MAC addresses and for what it has", () => {
  assert.deepEqual(constantAnswer({ kind: "capabilities" }), {
    RequiresMACAddress: true,
    RequiresRequestReplay: true,
  });
  assert.deepEqual(constantAnswer({ kind: "activate" }), {
    Implements: ["IpamDriver"],
  });
});

Deno.test("poolAnswer() and addressAnswer() name subnets as Docker does", () => {
  assert.deepEqual(poolAnswer(POOL), {
    PoolID: ID,
    Pool: "172.16.4.0/22",
    Data: {},
  });
  assert.deepEqual(addressAnswer(POOL, parseAddress("172.16.4.9")), {
    Address: "172.16.4.9/22",
    Data: {},
  });
});

Deno.test("parsePool() reads what formatPool() wrote", () => {
  const v6 = { ...POOL, subnet: parsePrefix("fd00:0:0:1::/64") };
  assert.deepEqual(parsePool(formatPool(v6)), v6);
});
