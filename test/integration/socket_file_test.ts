import assert from "node:assert/strict";
import { ROOT } from "../generate.ts";
import { FROM_SOURCE } from "../support/refusal.ts";
import { run } from "../support/run.ts";
import { withTempDir } from "../support/temp_dir.ts";
import { spawnAgent } from "../support/spawn_agent.ts";
import { waitFor } from "../support/wait_for.ts";

Deno.test("an agent makes its socket again, and the link to its queue, when they are removed", async () => {
  await using agent = await spawnAgent({ args: ["--store", "kv::memory:"] });
  const folder = agent.socketPath.replace(/\/[^/]*$/, "");
  const links = (await Array.fromAsync(Deno.readDir(folder)))
    .filter(({ isSymlink }) => isSymlink);
  assert.equal(links.length, 1);
  const link = `${folder}/${links[0]!.name}`;
  await Deno.remove(agent.socketPath);
  await Deno.remove(link);
  await waitFor("the socket and the link", async () => {
    const found = await Promise.all(
      [agent.socketPath, link].map((path) =>
        Deno.lstat(path).catch(() => undefined)
      ),
    );
    return found[0]?.isSocket === true && found[1]?.isSymlink === true;
  });
});

Deno.test("restore writes to the folder of the stopped agent at --socket", () =>
  withTempDir(async (dir) => {
    await using agent = await spawnAgent({
      stateDir: `${dir}/state`,
      socketPath: `${dir}/run/agent.sock`,
    });
    const call = async (line: string) => {
      const args = ["--socket", agent.socketPath, ...line.split(" ")];
      return await run(Deno.execPath(), [...FROM_SOURCE, ...args], {
        cwd: ROOT,
      });
    };
    assert.equal((await call(`backup ${dir}/b`)).code, 0);
    await agent.stop();
    await Deno.remove(`${dir}/state/state.db`);
    const restored = await call(`restore ${dir}/b --json`);
    assert.equal(restored.code, 0, restored.stderr);
    assert.equal(JSON.parse(restored.stdout).stateDir, `${dir}/state`);
    assert.ok((await Deno.stat(`${dir}/state/state.db`)).isFile);
  }));
