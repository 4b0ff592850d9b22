import assert from "node:assert/strict";
import {
  countPaths,
  pathProblems,
  type PathView,
} from "../../../src/probe/plan/verdict.ts";
import { pathView } from "../path_views.ts";

Deno.test("pathProblems() says which direction loses what", async (t) => {
  const rows: [string, Partial<PathView>, string | undefined][] = [
    ["nothing", {}, undefined],
    ["a peer that never answered", { state: "unmeasured" }, undefined],
    ["a peer that answers pings", { state: "unanswered" }, undefined],
    [
      "both directions",
      { state: "dead", hearsPeer: false },
      "error path-dead: no packet gets to host2 and back, and none of host2 arrives here",
    ],
    [
      "the way there",
      { state: "dead", hearsPeer: true },
      "error path-dead: no packet gets to host2, though packets of host2 arrive here: they are lost on the way there",
    ],
    [
      "the gateway only",
      { state: "dead", hearsPeer: false, reachesHost: true },
      "error path-dead: no packet gets to the gateway of host2, though its host answers: a route or a packet filter is missing or wrong on one of the two",
    ],
    [
      "a host that the registry does not hear either",
      { state: "dead", hearsPeer: false, isReady: false },
      undefined,
    ],
    [
      "a share, on the way there",
      {
        state: "lossy",
        isLossy: { out: true, in: false },
        loss: { out: 0.21, in: 0.01 },
      },
      "warning path-lossy: about 20 % of the packets to host2 are lost",
    ],
    [
      "a share, on the way back",
      {
        state: "lossy",
        isLossy: { out: false, in: true },
        loss: { out: 0, in: 0.01 },
      },
      "warning path-lossy: about 5 % of the packets from host2 are lost",
    ],
    [
      "a share of both",
      {
        state: "lossy",
        isLossy: { out: true, in: true },
        loss: { out: 0.4, in: 0.12 },
      },
      "warning path-lossy: about 40 % of the packets to host2 and about 10 % of those from it are lost",
    ],
    [
      "large packets",
      { state: "narrow", narrowBytes: 1400 },
      "error path-narrow: packets of more than 1400 bytes do not get to host2, those of this host and its containers have up to 1500",
    ],
    [
      "large packets, of a size that is not known yet",
      { state: "narrow", narrowBytes: 0 },
      "error path-narrow: packets of 1500 bytes do not get to host2, small ones do",
    ],
  ];
  for (const [name, changes, expected] of rows) {
    await t.step(name, () => {
      const problems = pathProblems([pathView(changes)]);
      assert.deepEqual(
        problems.map(({ severity, code, text }) =>
          `${severity} ${code}: ${text}`
        ),
        expected === undefined ? [] : [expected],
      );
      for (const { subject, fix } of problems) {
        assert.equal(subject, "host2");
        assert.equal(fix, "stellar-net doctor host2");
      }
    });
  }
});

Deno.test("countPaths() counts each state", () => {
  const states = ["alive", "dead", "alive", "lossy"] as const;
  assert.deepEqual(countPaths(states.map((state) => ({ state }))), {
    ...{ unmeasured: 0, alive: 2, lossy: 1 },
    ...{ narrow: 0, unanswered: 0, dead: 1 },
  });
});
