import assert from "node:assert/strict";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import {
  HostRouteState,
  RouteMode,
} from "../../../src/gen/stellar/net/v1/agent_pb.ts";
import type { ListHostRoutesResponseSchema } from "../../../src/gen/stellar/net/v1/agent_pb.ts";
import { NOW_MS, runFake } from "../fake_io.ts";

type Routes = MessageInitShape<typeof ListHostRoutesResponseSchema>;

const ROUTES: Routes = {
  mode: RouteMode.APPLY,
  node: "host1",
  routes: [
    {
      cidr: "172.16.4.0/22",
      target: "198.18.0.2",
      node: "node1",
      state: HostRouteState.INSTALLED,
      why: "it is in the kernel",
      actual: ["172.16.4.0/22 via 198.18.0.2 dev eth0 proto 83"],
    },
    {
      cidr: "172.16.8.0/22",
      target: "198.18.0.3",
      node: "node2",
      state: HostRouteState.CONFLICT,
      why: "another route is there and stays",
      actual: [
        "172.16.8.0/22 via 198.18.0.9 dev eth0",
        "blackhole 172.16.8.0/22 metric 9",
      ],
    },
    {
      cidr: "192.0.2.0/24",
      target: "203.0.113.1",
      state: HostRouteState.WAITING,
      why: "203.0.113.1 is on no link of this host",
    },
    {
      cidr: "192.0.3.0/24",
      target: "198.18.0.1",
      state: HostRouteState.NOT_NEEDED,
      why: "198.18.0.1 is this host itself",
    },
    { cidr: "192.0.4.0/24", target: "198.18.0.1", state: 99 as HostRouteState },
  ],
  commands: [
    "ip route add 172.16.8.0/22 via 198.18.0.3 proto 83",
    "ip -6 route del fd00::/64 proto 83",
  ],
  lookedAt: timestampFromMs(NOW_MS - 1_000),
  error: "Cannot add 172.16.8.0/22: File exists",
};

async function route(args: string, routes: Routes) {
  return await runFake(["route", ...args.split(" ")], {
    agent: { listHostRoutes: () => routes },
  });
}

Deno.test("route list shows what is wanted, what there is, and why not", async () => {
  const run = await route("list", ROUTES);
  assert.equal(run.code, 0);
  assert.equal(
    run.stdout,
    `\
DESTINATION    NEXT HOP     FROM   STATE       ACTUAL                                                     WHY
172.16.4.0/22  198.18.0.2   node1  installed   via 198.18.0.2 dev eth0 proto 83                           -
172.16.8.0/22  198.18.0.3   node2  conflict    via 198.18.0.9 dev eth0; blackhole 172.16.8.0/22 metric 9  another route is there and stays
192.0.2.0/24   203.0.113.1  extra  waiting     -                                                          203.0.113.1 is on no link of this host
192.0.3.0/24   198.18.0.1   extra  not needed  -                                                          198.18.0.1 is this host itself
192.0.4.0/24   198.18.0.1   extra  unknown     -                                                          -
`,
  );
  assert.equal(run.stderr, "Cannot add 172.16.8.0/22: File exists\n");
});

Deno.test("route list --json has the same", async () => {
  const { routes = [], commands, error } = ROUTES;
  const run = await route("list --json", {
    ...ROUTES,
    routes: routes.slice(1, 3),
  });
  assert.deepEqual(JSON.parse(run.stdout), {
    schemaVersion: 1,
    mode: "apply",
    routes: [
      {
        cidr: "172.16.8.0/22",
        target: "198.18.0.3",
        node: "node2",
        state: "conflict",
        why: "another route is there and stays",
        actual: routes[1]?.actual,
      },
      {
        cidr: "192.0.2.0/24",
        target: "203.0.113.1",
        node: null,
        state: "waiting",
        why: "203.0.113.1 is on no link of this host",
        actual: [],
      },
    ],
    commands,
    lookedAt: "2026-01-02T03:04:04.000Z",
    error,
    node: "host1",
  });
});

Deno.test("route plan prints commands, and on stderr what else there is to know", async (t) => {
  const off = /^Routes are off: the agent neither reads .+ to change that\n$/;
  const rows: readonly [
    name: string,
    routes: Routes,
    stdout: string,
    stderr: RegExp,
  ][] = [
    [
      "a plan",
      { mode: RouteMode.PLAN, commands: ROUTES.commands! },
      "ip route add 172.16.8.0/22 via 198.18.0.3 proto 83\n" +
      "ip -6 route del fd00::/64 proto 83\n",
      /^$/,
    ],
    ["nothing", { mode: RouteMode.APPLY }, "", /^Nothing to change\n$/],
    [
      "a conflict",
      {
        mode: RouteMode.APPLY,
        routes: [
          {
            cidr: "172.16.4.0/22",
            target: "198.18.0.2",
            state: HostRouteState.CONFLICT,
            why: "another route is there and stays",
          },
          { cidr: "172.16.8.0/22", state: HostRouteState.INSTALLED },
          { cidr: "192.0.2.0/24", state: HostRouteState.NOT_NEEDED },
        ],
      },
      "",
      /^The agent has no command .*:\n172\.16\.4\.0\/22 via 198\.18\.0\.2: conflict: another route is there and stays\n$/,
    ],
    ["off", { mode: RouteMode.OFF }, "", off],
    [
      "an error",
      { mode: RouteMode.APPLY, error: "ip does not answer" },
      "",
      /^ip does not answer\n$/,
    ],
  ];
  for (const [name, routes, stdout, stderr] of rows) {
    await t.step(name, async () => {
      const run = await route("plan", routes);
      assert.deepEqual([run.code, run.stdout], [0, stdout]);
      assert.match(run.stderr, stderr);
    });
  }
});

Deno.test("route plan --json has the commands", async () => {
  const run = await route("plan --json", ROUTES);
  assert.deepEqual(JSON.parse(run.stdout), {
    schemaVersion: 1,
    mode: "apply",
    commands: ROUTES.commands,
    lookedAt: "2026-01-02T03:04:04.000Z",
    error: ROUTES.error,
    open: JSON.parse((await route("list --json", ROUTES)).stdout).routes
      .filter(({ state }: { state: string }) =>
        ["conflict", "waiting", "unknown"].includes(state)
      ),
  });
});

Deno.test("route list says on stderr when there is none, and when routes are off", async () => {
  const run = await route("list", { mode: RouteMode.OFF });
  assert.equal(
    run.stdout,
    "DESTINATION  NEXT HOP  FROM  STATE  ACTUAL  WHY\n",
  );
  assert.match(
    run.stderr,
    /^This host knows no other node .+\nRoutes are off: .+\n$/,
  );
});
