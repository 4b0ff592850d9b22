import assert from "node:assert/strict";
import { checkProbes } from "../../src/doctor/probe_checks.ts";
import type { PathView } from "../../src/probe/plan/verdict.ts";
import { pathView } from "../probe/path_views.ts";

Deno.test("checkProbes() names each path with a fault, and what to do", async (t) => {
  const rows: [
    string,
    Partial<PathView>,
    "ok" | "warning" | "failed",
    found: RegExp,
    fix: RegExp,
  ][] = [
    [
      "none",
      { rttMs: 1.25 },
      "ok",
      /^probes of host2 are answered, in up to 1\.3 ms$/,
      /^$/,
    ],
    [
      "a dead path",
      { state: "dead", hearsPeer: false },
      "failed",
      /^no packet gets to host2 and back/,
      /^check cables, switches and routers/,
    ],
    [
      "a direction that is dead",
      { state: "dead", hearsPeer: true },
      "failed",
      /lost on the way there$/,
      /^look for what drops packets from this host to host2/,
    ],
    [
      "a gateway that is not reached",
      { state: "dead", hearsPeer: false, reachesHost: true },
      "failed",
      /^no packet gets to the gateway of host2/,
      /^compare routes and packet filters: stellar-net doctor host2/,
    ],
    [
      "loss",
      {
        state: "lossy",
        isLossy: { out: true, in: false },
        loss: { out: 0.2, in: 0 },
      },
      "warning",
      /^about 20 % of the packets to host2 are lost$/,
      /^look at the errors of cables/,
    ],
    [
      "a smaller MTU",
      { state: "narrow", narrowBytes: 1400 },
      "failed",
      /^packets of more than 1400 bytes do not get to host2/,
      /MTU of 1500, or ask stellar-net doctor host2/,
    ],
    [
      "probes without an answer",
      { state: "unanswered" },
      "warning",
      /^host2 answers pings, and no probes$/,
      /UDP port 9002/,
    ],
  ];
  for (const [name, changes, status, found, fix] of rows) {
    await t.step(name, () => {
      const checks = checkProbes([pathView(changes)], undefined);
      assert.equal(checks.length, 1);
      assert.equal(checks[0]!.name, "path");
      assert.equal(checks[0]!.status, status);
      assert.match(checks[0]!.found, found);
      assert.match(String(checks[0]!.fix), fix);
      assert.equal(checks[0]!.means === "", status === "ok");
    });
  }
});

Deno.test("checkProbes() looks only at the peer that is named", () => {
  const paths = [pathView(), pathView({ peer: "host3", state: "dead" })];
  const statuses = (peer?: string) =>
    checkProbes(paths, peer).map(({ status }) => status);
  assert.deepEqual(statuses(), ["failed"]);
  assert.deepEqual(statuses("host2"), ["ok"]);
  assert.deepEqual(statuses("host3"), ["failed"]);
});

Deno.test("checkProbes() claims nothing that is not measured", () => {
  const unmeasured = pathView({ state: "unmeasured" });
  assert.deepEqual(checkProbes([], undefined), []);
  assert.deepEqual(checkProbes([unmeasured], undefined), []);
  const gone = pathView({ state: "dead", isReady: false });
  assert.deepEqual(checkProbes([gone], undefined), []);
  assert.equal(
    checkProbes([gone, pathView({ peer: "host3", rttMs: 1 })], undefined)[0]!
      .found,
    "probes of host3 are answered, in up to 1.0 ms",
  );
  const [off] = checkProbes(undefined, undefined);
  assert.equal(off!.found, "this agent sends no probes");
  const many = Array.from(
    { length: 10 },
    (_, i) => pathView({ peer: `h${i}`, rttMs: 0.04 }),
  );
  assert.equal(
    checkProbes([...many, unmeasured], undefined)[0]!.found,
    "probes of h0, h1, h2, h3, h4, h5, h6, h7 and 2 more are answered, in up to 0.0 ms",
  );
});
