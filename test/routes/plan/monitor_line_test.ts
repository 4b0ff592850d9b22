import assert from "node:assert/strict";
import {
  eventKey,
  parseMonitorLine,
} from "../../../src/routes/plan/monitor_line.ts";

/** Lines of `ip -o -N monitor label` (iproute2 6.1), and what they announce. */
const LINES: readonly [line: string, announces: string | undefined][] = [
  [
    "[ROUTE]172.16.4.0/22 via 198.18.0.2 dev v0 proto 83 ",
    "add 172.16.4.0/22 83",
  ],
  [
    "[ROUTE]Deleted 172.16.4.0/22 via 198.18.0.2 dev v0 proto 83 ",
    "del 172.16.4.0/22 83",
  ],
  ["[ROUTE]7 172.16.0.0/12 proto 83 metric 4000000 ", "add 172.16.0.0/12 83"],
  [
    "[ROUTE]Deleted 7 172.16.0.0/12 proto 83 metric 4000000 ",
    "del 172.16.0.0/12 83",
  ],
  ["[ROUTE]198.18.7.7 via 198.18.0.2 dev v0 proto 83 ", "add 198.18.7.7 83"],
  ["[ROUTE]default via 198.18.0.2 dev v0 proto 4 ", "add default 4"],
  [
    "[ROUTE]fd00:4::/64 via fd00::2 dev v0 proto 83 metric 4000 pref medium",
    "add fd00:4::/64 83",
  ],
  [
    "[ROUTE]2 172.16.0.1 dev br0 table 255 proto 2 scope 254 src 172.16.0.1 ",
    undefined,
  ],
  [
    "[NETCONF]inet br0 forwarding off rp_filter off mc_forwarding off ",
    "interfaces",
  ],
  ["[LINK]4: br0: <BROADCAST,MULTICAST> mtu 1500 qdisc noop", "interfaces"],
  ["[ADDR]Deleted 3: v0    inet6 fd00::1/64 scope 0 nodad ", "interfaces"],
  ["netlink receive error No buffer space available (105)", "interfaces"],
  ["", undefined],
];

Deno.test("parseMonitorLine() reads what ip monitor announces", async (t) => {
  for (const [line, announces] of LINES) {
    await t.step(line || "an empty line", () => {
      const parsed = parseMonitorLine(line);
      const text = parsed?.kind === "routes" ? parsed.key : parsed?.kind;
      assert.equal(text, announces);
    });
  }
});

/** Lines of a batch, and the line of the monitor that each one causes. */
const CAUSES: readonly [command: string, line: number | undefined][] = [
  ["route add 172.16.4.0/22 via 198.18.0.2 dev v0 proto 83", 0],
  ["route del 172.16.4.0/22 via 198.18.0.2 dev v0 proto 83 metric 5", 1],
  ["route add unreachable 172.16.0.0/12 proto 83 metric 4000000", 2],
  ["route del unreachable 172.16.0.0/12 proto 83 metric 4000000", 3],
  ["route add 198.18.7.7/32 via 198.18.0.2 dev v0 proto 83", 4],
  ["route add 0.0.0.0/0 via 198.18.0.2 dev v0 proto 4", 5],
  ["route add fd00:4::/64 via fd00::2 dev v0 proto 83", 6],
  ["address add 198.18.0.1/24 dev v0", undefined],
];

Deno.test("eventKey() is equal for a command and its announcement", async (t) => {
  for (const [command, line] of CAUSES) {
    await t.step(command, () => {
      const announced = line === undefined ? undefined : LINES[line]![1];
      assert.equal(eventKey(command), announced);
    });
  }
});
