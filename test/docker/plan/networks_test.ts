import assert from "node:assert/strict";
import {
  endpointsByAddress,
  parseNetwork,
} from "../../../src/docker/plan/networks.ts";
import { parseAddress } from "../../../src/net/address.ts";
import { describeNetwork, network } from "../networks.ts";

Deno.test("parseNetwork() reads what Docker's API says of a network", () => {
  const read = network("web", {
    web1: { v4: "172.16.0.2", v6: "fd00::2", mac: "02:42:AC:10:00:02" },
  }, { router: "172.16.0.9" });
  assert.deepEqual(read, {
    id: "id-web",
    name: "web",
    driver: "bridge",
    ipamDriver: "stellar-net",
    pools: [{ subnet: "172.16.0.0/22", gateway: "172.16.0.1" }],
    hasIpv6: false,
    options: { "com.docker.network.bridge.name": "stellar0" },
    endpoints: [{
      name: "web1",
      macAddress: "02:42:ac:10:00:02",
      addresses: [parseAddress("172.16.0.2"), parseAddress("fd00::2")],
    }],
    kept: [parseAddress("172.16.0.9")],
  });
});

Deno.test("parseNetwork() reads a network of another driver, with fields that are null", () => {
  const read = parseNetwork({
    ...{ Name: "host", Id: "1", Driver: "host", Options: null },
    IPAM: { Driver: "default", Options: null, Config: null },
    Containers: null,
  });
  assert.deepEqual([read.pools, read.endpoints, read.kept], [[], [], []]);
});

Deno.test("parseNetwork() refuses another answer, naming the field", () => {
  const described = describeNetwork("web", { web1: { v4: "172.16.0" } });
  assert.throws(() => parseNetwork([]), { code: "unavailable" });
  assert.throws(() => parseNetwork({ ...described, Name: 7 }), {
    code: "unavailable",
    message: /Name: .*a string/,
  });
  assert.throws(() => parseNetwork({ ...described, Options: { a: 1 } }), {
    message: /Options: it must be an object whose values are strings/,
  });
});

Deno.test("endpointsByAddress() lists each address of an endpoint, and those kept from containers", () => {
  const found = endpointsByAddress([
    network("web", { web1: { v4: "172.16.0.2", v6: "fd00::2" } }, {
      router: "172.16.0.9",
    }),
    network("db", { db1: { v4: "172.16.0.3" } }),
  ]);
  assert.deepEqual(
    [...found].map(([text, { network, name }]) => [text, network, name]),
    [
      ["172.16.0.9", "web", "kept-172.16.0.9"],
      ["172.16.0.2", "web", "web1"],
      ["fd00::2", "web", "web1"],
      ["172.16.0.3", "db", "db1"],
    ],
  );
});
