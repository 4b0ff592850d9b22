import assert from "node:assert/strict";
import {
  parseBatchFailures,
  queryLines,
} from "../../../src/routes/plan/ip_batch.ts";
import { parsePrefix } from "../../../src/net/prefix.ts";
import { IpRoutes } from "../../../src/routes/ip_routes.ts";
import { formatKernelRoute } from "../../../src/routes/plan/kernel_route.ts";
import { createFakeHost } from "./kernels.ts";

Deno.test("parseBatchFailures() tells which lines failed, and why", async (t) => {
  const rows: readonly [
    name: string,
    stderr: string,
    lines: readonly (readonly [number, string])[],
    rest: string,
  ][] = [
    ["nothing", "", [], ""],
    [
      "two lines",
      "RTNETLINK answers: File exists\nCommand failed -:2\n" +
      "Error: Nexthop has invalid gateway.\nCommand failed -:17\n",
      [
        [2, "RTNETLINK answers: File exists"],
        [17, "Error: Nexthop has invalid gateway."],
      ],
      "",
    ],
    [
      "several lines of text for one",
      "Error: a.\n\nError: b.\nCommand failed -:1\n",
      [[1, "Error: a.; Error: b."]],
      "",
    ],
    ["no text", "Command failed -:3\n", [[3, "it failed"]], ""],
    [
      "ip left off",
      "RTNETLINK answers: File exists\nCommand failed -:1\n" +
      'Error: any valid prefix is expected rather than "x".\n',
      [[1, "RTNETLINK answers: File exists"]],
      'Error: any valid prefix is expected rather than "x".',
    ],
  ];
  for (const [name, stderr, lines, rest] of rows) {
    await t.step(name, () => {
      const failures = parseBatchFailures(stderr);
      assert.deepEqual([...failures.lines], lines);
      assert.equal(failures.rest, rest);
    });
  }
});

const QUERY = {
  protocol: 83,
  within: ["172.16.0.0/12", "fd00::/48"].map(parsePrefix),
  exact: ["10.9.0.0/16"].map(parsePrefix),
};

Deno.test("queryLines() asks for the deciding attributes, family by family", () => {
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
