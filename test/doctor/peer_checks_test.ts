import assert from "node:assert/strict";
import { formatCheck } from "../../src/host/checks/check.ts";
import type { ClusterNode } from "../../src/registry/feed.ts";
import {
  checkPeerAgent,
  checkPeerState,
  checkPeerSubnets,
  type PathFacts,
  type PeerAnswer,
} from "../../src/doctor/peer_checks.ts";
import { NetError } from "../../src/base/error.ts";
import { NOW_MS, pathFacts, peerAnswer, peerNode } from "./path_world.ts";

Deno.test("checkPeerState() reports the state at the registry", async (t) => {
  const rows: readonly [ClusterNode, line: RegExp, isCurrent?: boolean][] = [
    [peerNode(), /^ok peer: "b" is ready$/],
    [
      peerNode(),
      /^ok peer: "b" was ready when the registry was heard last$/,
      false,
    ],
    [
      peerNode({ state: "unreachable" }),
      /^ok peer: whether "b" is ready is not known without the registry$/,
      false,
    ],
    [
      peerNode({ state: "no agent" }),
      /^ok peer: "b" was registered over the API and runs no agent$/,
    ],
    [
      peerNode({ state: "unreachable" }),
      /^warning peer: "b" is unreachable: the registry has not heard of it since it started; .*Only if it is gone for good, stellar-net node remove b: it gives away /,
    ],
    [
      peerNode({ state: "unreachable", seenAtMs: NOW_MS }),
      /^warning peer: "b" is unreachable: .* last at 2023-11-14T22:13:20.000Z; /,
    ],
  ];
  for (const [peer, line, isCurrent = true] of rows) {
    await t.step(String(line), () => {
      const check = checkPeerState(peer, { isAlive: false, isCurrent });
      assert.match(`${check.status} ${formatCheck(check)}`, line);
    });
  }
});

Deno.test("checkPeerSubnets() finds peers without a subnet, and subnets with two owners", async (t) => {
  const own = { subnets: peerNode({ subnets: "172.16.0.0/22" }).subnets };
  const rows: readonly [
    name: string,
    peer: ClusterNode,
    facts: Partial<PathFacts>,
    lines: readonly RegExp[],
  ][] = [
    [
      "none",
      peerNode({ subnets: "" }),
      own,
      [/^failed subnet: "b" owns no subnet; .*: start its agent again/],
    ],
    [
      "none, over the API",
      peerNode({ subnets: "", state: "no agent" }),
      own,
      [/^failed subnet: "b" owns no subnet; .*: allocate one for it/],
    ],
    [
      "its own, known under its name and ours",
      peerNode({ subnets: "172.16.4.0/22 fd00::/64" }),
      { ...own, nodes: [peerNode(), peerNode({ name: "a" })] },
      [
        /^ok subnet: "b" owns 172.16.4.0\/22$/,
        /^ok subnet: "b" owns fd00::\/64$/,
      ],
    ],
    [
      "ours",
      peerNode({ subnets: "172.16.0.0/23" }),
      own,
      [
        /^failed subnet: 172.16.0.0\/23 of "b" overlaps 172.16.0.0\/22 of "a"; /,
      ],
    ],
    [
      "another's",
      peerNode(),
      { ...own, nodes: [peerNode({ name: "c", subnets: "172.16.0.0/16" })] },
      [
        /^failed subnet: 172.16.4.0\/22 of "b" overlaps 172.16.0.0\/16 of "c"; /,
      ],
    ],
  ];
  for (const [name, peer, facts, lines] of rows) {
    await t.step(name, () => {
      const checks = checkPeerSubnets(peer, pathFacts(facts));
      assert.equal(checks.length, lines.length);
      lines.forEach((line, at) =>
        assert.match(`${checks[at]!.status} ${formatCheck(checks[at]!)}`, line)
      );
    });
  }
});

