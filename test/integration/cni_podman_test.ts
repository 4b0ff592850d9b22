import assert from "node:assert/strict";
import { setTimeout as delay } from "node:timers/promises";
import { CniHost } from "../support/cni_host.ts";
import { createIpamClient } from "../support/ipam_client.ts";
import { Podman } from "../support/podman.ts";
import { spawnAgent } from "../support/spawn_agent.ts";
import { withTempDir } from "../support/temp_dir.ts";
import { waitFor } from "../support/wait_for.ts";

const INTERVAL_MS = 1_500;
const GRACE_MS = 500;
/** Enough for checks after the grace period. */
const SETTLED_MS = 3 * INTERVAL_MS;

Deno.test("a container that podman starts again without DEL keeps its address", (t) =>
  withTempDir(async (dir) => {
    const socketPath = `${dir}/agent.sock`;
    await using host = await CniHost.create({ kind: "native", socketPath });
    await using podman = await Podman.create(host, { socketPath });
    await using agent = await spawnAgent({
      ...{ socketPath, within: podman.within },
      args: ["--leak-interval", `${INTERVAL_MS}ms`]
        .concat("--leak-grace", `${GRACE_MS}ms`),
    });
    using client = createIpamClient(agent.port);
    const keeps = async () => {
      const address = await podman.addressOf("web");
      assert.ok(address);
      await delay(SETTLED_MS);
      assert.deepEqual(
        (await client.list()).map(([, addresses]) => addresses),
        [[address]],
      );
      assert.equal(await podman.addressOf("web"), address);
    };
    await podman.runDetached("web");
    await keeps();
    await t.step("when it ended while the agent was down", async () => {
      await agent.kill("SIGKILL");
      await podman.kill("web", ["Pid"]);
      await waitFor(
        "podman to queue a DEL",
        async () => (await podman.queued(socketPath)) === 1,
      );
      await agent.start();
      await podman.must("start", "web");
      await keeps();
    });
    await t.step("after a reboot", async () => {
      await agent.kill("SIGKILL");
      await podman.kill("web", ["ConmonPid", "Pid"]);
      await podman.reboot();
      await agent.start();
      await podman.must("start", "web");
      await keeps();
    });
    await t.step("until it is removed", async () => {
      await podman.must("rm", "--force", "--time", "0", "web");
      assert.deepEqual(await client.list(), []);
    });
  }));
