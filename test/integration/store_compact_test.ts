import assert from "node:assert/strict";
import { setTimeout as delay } from "node:timers/promises";
import { ROOT } from "../generate.ts";
import { createIpamClient } from "../support/ipam_client.ts";
import { FROM_SOURCE } from "../support/refusal.ts";
import { run } from "../support/run.ts";
import { spawnAgent } from "../support/spawn_agent.ts";
import { withTempDir } from "../support/temp_dir.ts";

const RELEASED = 1_500;
const AT_ONCE = 50;
/** Times after which a compaction is killed, in ms: at its start, in the midst, near its end. */
const KILLS = [150, 300, 450, 600, 800];

Deno.test("store compact gives the space of old history back, and a killed one changes nothing", (t) =>
  withTempDir(async (stateDir) => {
    await using agent = await spawnAgent({
      stateDir,
      args: ["--network", "10.0.0.0/8", "--subnet-prefix", "16"],
    });
    using client = createIpamClient(agent.port);
    const held = await client.allocate("held");
    for (let i = 0; i < RELEASED; i += AT_ONCE) {
      const ids = Array.from({ length: AT_ONCE }, (_, j) => `c${i + j}`);
      await Promise.all(ids.map((id) => client.allocate(id)));
      await Promise.all(ids.map((id) => client.release(id)));
    }
    const args = [...FROM_SOURCE, "store", "compact", "--state", stateDir];
    const compact = async (...more: readonly string[]) =>
      await run(Deno.execPath(), [...args, "--json", ...more], { cwd: ROOT });
    const countHistory = async () => {
      const { stdout } = await run(Deno.execPath(), [
        ...[...FROM_SOURCE, "--socket", agent.socketPath, "ip", "history"],
        ...["--limit", "1000", "--json"],
      ], { cwd: ROOT });
      return JSON.parse(stdout).records.length as number;
    };

    await t.step("it is refused while the agent runs", async () => {
      const { code, stderr } = await compact();
      assert.equal(code, 1);
      assert.match(stderr, /in use; stop the agent/);
    });
    await agent.kill("SIGTERM");
    await t.step("it is killed at any moment, and all is there", async () => {
      for (const ms of KILLS) {
        const child = new Deno.Command(Deno.execPath(), {
          ...{ args, cwd: ROOT, stdout: "null", stderr: "null" },
        }).spawn();
        await delay(ms);
        try {
          child.kill("SIGKILL");
        } catch {
          // It was done before.
        }
        await child.status;
      }
      await agent.start();
      assert.deepEqual(await client.allocate("held"), held);
      assert.equal(await countHistory(), 1000);
      await agent.kill("SIGTERM");
    });
    await t.step(
      "with all history it is as large, without it small",
      async () => {
        const whole = JSON.parse((await compact()).stdout);
        const small = JSON.parse(
          (await compact("--keep-history", "0s")).stdout,
        );
        assert.ok(small.removed >= RELEASED, JSON.stringify(small));
        assert.ok(
          small.bytesAfter < whole.bytesAfter / 1.5,
          JSON.stringify(small),
        );
        assert.deepEqual(
          [...Deno.readDirSync(stateDir)].map(({ name }) => name)
            .filter((name) => name.includes("compacting")),
          [],
        );
        await agent.start();
        assert.deepEqual(await client.allocate("held"), held);
        assert.equal(await countHistory(), 1);
      },
    );
  }));
