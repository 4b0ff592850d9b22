import assert from "node:assert/strict";
import type { Command } from "../../src/system/command.ts";
import { Systemd } from "../../src/install/systemd.ts";
import { withTempDir } from "../support/temp_dir.ts";

/** A systemctl that ends with a code and says that a unit is active; `asked` has what it was asked. */
function systemctl(code: number) {
  const asked: string[] = [];
  return {
    asked,
    run: ({ program, args }: Command) => {
      asked.push([program, ...args].join(" "));
      const stderr = "Unit is masked.\n";
      return Promise.resolve({ code, stdout: "active\n", stderr });
    },
  };
}

Deno.test("Systemd asks systemctl", async () => {
  const good = systemctl(0);
  await new Systemd(good).command(["restart", "a.service"]);
  assert.equal(await new Systemd(good).stateOf("a.service"), "active");
  assert.deepEqual(good.asked, [
    "systemctl restart a.service",
    "systemctl show --property=ActiveState --value a.service",
  ]);
  const bad = new Systemd(systemctl(3));
  await assert.rejects(bad.stateOf("a.service"), { code: "unavailable" });
  await assert.rejects(bad.command(["restart", "a.service"]), {
    code: "unavailable",
    message:
      'Cannot run "systemctl restart a.service": "systemctl restart a.service" failed: Unit is masked.; see "journalctl -u stellar-net"',
  });
});

Deno.test("Systemd is there where it is the host's init", async () => {
  await withTempDir(async (dir) => {
    const at = (bootedPath: string) =>
      new Systemd(systemctl(0), { bootedPath }).isThere();
    assert.equal(await at(dir), true);
    assert.equal(await at(`${dir}/none`), false);
  });
});
