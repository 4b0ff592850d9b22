import assert from "node:assert/strict";
import type { AgentStatus } from "../../src/agent/status.ts";
import { checkReady } from "../../src/agent/status.ts";
import { problemMessage } from "../../src/api/messages/cluster.ts";
import { checkMessage } from "../../src/api/messages/host.ts";
import { ReportSource } from "../../src/cluster/report_source.ts";
import type { Samples } from "../../src/cluster/samples.ts";
import { checkRegistry } from "../../src/doctor/agent_checks.ts";
import type { RegistryLink } from "../../src/member/link.ts";
import { cannotHandOut, type Member } from "../../src/member/member.ts";
import { parsePrefix } from "../../src/net/prefix.ts";
import type { RouteReport } from "../../src/routes/report.ts";
import { openDenoKv } from "../../src/store/deno_kv/deno_kv.ts";
import { runFake } from "../cli/fake_io.ts";

const SINCE_MS = Date.parse("2026-01-02T03:04:05Z");
const SUBNET = parsePrefix("172.16.0.0/22");

/** A state, whether the node has a subnet, the cause, and the way out. */
const STATES: Readonly<
  Record<string, readonly [Partial<RegistryLink>, boolean, RegExp, RegExp]>
> = {
  fenced: [
    { state: "fenced", problem: "its subnet went to c" },
    true,
    /the registry has fenced this node since .*: its subnet went to c/,
    /"stellar-net node leave --force"/,
  ],
  refused: [
    { state: "fenced", problem: "another host has that name" },
    false,
    /the registry has refused this node since .*: another host has that name/,
    /start this agent with another --node/,
  ],
  cloned: [
    { isCopy: true, state: "fenced", problem: "it is known elsewhere" },
    true,
    /made on another machine, .* since .*: it is known elsewhere/,
    /stop its agent, delete its state, and start it with another --node/,
  ],
  "waiting for a restored registry": [
    { reason: "RESTORE_GRACE", problem: "no subnet yet" },
    false,
    /the registry has kept this node waiting since .*: no subnet yet/,
    /wait until the grace period is over/,
  ],
  "in the grace period of its own registry": [
    {
      state: "hosted",
      restoreGrace: { takenAt: "2026-01-01", leftMs: 9_000, sinceMs: SINCE_MS },
    },
    true,
    /restored from a backup of 2026-01-01, .* since .* gets one in 9 s/,
    /start the agents of all hosts that had joined/,
  ],
  migrating: [
    { reason: "MIGRATING", problem: "it is being moved" },
    false,
    /the registry has been moving to another store since .*: it is being/,
    /wait until "stellar-net store migrate" is done/,
  ],
};

function link(fields: Partial<RegistryLink>): RegistryLink {
  return {
    ...{ state: "unreachable", sinceMs: SINCE_MS, problem: "" },
    ...{ url: "http://h:1", urls: ["http://h:1"] },
    ...fields,
  };
}

/** The node's problems, as `status` and the cluster's view show them. */
async function problemsOf(of: RegistryLink, hasSubnet: boolean) {
  const status = {
    ...{ link: of, startedAtMs: 0, leaked: 0, queued: 0 },
    usage: hasSubnet
      ? [{ subnet: SUBNET, capacity: 10n, held: 1, cooling: 0, reserved: 0 }]
      : [],
  } as unknown as AgentStatus;
  const source = new ReportSource({
    agent: { status: () => Promise.resolve(status) },
    samples: {} as Samples,
    routes: () => ({ routes: [] }) as unknown as RouteReport,
    ...{ warnings: () => [], faults: () => [] },
    ...{ version: "", bootId: "" },
  });
  return (await source.problems()).map(problemMessage);
}

async function readyzOf(of: RegistryLink, hasSubnet: boolean): Promise<string> {
  const store = await openDenoKv({ path: ":memory:" });
  const nothing = () => Promise.resolve();
  const conditions = await checkReady({
    ...{ store, checkAddresses: nothing, checkWrites: nothing },
    member: {
      link: of,
      subnets: hasSubnet ? [SUBNET] : [],
    } as unknown as Member,
  });
  await store.close();
  return conditions.find(({ name }) => name === "registry")!.reason;
}

Deno.test("every place names the cause, the time and the way out of a fault of the membership", async (t) => {
  for (
    const [name, [fields, hasSubnet, cause, wayOut]] of Object.entries(STATES)
  ) {
    const of = link(fields);
    const problems = await problemsOf(of, hasSubnet);
    const agent = {
      getStatus: () => ({ node: "b", problems }),
      examine: () => ({ checks: [checkMessage(checkRegistry(of, hasSubnet))] }),
    };
    const registry = { listNodes: () => ({ nodes: [{ name: "b" }] }) };
    const places: Readonly<Record<string, string>> = {
      status: (await runFake(["status"], { agent })).stdout,
      doctor: (await runFake(["doctor"], { agent })).stdout,
      "node list":
        (await runFake(["node", "list"], { agent, registry })).stderr,
      "/readyz": await readyzOf(of, hasSubnet),
      error: cannotHandOut("b", of, hasSubnet).message,
    };
    for (const [place, text] of Object.entries(places)) {
      await t.step(`${name}: ${place}`, () => {
        assert.match(text, cause);
        assert.ok(text.includes("since 2026-01-02 03:04:05Z"), text);
        assert.match(text, wayOut);
      });
    }
  }
});