Deno.test("checkPeerAgent() compares the peer's identity, clock and version", async (t) => {
  /** A clock that goes on by a time with each look. */
  const clock = (stepMs: number) => {
    let nowMs = NOW_MS - stepMs;
    return () => nowMs += stepMs;
  };
  const says = (changes: Partial<PeerAnswer>): Partial<PathFacts> => ({
    callPeer: () => Promise.resolve(peerAnswer(changes)),
  });
  const rows: readonly [
    name: string,
    peer: ClusterNode,
    facts: Partial<PathFacts>,
    lines: readonly RegExp[],
  ][] = [
    [
      "no URL",
      peerNode({ apiUrl: "" }),
      {},
      [
        /^warning peer's agent: its agent is not reached from other hosts: .*--listen/,
      ],
    ],
    [
      "no answer",
      peerNode(),
      {
        callPeer: () =>
          Promise.reject(new NetError("unavailable", "Cannot reach it")),
      },
      [
        /^failed peer's agent: http:\/\/198.18.0.2:9000 does not answer: Cannot reach it; /,
      ],
    ],
    [
      "this agent",
      peerNode(),
      says({ node: "a", instanceId: "id of a" }),
      [/^failed peer's agent: .* leads to this host's own agent; /],
    ],
    [
      "another node",
      peerNode(),
      says({ node: "c" }),
      [/^failed peer's agent: the agent at http.* is that of "c"; /],
    ],
    [
      "another version",
      peerNode(),
      says({ version: "2.0.0" }),
      [
        /^ok peer's agent: .* answers in 0 ms$/,
        /^ok clock: /,
        /^warning version: "b" runs 2.0.0, this host 1.2.3; /,
      ],
    ],
    [
      "a clock that is ahead, seen over a slow path",
      peerNode(),
      { now: clock(3_000), ...says({ nowMs: NOW_MS + 3_500 }) },
      [
        /^ok peer's agent: .* answers in 3000 ms$/,
        /^ok clock: the clock of "b" is 0.5 s ahead of this host's$/,
        /^ok version: both run 1.2.3$/,
      ],
    ],
    [
      "a clock that is behind",
      peerNode(),
      { now: clock(2), ...says({ nowMs: NOW_MS - 2_001 }) },
      [
        /^ok peer's agent: /,
        /^warning clock: the clock of "b" is 2.0 s behind this host's; .*: set the clocks with chrony or systemd-timesyncd$/,
        /^ok version: /,
      ],
    ],
    [
      "faults that it knows of",
      peerNode(),
      says({
        problems: [
          {
            ...{ code: "host-network", isError: true },
            ...{ text: "a rule drops all", fix: "nft flush x" },
          },
          {
            ...{ code: "queued-releases", isError: false },
            ...{ text: "a release waits", fix: "" },
          },
          {
            ...{ code: "path-dead", isError: true },
            ...{ text: "no packet gets to c", fix: "stellar-net doctor c" },
          },
          {
            ...{ code: "host", isError: false },
            ...{ text: "its certificate ends", fix: "" },
          },
        ],
      }),
      [
        /^ok peer's agent: /,
        /^ok clock: /,
        /^ok version: /,
        /^failed peer's report: a rule drops all; .*: type on "b": nft flush x$/,
        /^warning peer's report: a release waits; .*: see on "b" what stellar-net doctor says$/,
      ],
    ],
  ];
  for (const [name, peer, facts, lines] of rows) {
    await t.step(name, async () => {
      const checks = await checkPeerAgent(peer, pathFacts(facts));
      assert.equal(checks.length, lines.length);
      lines.forEach((line, at) =>
        assert.match(`${checks[at]!.status} ${formatCheck(checks[at]!)}`, line)
      );
    });
  }
});

Deno.test("checkPeerState() does not advise to remove a host that answers", () => {
  const check = checkPeerState(peerNode({ state: "unreachable" }), {
    ...{ isAlive: true, isCurrent: true },
  });
  assert.equal(check.status, "warning");
  assert.doesNotMatch(formatCheck(check), /node remove/);
});
