import assert from "node:assert/strict";
import { join } from "node:path";
import { ROOT } from "../generate.ts";
import { allDone } from "../support/all_done.ts";
import { startEtcd } from "../support/etcd.ts";
import { freePort } from "../support/free_port.ts";
import { FROM_SOURCE } from "../support/refusal.ts";
import { run } from "../support/run.ts";
import { spawnAgent, type SpawnedAgent } from "../support/spawn_agent.ts";
import { withTempDir } from "../support/temp_dir.ts";
import { waitFor } from "../support/wait_for.ts";

/** Addresses of the node without an agent: enough for many commits. */
const HELD = 400;

/** Two hosts, by their states: they can be started with one store and another. */
class Hosts {
  readonly dir: string;
  /** Where the first serves in each of its lives. */
  readonly port: number = freePort();

  constructor(dir: string) {
    this.dir = dir;
  }

  state(node: string): string {
    return join(this.dir, node);
  }

  async start(node: string, ...args: string[]): Promise<SpawnedAgent> {
    const listen = node === "node1"
      ? ["--listen", `127.0.0.1:${this.port}`]
      : [];
    return await spawnAgent({
      node,
      stateDir: this.state(node),
      args: [...listen, ...args],
    });
  }

  join(): Promise<SpawnedAgent> {
    return this.start("node2", "--join", `http://127.0.0.1:${this.port}`);
  }

  /** Moves the registry, its file being that of the first host. */
  migrate(from: string, to: string, ...args: string[]) {
    return run(Deno.execPath(), this.migration(from, to, ...args), {
      cwd: ROOT,
    });
  }

  /** The arguments of Deno that move it. */
  migration(from: string, to: string, ...args: string[]): string[] {
    return [...FROM_SOURCE, "store", "migrate", "--from", from, "--to", to]
      .concat("--state", this.state("node1"), args);
  }
}

/** Runs a command against an agent, and returns its answer. */
async function ask(agent: SpawnedAgent, line: string): Promise<unknown> {
  const args = [...FROM_SOURCE, ...line.split(" ")]
    .concat("--socket", agent.socketPath, "--json");
  const { code, stdout, stderr } = await run(Deno.execPath(), args, {
    cwd: ROOT,
  });
  if (code !== 0) throw new Error(stderr);
  return JSON.parse(stdout);
}

/** Calls Stellar's network service. */
async function call(
  { url }: SpawnedAgent,
  method: string,
  body: unknown,
): Promise<unknown> {
  const response = await fetch(
    `${url}/stellar.services.network.v1.Network/${method}`,
    {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
    },
  );
  const answer = await response.json();
  if (!response.ok) throw new Error(`${answer.code}: ${answer.message}`);
  return answer;
}

/** All that has to be the same wherever the registry is. */
async function describe(agent: SpawnedAgent): Promise<unknown[]> {
  return await Promise.all([
    ask(agent, "subnet list"),
    ask(agent, "route list --extra"),
    ask(agent, "ip list"),
    ask(agent, "ip list --node api"),
    ask(agent, "ip history --node api"),
    call(agent, "Subnets", {}),
  ]);
}

interface Status {
  readonly registry: { readonly state: string; readonly problem: string };
}

function becomes(agent: SpawnedAgent, state: string): Promise<boolean> {
  return waitFor(`the agent to be ${state}`, async () => {
    const { registry } = await ask(agent, "status") as Status;
    return registry.state === state;
  });
}

async function fill(host: SpawnedAgent, other: SpawnedAgent): Promise<void> {
  await becomes(other, "joined");
  await ask(host, "ip allocate own1");
  await ask(other, "ip allocate own2");
  await call(host, "AllocateSubnet", { node: "api" });
  await allDone(Array.from(
    { length: HELD },
    (_, i) => call(host, "AllocateIP", { node: "api", id: `c${i}` }),
  ));
  await call(host, "ReleaseIP", { node: "api", id: "c7" });
  await call(host, "AddRoute", { cidr: "192.0.2.0/24", target: "198.18.0.9" });
  await ask(host, "subnet reserve 172.16.64.0/22 --reason printers");
}

/**
 * Moves the registry; the process is killed when it has written one line, the
 * next when it has written two, until one comes to its end.
 *
 * @returns how many were killed, and what the last one wrote
 */
async function migrateAgainAndAgain(
  args: readonly string[],
): Promise<{ readonly killed: number; readonly written: string }> {
  for (let lines = 1;; lines++) {
    const { isKilled, written } = await migrateUntil(args, lines);
    if (!isKilled) return { killed: lines - 1, written };
  }
}

