import assert from "node:assert/strict";
import { spawnAgent, type SpawnedAgent } from "../support/spawn_agent.ts";
import { run } from "../support/run.ts";
import { FROM_SOURCE } from "../support/refusal.ts";
import { ROOT } from "../generate.ts";

/** A record, as `audit --json` prints it. */
interface Row {
  readonly caller: string;
  readonly from: string | null;
  readonly call: string;
  readonly subject: string | null;
  readonly outcome: string;
}

/** Asks an agent over its loopback listener. @returns the status */
async function call(
  agent: SpawnedAgent,
  name: string,
  body: unknown,
): Promise<number> {
  const response = await fetch(`${agent.url}/stellar.net.v1.${name}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  await response.text();
  return response.status;
}

/** What `audit --json` prints. */
async function audit(
  agent: SpawnedAgent,
  ...flags: readonly string[]
): Promise<Row[]> {
  const args = ["--socket", agent.socketPath, "audit", "--json", ...flags];
  const { code, stdout, stderr } = await run(
    Deno.execPath(),
    [...FROM_SOURCE, ...args],
    { cwd: ROOT },
  );
  assert.equal(code, 0, stderr);
  return JSON.parse(stdout).records;
}

function brief({ caller, call, subject, outcome }: Row): string {
  return [caller, call, subject, outcome].join(" ");
}

Deno.test("an agent lists changes and their callers, also after a kill", async () => {
  await using agent = await spawnAgent();
  const cidr = "172.16.8.0/22";
  assert.equal(
    await call(agent, "RegistryService/ReserveSubnet", { cidr }),
    200,
  );
  await agent.kill("SIGKILL");
  await agent.start();
  assert.equal(
    await call(agent, "RegistryService/RemoveNode", { node: "n9" }),
    404,
  );
  assert.equal(await call(agent, "RegistryService/ListNodes", {}), 200);
  const rows = await audit(agent);
  assert.deepEqual(rows.map(brief), [
    "loopback RemoveNode n9 not_found",
    `loopback ReserveSubnet ${cidr} ok`,
  ]);
  assert.deepEqual(rows.map(({ from }) => from), ["127.0.0.1", "127.0.0.1"]);
  assert.deepEqual((await audit(agent, "--failed")).map(brief), [
    "loopback RemoveNode n9 not_found",
  ]);
  assert.deepEqual(await audit(agent, "--caller", "socket"), []);
  assert.match(
    agent.stderr,
    /"logger":"stellar-net\.audit","caller":"loopback","from":"127\.0\.0\.1","call":"ReserveSubnet","subject":"172\.16\.8\.0\/22","outcome":"ok"/,
  );
  assert.match(
    agent.stderr,
    /"message":"loopback at 127\.0\.0\.1 called RemoveNode for n9: not_found: [^"]+/,
  );
});

Deno.test("an agent stores the collected part of its audit when it stops", async () => {
  await using agent = await spawnAgent();
  // The second and the last change nothing.
  for (
    const terms of [
      ...[{}, {}, { labels: { app: "web" } }, { ttl: "3600s" }],
      { labels: { app: "web" } },
    ]
  ) {
    const body = { owner: { containerId: "web-1" }, ...terms };
    assert.equal(await call(agent, "IpamService/Allocate", body), 200);
  }
  assert.equal(await agent.stop(), 0, agent.stderr);
  await agent.start();
  const rows = (await audit(agent, "--call", "Allocate")).map(brief);
  assert.equal(rows.length, 3, rows.join("\n"));
  for (const row of rows) assert.match(row, /^loopback Allocate .*web-1.* ok$/);
});

Deno.test("a thousand allocations and releases write next to nothing to the log at info", async () => {
  await using agent = await spawnAgent();
  const owners = Array.from(
    { length: 1_000 },
    (_, i) => ({ owner: { containerId: `a-container-with-a-name-${i}` } }),
  );
  const callAll = async (name: string) => {
    for (let at = 0; at < owners.length; at += 100) {
      const batch = owners.slice(at, at + 100);
      const codes = await Promise.all(
        batch.map((body) => call(agent, name, body)),
      );
      assert.deepEqual(new Set(codes), new Set([200]));
    }
  };
  // The node claims its subnet with its first allocation: a change of the cluster.
  await call(agent, "IpamService/Allocate", owners[0]);
  const before = agent.stderr.length;
  await callAll("IpamService/Allocate");
  await callAll("IpamService/Release");
  assert.equal(await agent.stop(), 0);
  // At debug level each call is a line of 250 bytes.
  const written = agent.stderr.slice(before);
  assert.ok(written.length < 10_000, written);
});
