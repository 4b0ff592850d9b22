import assert from "node:assert/strict";
import { findUnit, formatNews, SdNotify } from "../../src/system/sd_notify.ts";
import type { ServiceNews } from "../../src/system/service_manager.ts";
import { NotifyReceiver } from "../support/notify_receiver.ts";
import { withTempDir } from "../support/temp_dir.ts";

Deno.test("formatNews() gives a variable a line", async (t) => {
  const rows: readonly [name: string, ServiceNews, text: string][] = [
    ["ready", { state: "ready" }, "READY=1"],
    ["stopping", { state: "stopping" }, "STOPPING=1"],
    ["alive", { isAlive: true }, "WATCHDOG=1"],
    ["not alive", { isAlive: false }, ""],
    ["status", { status: "a b" }, "STATUS=a b"],
    ["a status of lines", { status: "a\nREADY=1" }, "STATUS=a READY=1"],
    [
      "all",
      { state: "ready", status: "up", isAlive: true },
      "READY=1\nSTATUS=up\nWATCHDOG=1",
    ],
  ];
  for (const [name, news, text] of rows) {
    await t.step(name, () => assert.equal(formatNews(news), text));
  }
});

Deno.test("SdNotify reads how long the watchdog waits", async (t) => {
  const NOTIFY_SOCKET = "/run/n";
  const rows: readonly [
    name: string,
    env: Readonly<Record<string, string>>,
    ms: number | undefined,
  ][] = [
    ["nobody listens", { WATCHDOG_USEC: "30000000" }, undefined],
    ["there is none", { NOTIFY_SOCKET }, undefined],
    ["30 s", { NOTIFY_SOCKET, WATCHDOG_USEC: "30000000" }, 30_000],
    [
      "for this process",
      { NOTIFY_SOCKET, WATCHDOG_USEC: "2500", WATCHDOG_PID: "7" },
      2.5,
    ],
    [
      "for another process",
      { NOTIFY_SOCKET, WATCHDOG_USEC: "2500", WATCHDOG_PID: "8" },
      undefined,
    ],
    ["no number", { NOTIFY_SOCKET, WATCHDOG_USEC: "x" }, undefined],
    ["zero", { NOTIFY_SOCKET, WATCHDOG_USEC: "0" }, undefined],
  ];
  for (const [name, env, ms] of rows) {
    await t.step(name, () => {
      assert.equal(new SdNotify({ env, pid: 7 }).watchdogMs, ms);
    });
  }
});

Deno.test("SdNotify.notify() reaches a path and an abstract name, from this process", async (t) => {
  await withTempDir(async (dir) => {
    const names = [`${dir}/notify`, `@stellar-net-test-${crypto.randomUUID()}`];
    for (const name of names) {
      await t.step(name.slice(0, 1), async () => {
        await using receiver = await NotifyReceiver.start(name, `${dir}/none`);
        const manager = new SdNotify({
          env: { NOTIFY_SOCKET: name },
          pid: Deno.pid,
        });
        await manager.notify({ state: "ready", status: "up" });
        await receiver.has(({ length }) => length === 1);
        assert.deepEqual(receiver.received, [
          { lines: ["READY=1", "STATUS=up"], pid: Deno.pid, serves: false },
        ]);
      });
    }
  });
});

Deno.test("SdNotify.notify() fails for nobody: no socket, no address, nobody there", async (t) => {
  for (
    const name of [undefined, "", "vsock:2:1", "/nobody/is/there", "@nobody"]
  ) {
    await t.step(String(name), async () => {
      const manager = new SdNotify({ env: { NOTIFY_SOCKET: name }, pid: 1 });
      await manager.notify({ state: "ready" });
      await manager.notify({ state: "stopping" });
    });
  }
});

Deno.test("findUnit() finds the unit of systemd that a process belongs to", async (t) => {
  const env = { INVOCATION_ID: "0123" };
  const rows: readonly [cgroup: string, unit: string | undefined][] = [
    ["0::/system.slice/stellar-net.service\n", "stellar-net.service"],
    [
      "12:pids:/a.service\n1:name=systemd:/system.slice/net@b.service\n",
      "net@b.service",
    ],
    ["0::/system.slice/a.service/child\n", "a.service"],
    ["0::/user.slice/session-1.scope\n", undefined],
    ["", undefined],
  ];
  for (const [cgroup, unit] of rows) {
    await t.step(cgroup, () => assert.equal(findUnit(env, cgroup), unit));
  }
  await t.step(
    "not started by systemd",
    () => assert.equal(findUnit({}, rows[0]![0]), undefined),
  );
});
