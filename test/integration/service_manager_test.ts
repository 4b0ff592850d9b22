import assert from "node:assert/strict";
import {
  type Notification,
  NotifyReceiver,
} from "../support/notify_receiver.ts";
import { spawnAgent } from "../support/spawn_agent.ts";
import { withTempDir } from "../support/temp_dir.ts";

function told(received: readonly Notification[], line: string): Notification[] {
  return received.filter(({ lines }) => lines.includes(line));
}

Deno.test("an agent tells systemd when it serves, that it is alive, and that it stops", async () => {
  await withTempDir(async (dir) => {
    const socketPath = `${dir}/agent.sock`;
    const name = `${dir}/notify`;
    await using systemd = await NotifyReceiver.start(name, socketPath);
    await using agent = await spawnAgent({
      socketPath,
      env: { NOTIFY_SOCKET: name, WATCHDOG_USEC: "200000" },
    });
    const { pid } = agent;
    await systemd.has((received) => told(received, "WATCHDOG=1").length >= 5);
    assert.equal(await agent.stop(), 0);
    await systemd.has((received) => told(received, "STOPPING=1").length > 0);
    const [first] = systemd.received;
    // Nothing goes before it, and a client that waits for it is served.
    assert.deepEqual(first, {
      lines: ["READY=1", "STATUS=Node node1: no subnet; registry hosted"],
      pid,
      serves: true,
    });
    assert.deepEqual(
      new Set(systemd.received.map(({ pid }) => pid)),
      new Set([pid]),
    );
    assert.equal(told(systemd.received, "READY=1").length, 1);
    assert.equal(told(systemd.received, "STOPPING=1").length, 1);
    assert.equal(agent.stderr.match(/service manager/g), null);
  });
});

Deno.test("an agent that systemd's socket is gone for serves all the same, and says so once", async () => {
  await using agent = await spawnAgent({
    env: { NOTIFY_SOCKET: "/nobody/is/there", WATCHDOG_USEC: "20000" },
  });
  assert.equal(await agent.stop(), 0);
  const lines = agent.stderr.split("\n")
    .filter((line) => line.includes("Cannot tell the service manager"));
  assert.equal(lines.length, 1);
});
