import assert from "node:assert/strict";
import type { RouteMode } from "../../src/config/config.ts";
import {
  checkRoutes,
  checkRouteStatus,
  removeForeign,
} from "../../src/doctor/route_checks.ts";
import { formatCheck, formatFix } from "../../src/host/checks/check.ts";
import { parseKernelRoutes } from "../../src/routes/plan/ip_json.ts";
import type { KernelRoute } from "../../src/routes/plan/kernel_route.ts";
import type {
  RouteOperation,
  RouteState,
  RouteStatus,
} from "../../src/routes/plan/route_plan.ts";
import { desire } from "../routes/plan/kernels.ts";
import { PROTOCOL, routeReport } from "./path_world.ts";

const INSTALLED: RouteState = {
  kind: "installed",
  device: "eth0",
  hasCarrier: true,
};
const NODE = desire("172.16.4.0/22 via 198.18.0.2");
const EXTRA = { ...NODE, origin: { kind: "extra" } } as const;
const OPTIONS = { protocol: PROTOCOL };
const OPERATIONS: readonly RouteOperation[] = [{
  kind: "add",
  route: {
    destination: NODE.destination,
    via: { gateway: NODE.nextHop, device: "eth0" },
    protocol: PROTOCOL,
  },
}];

function kernelRoute(json: Readonly<Record<string, unknown>>): KernelRoute {
  return parseKernelRoutes(JSON.stringify([json]))[0]!;
}

function status(state: RouteState, route: RouteStatus["route"] = NODE) {
  return { route, state, actual: [] };
}

Deno.test("checkRouteStatus() gives the state of a route, and its fix", async (t) => {
  const foreign = kernelRoute({
    dst: "172.16.4.0/22",
    gateway: "198.18.0.9",
    dev: "eth0",
    protocol: "static",
    flags: ["linkdown"],
  });
  const rows: readonly [
    name: string,
    RouteStatus,
    line: RegExp,
    mode?: RouteMode,
  ][] = [
    [
      "installed",
      status(INSTALLED),
      /^ok route: 172.16.4.0\/22 via 198.18.0.2 on "eth0" of node "b" is in the kernel, with our protocol 83$/,
    ],
    [
      "without a carrier",
      status({ ...INSTALLED, hasCarrier: false } as RouteState),
      /^failed route: .* eth0 has no carrier; .*: plug the cable of "eth0" in/,
    ],
    [
      "not yet",
      status({ kind: "pending" }),
      /^warning route: .* not in the kernel yet; .*: look again; /,
    ],
    [
      "planned",
      status({ kind: "pending" }),
      /^warning route: .*: ip route add 172.16.4.0\/22 via 198.18.0.2 dev eth0 proto 83$/,
      "plan",
    ],
    [
      "another's is there",
      status({ kind: "conflict", foreign }),
      /^failed route: 172.16.4.0\/22 of node "b": another route is there and stays: .*: ip route delete 172.16.4.0\/22 via 198.18.0.9 dev eth0 proto static$/,
    ],
    [
      "to this host, of a node",
      status({ kind: "local", device: "eth0" }),
      /^failed route: .* is this host itself, on eth0: .*--advertise/,
    ],
    [
      "to this host, of an operator",
      status({ kind: "local", device: "eth0" }, EXTRA),
      /^ok route: 172.16.4.0\/22: 198.18.0.2 is this host itself, on eth0: it needs no route$/,
    ],
    [
      "a link that is down",
      status({ kind: "link down", device: "eth0" }),
      /^failed route: .*which is down; .*: ip link set dev eth0 up$/,
    ],
    [
      "off the link, of a node",
      status({ kind: "off link", why: "it is nowhere" }),
      /^failed route: .*: it is nowhere; containers there .*--advertise/,
    ],
    [
      "off the link, of an operator",
      status({ kind: "off link", why: "it is nowhere" }, EXTRA),
      /^failed route: 172.16.4.0\/22: it is nowhere; what is behind it .*: give this host an address on its link, or stellar-net route delete 172.16.4.0\/22 198.18.0.2$/,
    ],
    [
      "twice, of a node",
      status({ kind: "duplicate", of: NODE }),
      /^warning route: .*which goes first; .*: stellar-net subnet list$/,
    ],
    [
      "twice, of an operator",
      status({ kind: "duplicate", of: NODE }, EXTRA),
      /^warning route: .*: stellar-net route delete 172.16.4.0\/22 198.18.0.2$/,
    ],
    [
      "not permitted",
      status({ kind: "failed", error: "RTNETLINK: Operation not permitted" }),
      /^failed route: .*Operation not permitted; .*: run the agent as root, or /,
    ],
    [
      "failed",
      status({ kind: "failed", error: "File exists" }),
      /^failed route: .*: File exists; .*"stellar-net route plan"$/,
    ],
    [
      "not known",
      status({ kind: "unknown", why: "ip is missing" }),
      /^warning route: .*: ip is missing; .*"stellar-net route plan"$/,
    ],
    [
      "off",
      status({ kind: "unknown", why: "routes are off on this host" }),
      /^warning route: .*: ip route add 172.16.4.0\/22 via 198.18.0.2$/,
      "off",
    ],
  ];
  for (const [name, route, line, mode = "apply"] of rows) {
    await t.step(name, () => {
      const check = checkRouteStatus(route, {
        ...{ mode, operations: OPERATIONS },
        ...OPTIONS,
      });
      assert.match(`${check.status} ${formatCheck(check)}`, line);
    });
  }
});

