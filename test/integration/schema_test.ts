import assert from "node:assert/strict";
import { SCHEMA_KEY, SCHEMA_VERSION } from "../../src/state/schema.ts";
import { openDenoKv } from "../../src/store/deno_kv/deno_kv.ts";
import { FROM_SOURCE, runRefused } from "../support/refusal.ts";
import { run } from "../support/run.ts";
import { spawnAgent } from "../support/spawn_agent.ts";
import { fixturePath } from "../support/state_fixture.ts";
import { withTempDir } from "../support/temp_dir.ts";
import { ROOT } from "../generate.ts";

/** Puts a state file that a program of version 1 has left into a folder. */
async function copyState(dir: string): Promise<string> {
  await Deno.mkdir(dir);
  await Deno.copyFile(fixturePath("state_v1/registry.db"), `${dir}/state.db`);
  await Deno.chmod(`${dir}/state.db`, 0o600);
  return dir;
}

async function withStore<T>(
  dir: string,
  use: (store: Awaited<ReturnType<typeof openDenoKv>>) => Promise<T>,
): Promise<T> {
  const store = await openDenoKv({ path: `${dir}/state.db` });
  try {
    return await use(store);
  } finally {
    await store.close();
  }
}

Deno.test("an agent takes over the state file of every earlier version, and keeps the allocations", () =>
  withTempDir(async (dir) => {
    const stateDir = await copyState(`${dir}/state`);
    {
      await using agent = await spawnAgent({ stateDir });
      const args = ["--socket", agent.socketPath, "ip", "list"];
      const { stdout } = await run(Deno.execPath(), [...FROM_SOURCE, ...args], {
        cwd: ROOT,
      });
      assert.match(stdout, /^172\.16\.0\.2 +web-1 /m);
      assert.match(stdout, /^172\.16\.0\.99 +web-5 /m);
      assert.equal(await agent.stop(), 0);
    }
    const entry = await withStore(stateDir, (store) => store.get(SCHEMA_KEY));
    assert.deepEqual(entry?.value, { version: SCHEMA_VERSION });
  }));

Deno.test("an agent refuses the state of a newer program, and leaves it as it is", () =>
  withTempDir(async (dir) => {
    const stateDir = await copyState(`${dir}/state`);
    const newer = SCHEMA_VERSION + 1;
    await withStore(stateDir, (store) =>
      store.commit({
        puts: [{ key: SCHEMA_KEY, value: { version: newer } }],
      }));
    const socket = `${dir}/agent.sock`;
    const { code, message } = await runRefused(
      ["agent", "--state", stateDir, "--socket", socket],
    );
    assert.equal(code, 1);
    assert.equal(
      message,
      `Cannot use the state in kv:${stateDir}/state.db: its schema has version ${newer}, and this program knows versions up to ${SCHEMA_VERSION}; start the newer program again, or restore a backup from before the upgrade into an empty state`,
    );
    const entry = await withStore(stateDir, (store) => store.get(SCHEMA_KEY));
    assert.deepEqual(entry?.value, { version: newer });
  }));
