import assert from "node:assert/strict";
import type { Command } from "../../src/host/command.ts";
import { Systemd } from "../../src/host/systemd.ts";
import { withTempDir } from "../support/temp_dir.ts";

/** A systemctl that ends with a code; `asked` has what it was asked. */
function systemctl(code: number) {
  const asked: string[] = [];
  return {
    asked,
    run: ({ program, args }: Command) => {
      asked.push([program, ...args].join(" "));
      return Promise.resolve({ code, stdout: "", stderr: "Unit is masked.\n" });
    },
  };
}

Deno.test("Systemd asks systemctl", async () => {
  const good = systemctl(0);
  await new Systemd(good).command(["restart", "a.service"]);
  assert.equal(await new Systemd(good).isActive("a.service"), true);
  assert.deepEqual(good.asked, [
    "systemctl restart a.service",
    "systemctl is-active --quiet a.service",
  ]);
  const bad = new Systemd(systemctl(3));
  assert.equal(await bad.isActive("a.service"), false);
  await assert.rejects(bad.command(["restart", "a.service"]), {
    code: "unavailable",
    message:
      'Cannot have systemd restart a.service: "systemctl restart a.service" failed: Unit is masked.; "journalctl -u stellar-net" says more',
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
