import assert from "node:assert/strict";
import {
  parsePing,
  pingPayloadBytes,
} from "../../../src/host/plan/probe_output.ts";

const END = "\n--- 198.18.0.2 ping statistics ---\n";

Deno.test("parsePing() tells an answer from none, and an MTU that was told", async (t) => {
  const rows: readonly [
    name: string,
    text: string,
    isAnswered: boolean,
    mtuBytes: number | undefined,
    silentRequests?: number,
  ][] = [
    [
      "answered",
      `64 bytes from 198.18.0.2: icmp_seq=2${END}2 packets transmitted, 1 received, 50% packet loss`,
      true,
      undefined,
    ],
    [
      "lost",
      `${END}5 packets transmitted, 0 received, 100% packet loss`,
      false,
      undefined,
      5,
    ],
    [
      "too large for this host",
      `${END}1 packets transmitted, 0 received, +1 errors\nping: local error: message too long, mtu=1500`,
      false,
      1500,
    ],
    [
      "too large for this host, IPv6",
      `${END}1 packets transmitted, 0 received, +1 errors\nping: local error: message too long, mtu: 1500`,
      false,
      1500,
    ],
    [
      "too large for a router",
      `From 198.18.0.9 icmp_seq=1 Frag needed and DF set (mtu = 1400)${END}1 packets transmitted, 0 received, +1 errors`,
      false,
      1400,
    ],
    [
      "too large for a router, IPv6",
      `From 2001:2::9 icmp_seq=1 Packet too big: mtu=1400${END}1 packets transmitted, 0 received, +1 errors`,
      false,
      1400,
    ],
  ];
  for (const [name, text, isAnswered, mtuBytes, silentRequests] of rows) {
    await t.step(name, () => {
      assert.deepEqual(parsePing(text), {
        ...{ isAnswered, mtuBytes },
        ...silentRequests !== undefined && { silentRequests },
      });
    });
  }
});

Deno.test("parsePing() tells which host reported that a packet does not arrive", async (t) => {
  const rows: readonly [line: string, errorFrom: string | undefined][] = [
    ["From 198.18.0.2 icmp_seq=1 Destination Host Unreachable", "198.18.0.2"],
    [
      "From 2001:2::2 icmp_seq=1 Destination unreachable: No route",
      "2001:2::2",
    ],
    ["From 198.18.0.2 icmp_seq=1 Time to live exceeded", "198.18.0.2"],
    ["From 2001:2::2 icmp_seq=1 Time exceeded: Hop limit", "2001:2::2"],
    [
      "From 198.18.0.2: icmp_seq=1 Redirect Host(New nexthop: 198.18.0.9)",
      undefined,
    ],
  ];
  for (const [line, errorFrom] of rows) {
    await t.step(line, () => {
      const text = `${line}${END}1 packets transmitted, 0 received, +1 errors`;
      assert.equal(parsePing(text)?.errorFrom, errorFrom);
    });
  }
});

Deno.test("parsePing() takes nothing for an answer that was not sent", () => {
  const texts = [
    "",
    "ping: socket: Operation not permitted",
    "ping: invalid option -- 'M'",
  ];
  for (const text of texts) assert.equal(parsePing(text), undefined, text);
});

Deno.test("parsePing() takes a missing route for a packet that got lost", () => {
  for (const why of ["Network is unreachable", "No route to host"]) {
    const answer = parsePing(`ping: connect: ${why}\n`);
    assert.deepEqual(answer, { isAnswered: false, mtuBytes: undefined });
  }
});

Deno.test("pingPayloadBytes() leaves room for the headers", () => {
  assert.equal(pingPayloadBytes(1500, 4), 1472);
  assert.equal(pingPayloadBytes(1500, 6), 1452);
  assert.equal(pingPayloadBytes(20, 4), 0);
});

Deno.test("parsePing() reads the round-trip time of an answer", () => {
  const text = `64 bytes from 172.16.4.2: icmp_seq=1 ttl=62 time=0.052 ms

--- 172.16.4.2 ping statistics ---
1 packets transmitted, 1 received, 0% packet loss, time 0ms
`;
  assert.equal(parsePing(text)?.roundTripMs, 0.052);
});
