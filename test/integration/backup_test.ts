import assert from "node:assert/strict";
import { contentsOf, fixturePath } from "../support/state_fixture.ts";
import { describeTree, FROM_SOURCE, runRefused } from "../support/refusal.ts";
import { run } from "../support/run.ts";
import { signalChild } from "../support/signal_child.ts";
import { spawnAgent, type SpawnedAgent } from "../support/spawn_agent.ts";
import { withTempDir } from "../support/temp_dir.ts";
import { openDenoKv } from "../../src/store/deno_kv/deno_kv.ts";
import { ROOT } from "../generate.ts";

async function cli(args: readonly string[]): Promise<string> {
  const line = [...FROM_SOURCE, ...args];
  const options = { cwd: ROOT, timeoutMs: 60_000 };
  const { code, stdout, stderr } = await run(Deno.execPath(), line, options);
  assert.equal(code, 0, stderr);
  return stdout;
}

async function post(
  { url }: SpawnedAgent,
  call: string,
  body: unknown,
): Promise<Response> {
  return await fetch(`${url}/stellar.net.v1.${call}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
}

/** Container to address, of all that are held. */
async function heldOn(agent: SpawnedAgent): Promise<Record<string, string>> {
  const json = await cli([
    "--socket",
    agent.socketPath,
    "ip",
    "list",
    "--json",
  ]);
  const { allocations } = JSON.parse(json) as {
    allocations: {
      owner: { containerId: string };
      addresses: { address: string }[];
    }[];
  };
  return Object.fromEntries(
    allocations.map(({ owner, addresses }) => [
      owner.containerId,
      addresses.map(({ address }) => address).join(),
    ]),
  );
}

/** Container to address, of all that a backup has. */
async function heldIn(file: string): Promise<Record<string, string>> {
  const lines = (await Deno.readTextFile(file)).trimEnd().split("\n");
  const entries = lines.slice(1, -1).map((line) => JSON.parse(line));
  return Object.fromEntries(
    entries.filter(({ key }) => key[2] === "address").map(({ key, value }) => [
      value.owner[1],
      key[3],
    ]),
  );
}

Deno.test("backup copies a state while allocations go on, and restore brings it back", () =>
  withTempDir(async (dir) => {
    const file = `${dir}/backup.jsonl`;
    {
      await using agent = await spawnAgent();
      let isDone = false;
      const load = Array.from({ length: 8 }, async (_, worker) => {
        for (let i = 0; !isDone; i++) {
          const owner = { containerId: `w${worker}-${i}` };
          const given = await post(agent, "IpamService/Allocate", { owner });
          assert.equal(given.status, 200, await given.text());
          if (i < 20) continue;
          const old = { containerId: `w${worker}-${i - 20}` };
          const taken = await post(agent, "IpamService/Release", {
            owner: old,
          });
          assert.equal(taken.status, 200, await taken.text());
        }
      });
      for (let i = 0; i < 3; i++) {
        await cli(["--socket", agent.socketPath, "backup", file]);
      }
      isDone = true;
      await Promise.all(load);
      await agent.kill("SIGKILL");
    }
    assert.equal((await Deno.stat(file)).mode! & 0o777, 0o600);
    const names = await Array.fromAsync(Deno.readDir(dir));
    assert.deepEqual(names.map(({ name }) => name), ["backup.jsonl"]);
    const stateDir = `${dir}/state`;
    const args = ["restore", file, "--state", stateDir, "--settle", "0s"];
    await cli([...args, "--dry-run"]);
    await assert.rejects(Deno.stat(stateDir), Deno.errors.NotFound);
    await cli(args);
    await using agent = await spawnAgent({ stateDir });
    const held = await heldOn(agent);
    assert.ok(Object.keys(held).length > 0);
    assert.deepEqual(held, await heldIn(file));
    const history = await cli(
      ["--socket", agent.socketPath, "ip", "history", "--limit", "1000"],
    );
    assert.match(history, /released over the API/);
    const next = await post(agent, "IpamService/Allocate", {
      owner: { containerId: "next" },
    });
    assert.equal(next.status, 200, await next.text());
  }));

Deno.test("backup names the reason that it cannot write", async (t) => {
  await using agent = await spawnAgent();
  await withTempDir(async (dir) => {
    await Deno.mkdir(`${dir}/folder`);
    await run("mkfifo", [`${dir}/pipe`]);
    const before = await describeTree(dir);
    const rows: readonly [name: string, args: string[], says: RegExp][] = [
      [
        "a folder",
        [`${dir}/folder`],
        /it is not a regular file; name another$/,
      ],
      ["a pipe", [`${dir}/pipe`], /it is not a regular file; name another$/],
      ["a device", ["/dev/null"], /it is not a regular file; name another$/],
      ["no folder", [`${dir}/none/x`], /^Cannot write ".*": there is no such/],
      [
        "no agent",
        [`${dir}/x`, "--socket", `${dir}/none`],
        /no agent serves there/,
      ],
    ];
    for (const [name, args, says] of rows) {
      await t.step(name, async () => {
        const socket = ["--socket", agent.socketPath];
        const refusal = await runRefused([...socket, "backup", ...args]);
        assert.equal(refusal.code, 1);
        assert.match(refusal.message, says);
        assert.deepEqual(await describeTree(dir), before);
      });
    }
  });
});

Deno.test("restore that refuses leaves everything as it is", async (t) => {
  await using agent = await spawnAgent();
  await withTempDir(async (dir) => {
    const good = fixturePath("state_v1/registry.jsonl");
    const text = await Deno.readTextFile(good);
    const write = async (name: string, text: string) => {
      await Deno.writeTextFile(`${dir}/${name}`, text);
      return `${dir}/${name}`;
    };
    const cut = await write("cut", text.slice(0, 2000));
    const changed = await write("changed", text.replace("web-4", "web-5"));
    const newer = await write(
      "newer",
      text.replace('"schema":1', '"schema":99'),
    );
    const full = `${dir}/full`;
    await Deno.mkdir(full);
    await Deno.copyFile(
      fixturePath("state_v1/registry.db"),
      `${full}/state.db`,
    );
    const empty = `${dir}/empty`;
    await Deno.mkdir(empty);
    const before = await describeTree(dir);
    const rows: readonly [
      name: string,
      file: string,
      state: string,
      says: RegExp,
    ][] = [
      ["a running agent", good, agent.stateDir, /it is in use; stop the agent/],
      ["a state", good, full, /there is a state already; move it/],
      ["a part", cut, empty, /it is cut short/],
      ["a change", changed, empty, /its checksum is another/],
      ["a newer schema", newer, empty, /version 99 of the schema, and this/],
      ["no file", `${dir}/none`, empty, /^Cannot read ".*none": there is no/],
      ["a folder", empty, empty, /^Cannot read ".*": it is a folder/],
    ];
    for (const [name, file, state, says] of rows) {
      for (const more of [[], ["--dry-run"]]) {
        await t.step([name, ...more].join(" "), async () => {
          const args = ["restore", file, "--state", state, ...more];
          const refusal = await runRefused(args);
          assert.equal(refusal.code, 1);
          assert.match(refusal.message, says);
          assert.deepEqual(await describeTree(dir), before);
        });
      }
    }
  });
});

Deno.test("restore that is killed leaves all of a state, or none that an agent would take", () =>
  withTempDir(async (dir) => {
    const file = `${dir}/large.jsonl`;
    await writeLarge(file);
    const outcomes = new Set<string>();
    for (let waitMs = 40; outcomes.size < 3 && waitMs < 20_000; waitMs *= 1.4) {
      const state = `${dir}/${Math.round(waitMs)}`;
      const args = ["restore", file, "--state", state];
      const child = new Deno.Command(Deno.execPath(), {
        args: [...FROM_SOURCE, ...args],
        cwd: ROOT,
        stdin: "null",
        stdout: "null",
        stderr: "null",
      }).spawn();
      const timer = setTimeout(() => signalChild(child, "SIGKILL"), waitMs);
      await child.status;
      clearTimeout(timer);
      outcomes.add(await outcomeOf(state));
      await Deno.remove(state, { recursive: true }).catch(() => {});
    }
    assert.deepEqual([...outcomes].sort(), ["none", "refused", "whole"]);
  }));

/** How a state was left: an agent refuses it, begins anew, or has all of it. */
async function outcomeOf(dir: string): Promise<string> {
  const path = `${dir}/state.db`;
  const names = await Array.fromAsync(Deno.readDir(dir)).catch(() => []);
  if (names.length === 0) return "none";
  const store = await openDenoKv({ path }).catch((error) => {
    assert.match(error.message, /a restore was interrupted; restore again/);
  });
  if (!store) return "refused";
  const count = Object.keys(await contentsOf(store)).length;
  await store.close();
  return count === 0 ? "none" : `${count === LARGE ? "whole" : count}`;
}

/** How many entries a large state has. */
const LARGE = 20_000;

async function writeLarge(file: string): Promise<void> {
  const { writeBackup } = await import("../../src/backup/format/format.ts");
  const header = {
    schema: 2,
    program: "1.2.3",
    cluster: "c",
    node: "node1",
    instance: "i",
    takenAt: "2026-01-02T03:04:05Z",
  };
  const pieces = writeBackup(
    header,
    (async function* () {
      for (let i = 0; i < LARGE; i++) yield { key: ["n", i], value: "x" };
    })(),
  );
  await Deno.writeFile(file, ReadableStream.from(pieces));
}