/** Moves the registry, and kills the process once it has written some lines. */
async function migrateUntil(
  args: readonly string[],
  lines: number,
): Promise<{ readonly isKilled: boolean; readonly written: string }> {
  const child = new Deno.Command(Deno.execPath(), {
    args: [...args],
    cwd: ROOT,
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).spawn();
  let written = "";
  for await (
    const text of child.stderr.pipeThrough(new TextDecoderStream())
  ) {
    written += text;
    if (written.split("\n").length > lines) tryKill(child);
  }
  const { signal } = await child.status;
  return { isKilled: signal !== null, written };
}

/** Checks that an agent says in each place that its registry moves, since when, and the way out. */
async function saysThatItMoves(agent: SpawnedAgent): Promise<void> {
  const told =
    /the registry has been moving to another store since \d{4}-\d\d-\d\d \S+Z: Cannot use the registry in etcd:\S+: it is being moved to kv:.*wait until "stellar-net store migrate" is done/s;
  await waitFor("the agent to notice", async () => {
    const { problems } = await ask(agent, "status") as {
      readonly problems: readonly { readonly code: string }[];
    };
    return problems.some(({ code }) => code === "migrating");
  });
  const ready = async () => {
    const response = await fetch(`${agent.url}/readyz`);
    const { checks } = await response.json() as {
      readonly checks: readonly { readonly reason: string }[];
    };
    return checks.map(({ reason }) => reason).join("\n");
  };
  const texts = await Promise.all([
    tell(agent, "status"),
    tell(agent, "doctor"),
    tell(agent, "node list"),
    ready(),
  ]);
  for (const text of texts) assert.match(text, told);
}

/** What a command writes for people. */
async function tell(agent: SpawnedAgent, line: string): Promise<string> {
  const args = [...FROM_SOURCE, ...line.split(" ")]
    .concat("--socket", agent.socketPath);
  const { stdout, stderr } = await run(Deno.execPath(), args, { cwd: ROOT });
  return stdout + stderr;
}

function tryKill(child: Deno.ChildProcess): void {
  try {
    child.kill("SIGKILL");
  } catch (error) {
    // It has come to its end.
    if (!(error instanceof TypeError)) throw error;
  }
}

Deno.test("a registry moves from a file to etcd and back, and agents go on with it", async () => {
  await using etcd = await startEtcd();
  const url = `etcd://${etcd.endpoints[0]}/moved`;
  await withTempDir(async (dir) => {
    const hosts = new Hosts(dir);
    let before: unknown[];
    {
      await using node1 = await hosts.start("node1");
      await using node2 = await hosts.join();
      await fill(node1, node2);
      before = await describe(node1);
      const inUse = await hosts.migrate("kv:", url);
      assert.equal(inUse.code, 1);
      assert.match(inUse.stderr, /state\.db": it is in use; stop the agent/);
      await node1.stop();
      await ask(node2, "ip allocate meanwhile");
      await node2.stop();
    }
    const counted = await hosts.migrate("kv:", url, "--dry-run");
    assert.deepEqual([counted.code, counted.stderr], [0, ""]);
    assert.match(counted.stdout, new RegExp(`Addresses +${HELD - 1} held`));
    assert.equal(await etcd.ctl(["get", "", "--from-key", "--keys-only"]), "");

    const { killed, written } = await migrateAgainAndAgain(
      hosts.migration("kv:", url),
    );
    assert.ok(killed > 0, written);
    assert.match(written, /^Start every agent|start the agents with that/m);
    await assert.rejects(
      hosts.start("node1"),
      /the registry in kv:\S+state\.db: it has moved to etcd:\S+\/moved; /,
    );
    {
      await using node1 = await hosts.start("node1", "--store", url);
      await using node2 = await hosts.start("node2", "--store", url);
      await allDone([node1, node2].map((agent) => becomes(agent, "hosted")));
      assert.deepEqual(await describe(node1), before);
      await call(node2, "AllocateIP", { node: "api", id: "later" });
      await ask(node1, "ip allocate own3");
      before = await describe(node1);
      await node1.stop();

      await migrateUntil(hosts.migration(url, "kv:"), 1);
      await saysThatItMoves(node2);
      const back = await hosts.migrate(url, "kv:");
      assert.equal(back.code, 0, back.stderr);
      await assert.rejects(
        call(node2, "AddRoute", { cidr: "192.0.2.8/29", target: "198.18.0.9" }),
        /^Error: unavailable: .* it has moved to kv:/,
      );
      await assert.rejects(
        call(node2, "AllocateIP", { node: "api", id: "lost" }),
        /^Error: unavailable: .* it has moved to kv:/,
      );
      await ask(node2, "ip allocate own4");
      await node2.stop();
    }
    {
      await using node1 = await hosts.start("node1");
      await using node2 = await hosts.join();
      await becomes(node2, "joined");
      assert.deepEqual(await describe(node1), before);
      const own = JSON.stringify(await ask(node2, "ip list"));
      for (const id of ["own2", "meanwhile", "own4"]) {
        assert.ok(own.includes(`"${id}"`), own);
      }
    }
  });
});
