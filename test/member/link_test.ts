import assert from "node:assert/strict";
import {
  findMembershipFault,
  type MembershipFault,
  type RegistryLink,
} from "../../src/member/link.ts";
import { refuseMarked } from "../../src/state/migration_marks.ts";
import { openDenoKv } from "../../src/store/deno_kv/deno_kv.ts";

const SINCE_MS = Date.parse("2026-01-02T03:04:05Z");
const REGISTRY_URL = "https://198.18.0.11:9000";
const SINCE = "since 2026-01-02 03:04:05Z";

function link(fields: Partial<RegistryLink>): RegistryLink {
  return {
    ...{ state: "unreachable", sinceMs: SINCE_MS, problem: "" },
    ...{ url: REGISTRY_URL, urls: [REGISTRY_URL] },
    ...fields,
  };
}

Deno.test("findMembershipFault() says for each fault what is wrong, since when, and the way out", async (t) => {
  const store = await openDenoKv({ path: ":memory:" });
  const moving = refuseMarked(store, {
    key: ["cluster", "migrating"],
    value: { from: "kv:/old", id: "x", clusterId: "y" },
    version: "1",
  });
  await store.close();
  const rows: readonly [
    code: MembershipFault["code"],
    link: Partial<RegistryLink>,
    hasSubnets: boolean,
    severity: MembershipFault["severity"],
    says: RegExp,
    advises: RegExp,
  ][] = [
    [
      "registry-unreachable",
      { problem: "nothing listens" },
      true,
      "warning",
      /unreachable since .*: nothing listens$/,
      /check that the agent at https:\/\/198\.18\.0\.11:9000 runs/,
    ],
    [
      "registry-unreachable",
      { url: "" },
      false,
      "error",
      /unreachable since/,
      /^check that an agent of --join runs/,
    ],
    [
      "registry-unreachable",
      { url: "", urls: [], problem: "Cannot read from etcd: nothing listens" },
      false,
      "error",
      /unreachable since .*: Cannot read from etcd: nothing listens$/,
      /^check etcd's members: etcdctl endpoint status --cluster/,
    ],
    [
      "registry-unreachable",
      {
        problem:
          "Cannot read from etcd://a:2379/x: a:2379: nothing listens there; start etcd",
      },
      true,
      "warning",
      /start etcd$/,
      /^check etcd's members: etcdctl endpoint status --cluster/,
    ],
    [
      "registry-unreachable",
      { problem: "its certificate was revoked" },
      false,
      "error",
      /its certificate was revoked$/,
      /^make a token for that node/,
    ],
    [
      "migrating",
      { problem: moving.message, reason: moving.details.reason },
      true,
      "warning",
      /moving to another store since .*: Cannot use the registry in .* from kv:\/old/,
      /^wait until "stellar-net store migrate" is done/,
    ],
    ["migrating", { reason: "MIGRATING" }, false, "error", /moving/, /^wait/],
    [
      "restore-grace",
      {
        state: "hosted",
        restoreGrace: { takenAt: "2026-01-01", leftMs: 5, sinceMs: SINCE_MS },
      },
      true,
      "warning",
      /restored from a backup of 2026-01-01, .* a new node gets one in 1 s$/,
      /^start the agents of all hosts/,
    ],
    [
      "restore-grace",
      { reason: "RESTORE_GRACE", problem: "Cannot give a subnet yet" },
      false,
      "error",
      /has kept this node waiting since .*: Cannot give a subnet yet$/,
      /^wait until the grace period is over/,
    ],
    [
      "cloned",
      { isCopy: true, problem: "it is known on another machine" },
      true,
      "error",
      /made on another machine, .* since .*: it is known on another machine$/,
      /delete its state, and start it with another --node; .* "stellar-net node remove"/,
    ],
    [
      "cloned",
      { isCopy: true, state: "fenced" },
      true,
      "error",
      /made/,
      /clone/,
    ],
    [
      "fenced",
      { state: "fenced", problem: "its subnet went to host3" },
      true,
      "error",
      /fenced this node since .*: its subnet went to host3$/,
      /"stellar-net node leave --force"/,
    ],
    [
      "refused",
      { state: "fenced", problem: "another host has its name" },
      false,
      "error",
      /refused this node since .*: another host has its name$/,
      /^remove this cause/,
    ],
    [
      "left",
      { state: "left" },
      false,
      "error",
      /has left .* since/,
      /to join$/,
    ],
  ];
  for (const [code, fields, hasSubnets, severity, says, advises] of rows) {
    await t.step(`${code}, ${hasSubnets ? "with" : "without"} subnets`, () => {
      const fault = findMembershipFault(link(fields), hasSubnets);
      assert.deepEqual([fault?.code, fault?.severity], [code, severity]);
      assert.match(fault!.text, says);
      assert.ok(fault!.text.includes(SINCE), fault!.text);
      assert.match(fault!.advice, advises);
      assert.notEqual(fault!.means, "");
    });
  }
  for (const state of ["hosted", "joined"] as const) {
    await t.step(state, () => {
      assert.equal(findMembershipFault(link({ state }), true), undefined);
    });
  }
});
