import assert from "node:assert/strict";
import {
  createFakeInstaller,
  type FakeInstaller,
} from "../../fake/fake_installer.ts";
import { runFake } from "../fake_io.ts";

const ENV = "/etc/stellar-net/agent.env";
const UNIT = "/etc/systemd/system/stellar-net.service";
const STATE = "/var/lib/stellar-net";

const registry = {
  listNetworks: () => ({ networks: [{ cidr: "10.0.0.0/8" }] }),
};

/** A host that the program was installed on, and has run. */
async function installed(): Promise<FakeInstaller> {
  const installer = createFakeInstaller({ hasSystemd: true });
  const args = ["install", "--route-protocol", "84"];
  assert.equal((await runFake(args, { installer, registry })).code, 0);
  await installer.files.apply({ kind: "folder", path: STATE, mode: 0o700 });
  installer.files.write(`${STATE}/state.db`, "state");
  installer.files.done.splice(0);
  installer.commands.splice(0);
  return installer;
}

/** What is on a host, this program's file left out. */
function paths({ files }: FakeInstaller): string[] {
  return [...files.nodes.keys()]
    .filter((path) => path !== "/" && !path.startsWith("/root/")).sort();
}

function run(line: string, installer: FakeInstaller) {
  return runFake(line.split(" "), { installer });
}

Deno.test("uninstall removes the installed files, keeps the state, and does nothing the second time", async () => {
  const installer = await installed();
  const { code, stderr } = await run("uninstall", installer);
  assert.equal(code, 0);
  assert.equal(stderr, `The state stays in "${STATE}": --purge removes it\n`);
  assert.deepEqual(paths(installer), [
    ...["/var", "/var/lib", STATE, `${STATE}/state.db`],
  ]);
  assert.deepEqual(installer.commands, [
    "stop stellar-net.service",
    "daemon-reload",
  ]);
  const again = await run("uninstall", installer);
  assert.deepEqual([again.stdout, again.stderr], [
    ...["There is nothing to remove\n", ""],
  ]);
  await run("uninstall --purge", installer);
  assert.deepEqual(paths(installer), ["/var", "/var/lib"]);
  assert.equal(installer.commands.length, 2);
});

Deno.test("uninstall keeps changed files, also the next time, and removes them when forced", async () => {
  const installer = await installed();
  installer.files.write(UNIT, "mine");
  const { stderr, code } = await run("uninstall", installer);
  assert.equal(code, 0);
  assert.match(
    stderr,
    /Kept "\S+service": it was changed since it was install/,
  );
  const rest = paths(installer);
  assert.ok(
    rest.includes(UNIT) && rest.includes("/etc/stellar-net/installed.json"),
  );
  assert.equal(rest.includes(ENV), false);
  const again = await run("uninstall", installer);
  assert.equal(again.stdout, "There is nothing to remove\n");
  assert.equal(again.stderr, stderr);
  assert.deepEqual(paths(installer), rest);
  await run("uninstall --force --purge", installer);
  assert.deepEqual(paths(installer), ["/var", "/var/lib"]);
});

Deno.test("uninstall removes the unpacked program, wherever it is", async () => {
  const installer = await installed();
  for (const dir of ["/var/cache/stellar-net", `${STATE}/unpacked`]) {
    await installer.files.apply({ kind: "folder", path: dir, mode: 0o700 });
    installer.files.write(`${dir}/0123/app/main.js`, "program");
  }
  await run("uninstall", installer);
  assert.deepEqual(paths(installer).filter((path) => /stellar/.test(path)), [
    ...[STATE, `${STATE}/state.db`],
  ]);
});

Deno.test("uninstall --purge removes an edited configuration, and no folder that is no state", async () => {
  const installer = await installed();
  installer.files.write(ENV, "STELLAR_NET_STATE=/srv\n");
  await installer.files.apply({ kind: "folder", path: "/srv", mode: 0o700 });
  installer.files.write("/srv/www", "mine");
  await run("uninstall --purge", installer);
  assert.equal(installer.files.nodes.has(ENV), false);
  assert.ok(installer.files.nodes.has("/srv/www"));
  assert.ok(installer.files.nodes.has(`${STATE}/state.db`));
});

Deno.test("uninstall --take-down removes the configured network once the agent is stopped", async () => {
  const installer = await installed();
  const { stdout, stderr } = await run("uninstall --take-down", installer);
  assert.deepEqual(installer.commands, [
    ...["stop stellar-net.service", "take down 84 stellar0", "daemon-reload"],
  ]);
  assert.match(stdout, /^Network: remove a route\n/);
  assert.match(stderr, /^Not taken down: a bridge\n/);
  const image = await run("uninstall --take-down --root /mnt", installer);
  assert.equal(image.code, 2);
  assert.match(image.stderr, /--take-down does not go with --root/);
});

Deno.test("uninstall --dry-run says what would be done, and does nothing", async () => {
  const installer = await installed();
  const before = paths(installer);
  const dry = await run("uninstall --purge --take-down --dry-run", installer);
  assert.deepEqual(installer.commands, ["take down 84 stellar0 dry"]);
  assert.deepEqual([paths(installer), installer.files.done], [before, []]);
  const real = await run("uninstall --purge --take-down", installer);
  assert.equal(dry.stdout, real.stdout);
});
