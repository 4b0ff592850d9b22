import assert from "node:assert/strict";
import { createIpamClient } from "../support/ipam_client.ts";
import { createNamespace } from "../support/namespace.ts";
import { run, type RunResult } from "../support/run.ts";
import { spawnAgent } from "../support/spawn_agent.ts";
import { withTempDir } from "../support/temp_dir.ts";

Deno.test("an agent works on a host whose root is read-only, with a writable folder for its state", (t) =>
  withTempDir(async (dir) => {
    await using namespace = await createNamespace(
      "mount",
      `mount --bind '${dir}' '${dir}'; mount -o remount,bind,ro /`,
    );
    const stellarNet = (
      ...args: readonly string[]
    ): Promise<RunResult> => {
      const [program, ...words] = [...namespace.within, Deno.execPath()];
      return run(program!, [...words, "run", "-A", "main.ts", ...args]);
    };
    await using agent = await spawnAgent({
      within: namespace.within,
      stateDir: `${dir}/state`,
      socketPath: `${dir}/agent.sock`,
    });
    const socket = ["--socket", `${dir}/agent.sock`];
    const must = async (...args: readonly string[]): Promise<string> => {
      const { code, stdout, stderr } = await stellarNet(...args);
      assert.equal(code, 0, stderr);
      return stdout;
    };
    await t.step("the root is read-only there", async () => {
      const [program, ...words] = [...namespace.within, "touch", "/etc/probe"];
      const { stderr } = await run(program!, words);
      assert.match(stderr, /Read-only file system/);
    });
    await t.step("addresses, after a restart too", async () => {
      using client = createIpamClient(agent.port);
      const [address] = await client.allocate("c1");
      await agent.restart();
      using again = createIpamClient(agent.port);
      assert.deepEqual(await again.allocate("c1"), [address]);
      const ready = await fetch(`${agent.url}/readyz`);
      assert.equal(ready.status, 200, await ready.text());
    });
    await t.step("status, backup and support bundle", async () => {
      assert.match(await must("status", ...socket), /has no problem/);
      await must("backup", `${dir}/backup.jsonl`, ...socket);
      await must("support-bundle", `${dir}/bundle.tar.gz`, ...socket);
    });
    // A warning of this machine, such as of its forwarding, is another matter.
    assert.doesNotMatch(agent.stderr, /read-only|EROFS|"level":"ERROR"/i);
  }));
