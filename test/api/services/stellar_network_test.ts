import assert from "node:assert/strict";
import { create, toBinary } from "@bufbuild/protobuf";
import {
  listRoutes,
  listSubnets,
} from "../../../src/api/services/stellar_network.ts";
import {
  RoutesResponseSchema,
  SubnetsResponseSchema,
} from "../../../src/gen/stellar/services/network/v1/network_pb.ts";
import { parseAddress } from "../../../src/net/address.ts";
import { parsePrefix } from "../../../src/net/prefix.ts";
import { networks } from "../../agent/agents.ts";

/** What gRPC clients accept. */
const MAX_BYTES = 4 * 1024 * 1024;

Deno.test("listSubnets() lists whole networks in one message of 4 MiB", async (t) => {
  const rows: readonly [
    name: string,
    networks: [string, number][],
    counts: readonly [prefix: string, count: number][],
  ][] = [
    ["the default", [["172.16.0.0/12", 22]], [["172.", 1024]]],
    ["65,536 slices", [["10.0.0.0/8", 24]], [["10.", 65_536]]],
    [
      "two networks of 65,536",
      [["10.0.0.0/8", 24], ["100.0.0.0/8", 24]],
      [["10.", 65_536], ["100.", 0]],
    ],
    [
      "one that does not fit before one that does",
      [["10.0.0.0/8", 30], ["172.16.0.0/12", 22]],
      [["10.", 0], ["172.", 1024]],
    ],
    [
      "IPv6",
      [["fd00:16::/48", 64], ["172.16.0.0/12", 22]],
      [["fd00:", 65_536], ["172.", 1024]],
    ],
    ["a /32 of IPv6", [["fd00:16::/32", 64]], [["fd00:", 0]]],
  ];
  for (const [name, given, counts] of rows) {
    await t.step(name, () => {
      const subnets = listSubnets(networks(...given));
      for (const [prefix, count] of counts) {
        const found = subnets.filter(({ cidr }) => cidr.startsWith(prefix));
        assert.equal(found.length, count, prefix);
      }
      const message = create(SubnetsResponseSchema, { subnets });
      const { length } = toBinary(SubnetsResponseSchema, message);
      assert.ok(length <= MAX_BYTES, `${length} bytes`);
    });
  }
});

Deno.test("listRoutes() lists all routes in one message of 4 MiB, or refuses", () => {
  const destination = parsePrefix("100.100.100.100/32");
  const target = parseAddress("198.18.100.1");
  const routes = (count: number) =>
    Array.from(
      { length: count },
      () => ({ destination, target, addedAtMs: 0 }),
    );
  const listed = listRoutes(routes(1));
  const bytesOf = (list: typeof listed) =>
    toBinary(
      RoutesResponseSchema,
      create(RoutesResponseSchema, { routes: list }),
    ).length;
  const most = Math.floor((MAX_BYTES - 1024) / bytesOf(listed));
  const whole = listRoutes(routes(most));
  assert.equal(whole.length, most);
  assert.ok(bytesOf(whole) <= MAX_BYTES);
  assert.throws(() => listRoutes(routes(most + 1)), {
    code: "exhausted",
    message: /^Cannot list \d+ routes .*RegistryService\/ListRoutes/,
  });
});
