import assert from "node:assert/strict";
import { request } from "node:http";
import { join } from "node:path";
import type { JsonObject } from "@bufbuild/protobuf";
import { Health } from "../../src/gen/grpc/health/v1/health_pb.ts";
import { AgentService } from "../../src/gen/stellar/net/v1/agent_pb.ts";
import { ClusterService } from "../../src/gen/stellar/net/v1/cluster_pb.ts";
import { IdentityService } from "../../src/gen/stellar/net/v1/identity_pb.ts";
import { IpamService } from "../../src/gen/stellar/net/v1/ipam_pb.ts";
import { RegistryService } from "../../src/gen/stellar/net/v1/registry_pb.ts";
import { Network } from "../../src/gen/stellar/services/network/v1/network_pb.ts";
import { ROOT } from "../generate.ts";
import { allDone } from "../support/all_done.ts";
import type { SpawnedAgent } from "../support/spawn_agent.ts";
import { withTempDir } from "../support/temp_dir.ts";
import { waitFor } from "../support/wait_for.ts";
import {
  type ConformanceClient,
  createClients,
  makePrograms,
} from "./clients.ts";
import { EACH_CALL } from "./calls.ts";
import {
  type ConformanceAgent,
  withConformanceAgent,
} from "./conformance_agent.ts";
import type { Line, Outcome } from "./plan.ts";
import {
  AFTER_COMMIT,
  CANCEL_MOMENTS_MS,
  DURING_COMMIT,
  HELD_ADDRESS,
  type Row,
  SITUATIONS,
  STOP,
  STOPPED,
} from "./situations.ts";

/** Longer than the latest moment at which a caller cancels. */
const COMMIT_MS = 600;

/** The rows that a client can make, with its own number in their texts. */
function rowsOf(
  rows: readonly Row[],
  { abilities }: ConformanceClient,
  number: number,
): Row[] {
  const able = rows.filter(({ needs }) => !needs || abilities.includes(needs));
  return JSON.parse(
    JSON.stringify(able).replaceAll("{n}", `${number}`)
      .replaceAll("{4n}", `${4 * number}`),
  );
}

/** An agent, and all clients of it. */
interface Running extends ConformanceAgent {
  readonly clients: readonly ConformanceClient[];
}

/** Has every client make its calls at once. @returns the outcomes, by client and row */
async function runAll(
  { target, namespace, clients }: Running,
  rows: readonly Row[],
  onLine: (line: Line) => void = () => {},
): Promise<Map<ConformanceClient, Map<string, Outcome>>> {
  const all = new Map<ConformanceClient, Map<string, Outcome>>();
  await allDone(clients.map(async (client, number) => {
    const situations = rowsOf(rows, client, number);
    if (situations.length === 0) return;
    const outcomes = new Map<string, Outcome>();
    for await (const line of client.run({ ...target, situations }, namespace)) {
      onLine(line);
      if (line.outcome) outcomes.set(line.name, line.outcome);
    }
    all.set(client, outcomes);
  }));
  return all;
}

/** Checks each outcome in a step of its own, and that there is one for each row. */
async function assertOutcomes(
  t: Deno.TestContext,
  { clients }: Running,
  rows: readonly Row[],
  all: ReadonlyMap<ConformanceClient, ReadonlyMap<string, Outcome>>,
): Promise<void> {
  for (const [index, client] of clients.entries()) {
    const outcomes = all.get(client);
    for (const { name, expected } of rowsOf(rows, client, index)) {
      await t.step(`${client.name}: ${name}`, () => {
        const outcome = outcomes?.get(name);
        assert.ok(outcome, "there is no outcome");
        const { encoding: _, ...others } = expected;
        const wanted = client.showsEncoding ? expected : others;
        assert.deepEqual(
          pick(outcome, wanted),
          wanted,
          outcome.message ?? "OK",
        );
      });
    }
  }
}

/** The part of an outcome that a row is about. */
function pick(outcome: Outcome, wanted: Partial<Outcome>): Partial<Outcome> {
  return Object.fromEntries(
    Object.keys(wanted).map((key) => [key, outcome[key as keyof Outcome]]),
  );
}

