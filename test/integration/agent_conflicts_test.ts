import assert from "node:assert/strict";
import { createIpamClient } from "../support/ipam_client.ts";
import { describeTree, runRefused } from "../support/refusal.ts";
import { spawnAgent, type SpawnedAgent } from "../support/spawn_agent.ts";
import { withTempDir } from "../support/temp_dir.ts";

/** Flags of an agent with its state and its socket in a folder. */
function flagsIn(dir: string): string[] {
  return ["agent", "--node", "node2", "--state", `${dir}/state`]
    .concat("--socket", `${dir}/agent.sock`);
}

/** Sees that an agent works, over TCP and its socket, with the queue of releases beside it. */
async function assertServes(agent: SpawnedAgent): Promise<void> {
  using client = createIpamClient(agent.port);
  assert.deepEqual(await client.release("nobody"), []);
  assert.ok((await Deno.lstat(agent.socketPath)).isSocket);
  assert.equal(
    await Deno.readLink(`${agent.socketPath}.queue`),
    `${agent.stateDir}/queue`,
  );
}

Deno.test("a second agent is refused the state, the socket and the port of another, which goes on", (t) =>
  withTempDir(async (dir) => {
    await using agent = await spawnAgent();
    const { stateDir, socketPath, port } = agent;
    const rows: readonly (readonly [
      flag: string,
      value: string,
      says: string,
    ])[] = [
      [
        "--state",
        stateDir,
        `Cannot open the state file "${stateDir}/state.db": it is in use; stop the agent that has it open`,
      ],
      [
        "--socket",
        socketPath,
        `Cannot listen: another agent listens on "${socketPath}"; stop it, or name another path with --socket`,
      ],
      [
        "--listen",
        `127.0.0.1:${port}`,
        `Cannot listen on "127.0.0.1:${port}": another process listens there; stop it, or name another port with --listen`,
      ],
    ];
    for (const [flag, value, says] of rows) {
      await t.step(flag, async () => {
        const args = [...flagsIn(dir), flag, value];
        assert.deepEqual(await runRefused(args), { code: 1, message: says });
        await assertServes(agent);
        // Neither a socket nor a link of its own stays behind.
        const left = Object.keys(await describeTree(dir))
          .filter((path) => path.startsWith(`${dir}/agent.sock`));
        assert.deepEqual(left, []);
      });
    }
  }));

Deno.test("an agent takes over the socket of one that was killed", async () => {
  await using agent = await spawnAgent();
  await agent.kill("SIGKILL");
  assert.ok((await Deno.lstat(agent.socketPath)).isSocket);
  await agent.start();
  await assertServes(agent);
});

Deno.test("an agent makes the folders of its state and its socket, for its user alone", () =>
  withTempDir(async (dir) => {
    const stateDir = `${dir}/a/b/state`;
    const socketPath = `${dir}/run/c/agent.sock`;
    await using agent = await spawnAgent({ stateDir, socketPath });
    const modes: Record<string, number> = {
      [stateDir]: 0o700,
      [`${stateDir}/state.db`]: 0o600,
      [`${stateDir}/queue`]: 0o700,
      [socketPath]: 0o600,
    };
    for (const [path, mode] of Object.entries(modes)) {
      assert.equal((await Deno.stat(path)).mode! & 0o777, mode, path);
    }
    assert.equal(await agent.stop(), 0);
    await assert.rejects(Deno.lstat(socketPath), Deno.errors.NotFound);
  }));

Deno.test("an agent refuses a state file that others may read: it has the authority's key in it", async () => {
  await using agent = await spawnAgent();
  await agent.stop();
  const file = `${agent.stateDir}/state.db`;
  await Deno.chmod(file, 0o644);
  const { code, message } = await runRefused([
    ...["agent", "--state", agent.stateDir, "--socket", agent.socketPath],
  ]);
  assert.equal(code, 1);
  assert.equal(
    message,
    `Cannot use "${file}": it holds a secret, and its mode is 0644, so that others on this host may use it; run chmod 600 ${file}`,
  );
  await Deno.chmod(file, 0o600);
  await agent.start();
  await assertServes(agent);
});

Deno.test("an agent refuses networks that its cluster does not have, naming both", async (t) => {
  await using agent = await spawnAgent({
    args: ["--network", "10.3.0.0/16", "--subnet-prefix", "24"],
  });
  using client = createIpamClient(agent.port);
  const held = await client.allocate("c1");
  await agent.stop();
  const before = await describeTree(agent.stateDir);
  const rows: readonly (readonly [args: readonly string[], wants: string])[] = [
    [["--network", "10.4.0.0/16"], "10.4.0.0/16 (subnets /26)"],
    [["--network", "10.3.0.0/16"], "10.3.0.0/16 (subnets /26)"],
    [
      ["--network", "10.3.0.0/16", "--network", "fd00::/48"],
      "10.3.0.0/16 (subnets /26), fd00::/48 (subnets /64)",
    ],
  ];
  for (const [args, wants] of rows) {
    await t.step(args.join(" "), async () => {
      const { code, message } = await runRefused([
        ...["agent", "--state", agent.stateDir, "--socket", agent.socketPath],
        ...args,
      ]);
      assert.equal(code, 1);
      assert.equal(
        message,
        `Cannot use the networks ${wants}: the cluster in this state was created with ` +
          "10.3.0.0/16 (subnets /24); start with those, without --network, or with another --state",
      );
      assert.deepEqual(await describeTree(agent.stateDir), before);
    });
  }
  await agent.start();
  using again = createIpamClient(agent.port);
  assert.deepEqual(await again.list(), [["c1", held]]);
});

Deno.test("an agent does not serve a state file that is cut short", async (t) => {
  await using agent = await spawnAgent();
  using client = createIpamClient(agent.port);
  const ids = Array.from({ length: 500 }, (_, i) => `c${i}`);
  await Promise.all(ids.map((id) => client.allocate(id)));
  await agent.stop();
  const file = `${agent.stateDir}/state.db`;
  const whole = await Deno.readFile(file);
  for (const share of [0.1, 0.5, 0.9]) {
    await t.step(`to ${share * 100} in a hundred`, async () => {
      await Deno.writeFile(file, whole.subarray(0, whole.length * share));
      const { code, message } = await runRefused([
        ...["agent", "--state", agent.stateDir, "--socket", agent.socketPath],
      ]);
      assert.equal(code, 1);
      assert.equal(
        message,
        `Cannot open the state file "${file}": the file is damaged or no state file; ` +
          "restore it from a backup, or move it away to start empty",
      );
    });
  }
  await Deno.writeFile(file, whole);
  await agent.start();
  using again = createIpamClient(agent.port);
  assert.equal((await again.list()).length, ids.length);
});