Deno.test("removeForeign() gives a command that ip takes", async (t) => {
  const dst = "172.16.4.0/22";
  const rows: readonly [
    json: Readonly<Record<string, unknown>>,
    command: string,
  ][] = [
    [{ dst, dev: "eth0" }, "ip route delete 172.16.4.0/22 dev eth0"],
    [
      { type: "blackhole", dst, metric: 7 },
      "ip route delete blackhole 172.16.4.0/22 metric 7",
    ],
    [
      { dst, dev: "eth0", protocol: "a name of this host" },
      "ip route delete 172.16.4.0/22 dev eth0",
    ],
    [
      { dst, dev: "docker0", protocol: "kernel" },
      'take the address that makes it off "docker0": ip address show dev docker0',
    ],
    [
      { dst, dev: "docker0", protocol: "kernel", prefsrc: "172.16.4.1" },
      "ip address delete 172.16.4.1/22 dev docker0",
    ],
  ];
  for (const [json, command] of rows) {
    await t.step(command, () => {
      assert.equal(formatFix(removeForeign(kernelRoute(json))), command);
    });
  }
});

Deno.test("checkRoutes() names the missing routes", async (t) => {
  const error = "Cannot add 172.16.4.0/22: Operation not permitted";
  const unknown = status({ kind: "unknown", why: "ip is missing" });
  const offLink = status({ kind: "off link", why: "it is nowhere" });
  const rows: readonly [
    name: string,
    report: Parameters<typeof checkRoutes>[0],
    lines: readonly RegExp[],
  ][] = [
    [
      "all there",
      routeReport([status(INSTALLED)]),
      [/^ok route: 1 of 1 are in the kernel, none is missing$/],
    ],
    [
      "one that is not needed",
      routeReport([
        status(INSTALLED),
        status({ kind: "local", device: "eth0" }, EXTRA),
      ]),
      [/^ok route: 1 of 1 are in the kernel, 1 more are not needed$/],
    ],
    [
      "none wanted",
      routeReport([]),
      [/^ok route: 0 of 0 are in the kernel, none is missing$/],
    ],
    [
      "not known yet",
      routeReport([], { readAtMs: undefined }),
      [/^warning route: which routes this host should have is not known yet; /],
    ],
    [
      "off",
      routeReport([unknown], { mode: "off" }),
      [/^warning route: routes are off on this host: 1 are wanted; /],
    ],
    [
      "some wrong",
      routeReport([offLink, status(INSTALLED), offLink]),
      [/^failed route: .*it is nowhere; /, /^failed route: .*it is nowhere; /],
    ],
    [
      "an error that a route tells",
      routeReport([status({ kind: "failed", error })], {
        error: `${error}; 1 more failed`,
      }),
      [/^failed route: 172.16.4.0\/22 of node "b": Cannot add .*as root/],
    ],
    [
      "an error of a deletion",
      routeReport([status(INSTALLED)], { error }),
      [/^failed route: Cannot add .*; routes are not .*as root/],
    ],
    [
      "a kernel that cannot be read",
      routeReport([unknown, unknown], { error: "ip is missing" }),
      [/^failed route: ip is missing; routes are not as they should be; /],
    ],
  ];
  for (const [name, report, lines] of rows) {
    await t.step(name, () => {
      const checks = checkRoutes(report, OPTIONS);
      assert.equal(checks.length, lines.length);
      lines.forEach((line, at) =>
        assert.match(`${checks[at]!.status} ${formatCheck(checks[at]!)}`, line)
      );
    });
  }
});