/** Makes a call over the agent's socket. */
function ask(
  { socketPath }: SpawnedAgent,
  call: string,
  body: JsonObject,
): Promise<JsonObject> {
  return new Promise((resolve, reject) => {
    request({
      ...{ socketPath, method: "POST", path: `/stellar.net.v1.${call}` },
      headers: { "content-type": "application/json" },
    }, async (response) => {
      let text = "";
      for await (const part of response) text += part;
      if (response.statusCode === 200) resolve(JSON.parse(text));
      else reject(new Error(text));
    }).on("error", reject).end(JSON.stringify(body));
  });
}

/** The addresses by container id. */
async function holders(agent: SpawnedAgent): Promise<Map<string, string[]>> {
  const { allocations = [] } = await ask(
    agent,
    "IpamService/ListAllocations",
    {},
  ) as {
    readonly allocations?: readonly {
      readonly owner: { readonly containerId: string };
      readonly addresses: readonly { readonly address: string }[];
    }[];
  };
  return new Map(allocations.map(({ owner, addresses }) => [
    owner.containerId,
    addresses.map(({ address }) => address),
  ]));
}

const SERVICES = [
  ...[AgentService, ClusterService, IdentityService, IpamService],
  ...[RegistryService, Network, Health],
];

Deno.test("the table of calls has every call of the API", () => {
  assert.deepEqual(
    EACH_CALL.map(({ call }) => call).sort(),
    SERVICES.flatMap(({ typeName, methods }) =>
      methods.map(({ name }) => `${typeName}/${name}`)
    ).sort(),
  );
});

Deno.test("docs/api.md has the table of outcomes", async () => {
  const text = await Deno.readTextFile(join(ROOT, "docs/api.md"));
  const part = /\n## Outcomes\n([^]*?)\n## /.exec(text)![1]!;
  const rows = [...part.matchAll(/^\| (.*?) +\| ([A-Z_]+).*\|$/gm)]
    .map(([, name, code]) => `${name}: ${code}`);
  const table = [
    ...[...SITUATIONS, ...DURING_COMMIT, ...AFTER_COMMIT, ...STOP, ...STOPPED],
  ].map(({ name, expected }) =>
    `${name.replace(/ \d+ ms$/, " some ms")}: ${expected.code}`
  );
  assert.deepEqual(rows.sort(), [...new Set(table)].sort());
});

Deno.test("clients in four languages see the same outcomes", async (t) => {
  const clients = createClients(await makePrograms());
  await withTempDir((dir) =>
    withConformanceAgent(dir, async (conformanceAgent) => {
      const running = { ...conformanceAgent, clients };
      const { agent, slowCommits } = running;
      const assertAll = async (rows: readonly Row[]) =>
        await assertOutcomes(t, running, rows, await runAll(running, rows));
      await ask(agent, "IpamService/Allocate", {
        owner: { containerId: "holder" },
        addresses: [HELD_ADDRESS],
      });
      await ask(agent, "RegistryService/AddRoute", {
        ...{ cidr: "10.99.0.0/16", target: "192.0.2.1" },
      });
      await assertAll([...EACH_CALL, ...SITUATIONS]);

      await slowCommits(COMMIT_MS);
      await assertAll(DURING_COMMIT);
      await slowCommits(0);
      await waitFor("cancelled ADDs to leave nothing", async () => {
        const ids = [...(await holders(agent)).keys()];
        return !ids.some((id) => id.startsWith("add"));
      });
      await assertAll(AFTER_COMMIT);
      await t.step(
        "each owner holds one address, and nobody else any",
        async () => {
          const held = await holders(agent);
          const moments = CANCEL_MOMENTS_MS.map((ms) => `cancel${ms}`);
          const ids = clients.flatMap((_, n) =>
            ["early", "during", ...moments].map((prefix) => `${prefix}-${n}`)
          );
          assert.deepEqual([...held.keys()].sort(), ["holder", ...ids].sort());
          const addresses = [...held.values()].flat();
          assert.equal(addresses.length, held.size);
          assert.equal(new Set(addresses).size, held.size);
        },
      );

      let open = STOP.length *
        clients.filter(({ abilities }) => abilities.includes("stream")).length;
      const allOpen = Promise.withResolvers<void>();
      const watching = runAll(running, STOP, ({ isOpen }) => {
        if (isOpen && --open === 0) allOpen.resolve();
      });
      await Promise.race([allOpen.promise, watching]);
      assert.equal(await agent.stop(), 0);
      await assertOutcomes(t, running, STOP, await watching);
      await assertAll(STOPPED);
    })
  );
});
