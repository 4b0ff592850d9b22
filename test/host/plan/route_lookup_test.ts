import assert from "node:assert/strict";
import { formatAddress } from "../../../src/net/address.ts";
import { formatKernelRoute } from "../../../src/routes/plan/kernel_route.ts";
import {
  parseLookupFailure,
  parseRouteLookup,
  type RouteLookup,
} from "../../../src/host/plan/probe_output.ts";

/** A lookup in a line. */
function show(lookup: RouteLookup): string {
  if (lookup.kind === "none") return lookup.why;
  const { device, gateway, isLocal, match } = lookup;
  return [
    isLocal ? "local" : "",
    gateway ? formatAddress(gateway) : "",
    device,
    match ? `by ${formatKernelRoute(match.route)}` : "",
    match?.table === undefined ? "" : `in ${match.table}`,
  ].filter((word) => word !== "").join(" ");
}

Deno.test("parseRouteLookup() gives the way and the route that decides", async (t) => {
  const rows: readonly [
    name: string,
    way: Readonly<Record<string, unknown>>,
    match: Readonly<Record<string, unknown>> | undefined,
    shown: string,
  ][] = [
    [
      "directly connected",
      { dst: "198.18.0.2", dev: "eth0", prefsrc: "198.18.0.1", flags: [] },
      { dst: "198.18.0.0/24", dev: "eth0", protocol: "2", scope: "253" },
      "eth0 by 198.18.0.0/24 dev eth0 proto kernel",
    ],
    [
      "through a gateway",
      { dst: "172.16.4.1", gateway: "198.18.0.2", dev: "eth0" },
      {
        dst: "172.16.4.0/22",
        gateway: "198.18.0.2",
        dev: "eth0",
        protocol: "83",
      },
      "198.18.0.2 eth0 by 172.16.4.0/22 via 198.18.0.2 dev eth0 proto 83",
    ],
    [
      "through a gateway of the other family",
      { dst: "172.16.4.1", via: { family: "inet6", host: "fe80::1" } },
      undefined,
      "fe80::1",
    ],
    [
      "by another table",
      { dst: "172.16.4.1", from: "172.16.0.2", dev: "eth0", table: "100" },
      { dst: "default", dev: "eth0", table: "100", scope: "253" },
      "eth0 by 0.0.0.0/0 dev eth0 in 100",
    ],
    [
      "by the main table, by number",
      { dst: "172.16.4.1", dev: "eth0" },
      { dst: "172.16.4.0/22", dev: "eth0", table: "254" },
      "eth0 by 172.16.4.0/22 dev eth0",
    ],
    [
      "the default route of IPv6",
      { dst: "fd00::1", gateway: "fe80::1", dev: "eth0", pref: "medium" },
      {
        dst: "default",
        gateway: "fe80::1",
        dev: "eth0",
        protocol: "9",
        metric: 1024,
        pref: "medium",
      },
      "fe80::1 eth0 by ::/0 via fe80::1 dev eth0 proto ra",
    ],
    [
      "an address of this host",
      { type: "local", dst: "198.18.0.1", dev: "lo" },
      undefined,
      "local lo",
    ],
    [
      "an address of this host, by number",
      { type: "2", dst: "198.18.0.1", dev: "lo" },
      undefined,
      "local lo",
    ],
  ];
  for (const [name, way, match, shown] of rows) {
    await t.step(name, () => {
      const fibmatch = match ? JSON.stringify([match]) : "";
      const lookup = parseRouteLookup(JSON.stringify([way]), fibmatch);
      assert.equal(show(lookup), shown);
    });
  }
});

Deno.test("parseRouteLookup() refuses what is no route", () => {
  for (const text of ["", "[]", "{}", "["]) {
    assert.throws(() => parseRouteLookup(text, ""), SyntaxError, text);
  }
});

Deno.test("parseLookupFailure() says why there is no way", async (t) => {
  const rows: readonly [stderr: string, why: string | undefined][] = [
    ["RTNETLINK answers: Network is unreachable\n", "no route leads there"],
    [
      "RTNETLINK answers: No route to host",
      "a route or a rule makes it unreachable, or this host does not forward",
    ],
    [
      "RTNETLINK answers: Permission denied",
      "a route or a rule prohibits it",
    ],
    [
      "RTNETLINK answers: Invalid argument",
      "a route or a rule throws it away",
    ],
    [
      "RTNETLINK answers: Invalid cross-device link",
      "rp_filter drops what comes from there",
    ],
    ["RTNETLINK answers: Network is down", "Network is down"],
    ['Option "-json" is unknown', undefined],
  ];
  for (const [stderr, why] of rows) {
    await t.step(stderr, () => {
      const failure = parseLookupFailure(stderr);
      assert.deepEqual(
        failure,
        why === undefined ? why : { kind: "none", why },
      );
    });
  }
});
