import assert from "node:assert/strict";
import { parsePrefix } from "../../../src/net/prefix.ts";
import { IpRoutes } from "../../../src/routes/ip_routes.ts";
import { formatKernelRoute } from "../../../src/routes/plan/kernel_route.ts";
import { queryLines } from "../../../src/routes/plan/route_query.ts";
import { createFakeHost } from "./kernels.ts";

const QUERY = {
  protocol: 83,
  within: ["172.16.0.0/12", "fd00::/48"].map(parsePrefix),
  exact: ["10.9.0.0/16"].map(parsePrefix),
};

Deno.test("queryLines() asks for what decides, family by family", () => {
  const lines = (family: 4 | 6) =>
    queryLines(QUERY, family).map(({ line }) => line.slice(11));
  assert.deepEqual(lines(4), [
    "root 172.16.0.0/12",
    "exact 10.9.0.0/16",
    "exact default",
    "scope link",
    "proto 83",
  ]);
  assert.deepEqual(lines(6), [
    "root fd00::/48",
    "exact default",
    ...["proto 83", "proto 2", "proto 3", "proto 4", "proto 9", "proto 16"],
  ]);
});

Deno.test("IpRoutes.read() with a query reads each route that decides once, and no others", async () => {
  const ip = await createFakeHost([
    "route add 0.0.0.0/0 via 198.18.0.254",
    "route add 172.16.4.0/22 via 198.18.0.2 proto 83",
    "route add 172.16.8.0/24 via 198.18.0.9 proto 186",
    "route add 10.9.0.0/16 via 198.18.0.9",
    "route add 10.8.0.0/16 via 198.18.0.9 proto 83",
    "route add 10.7.0.0/16 via 198.18.0.9 proto 186",
    "route add fd00:0:0:4::/64 via 2001:db8::2 proto 83",
    "route add fd01::/64 via 2001:db8::2 proto 186",
    "route add fd02::/64 via 2001:db8::2 proto 4",
  ]);
  const port = new IpRoutes({ runner: ip, follower: ip });
  const { routes } = await port.read(QUERY);
  const shown = routes.filter(({ protocol }) => protocol !== 2)
    .map(formatKernelRoute);
  assert.deepEqual(shown, [
    "172.16.4.0/22 via 198.18.0.2 dev up0 proto 83",
    "172.16.8.0/24 via 198.18.0.9 dev up0 proto bgp",
    "10.9.0.0/16 via 198.18.0.9 dev up0",
    "0.0.0.0/0 via 198.18.0.254 dev up0",
    "10.8.0.0/16 via 198.18.0.9 dev up0 proto 83",
    "fd00:0:0:4::/64 via 2001:db8::2 dev up0 proto 83",
    "fd02::/64 via 2001:db8::2 dev up0 proto static",
  ]);
  assert.equal(await port.read(QUERY), await port.read(QUERY));
});
