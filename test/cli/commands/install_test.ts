import assert from "node:assert/strict";
import {
  createFakeInstaller,
  FAKE_PROGRAM,
  type FakeInstaller,
} from "../../fake/fake_installer.ts";
import { type CliRun, type FakeIoOptions, runFake } from "../fake_io.ts";

const ENV = "/etc/stellar-net/agent.env";
const UNIT = "/etc/systemd/system/stellar-net.service";
const WANTED =
  "/etc/systemd/system/multi-user.target.wants/stellar-net.service";
const PROGRAM = "/usr/local/bin/stellar-net";
const CONFLIST = "/etc/cni/net.d/10-stellar.conflist";
const MANIFEST = "/etc/stellar-net/installed.json";
const PLUGINS = ["/usr/lib/cni/stellar-net", "/usr/lib/cni/stellar-cni-ipam"];

/** An agent of a cluster of both families. */
const registry = {
  listNetworks: () => ({
    networks: [{ cidr: "172.16.0.0/12" }, { cidr: "fd00::/48" }],
  }),
};

function run(
  line: string,
  installer: FakeInstaller,
  options: FakeIoOptions = {},
): Promise<CliRun> {
  return runFake(line.split(" "), { installer, ...options });
}

function contentOf(installer: FakeInstaller, path: string): string {
  const node = installer.files.nodes.get(path);
  assert.ok(node?.kind === "file", path);
  return node.text;
}

/** The paths that changes were made at since the last time. */
function changed({ files }: FakeInstaller): string[] {
  return files.done.splice(0).map((line) => line.split(" ")[1]!);
}

Deno.test("install installs and starts everything, and does nothing the second time", async (t) => {
  const installer = createFakeInstaller({ hasSystemd: true });
  await t.step("first", async () => {
    const { code, stderr, stdout, targets } = await run(
      "install --network 10.0.0.0/8 --bridge stellar0",
      installer,
      { registry },
    );
    assert.deepEqual([code, stderr], [0, ""]);
    assert.deepEqual(targets, [
      { socketPath: "/run/stellar-net/agent.sock", timeoutMs: 5_000 },
    ]);
    assert.match(stdout, /^Copy \/root\/stellar-net to \/usr\/local\/bin\/s/);
    assert.equal(contentOf(installer, PROGRAM), "v1");
    assert.match(
      contentOf(installer, ENV),
      /\nSTELLAR_NET_NETWORK=10\.0\.0\.0\/8\nSTELLAR_NET_BRIDGE=stellar0\n$/,
    );
    assert.deepEqual(installer.files.nodes.get(WANTED), {
      kind: "link",
      target: UNIT,
    });
    for (const path of PLUGINS) {
      const link = { kind: "link", target: PROGRAM };
      assert.deepEqual(installer.files.nodes.get(path), link);
    }
    const [{ ipam }] = JSON.parse(contentOf(installer, CONFLIST)).plugins;
    assert.deepEqual(ipam.routes, [{ dst: "0.0.0.0/0" }, { dst: "::/0" }]);
    assert.deepEqual(installer.commands, [
      "daemon-reload",
      "restart stellar-net.service",
    ]);
    assert.deepEqual(
      changed(installer).sort(),
      [
        ...[PROGRAM, ENV, UNIT, WANTED, CONFLIST, MANIFEST, ...PLUGINS],
      ].sort(),
    );
  });
  await t.step("second", async () => {
    const again = await run("install", installer, { registry });
    assert.equal(again.stdout, "Everything is in place\n");
    assert.deepEqual(changed(installer), []);
    assert.equal(installer.commands.length, 2);
  });
  await t.step("a new program alone is copied, and started", async () => {
    installer.files.write(FAKE_PROGRAM, "v2");
    await run("install", installer, { registry });
    assert.deepEqual(changed(installer), [PROGRAM, MANIFEST]);
    assert.deepEqual(installer.commands.splice(2), [
      "restart stellar-net.service",
    ]);
  });
  await t.step("a flag changes its line, and edits stay", async () => {
    const text = contentOf(installer, ENV);
    installer.files.write(ENV, `${text}# mine\nSTELLAR_NET_COOL_DOWN=5s\n`);
    await run("install --bridge br1", installer, { registry });
    assert.match(
      contentOf(installer, ENV),
      /\nSTELLAR_NET_BRIDGE=br1\n# mine\nSTELLAR_NET_COOL_DOWN=5s\n$/,
    );
  });
  await t.step("a unit that was edited is kept, unless forced", async () => {
    changed(installer);
    installer.files.write(UNIT, "mine");
    const kept = await run("install", installer, { registry });
    assert.equal(
      kept.stderr,
      `Kept "${UNIT}": it was changed since it was installed; use --force to replace or remove it\n`,
    );
    assert.deepEqual([kept.code, changed(installer)], [0, []]);
    await run("install --force", installer, { registry });
    assert.deepEqual(changed(installer), [UNIT]);
  });
  await t.step("without CNI its files go, and stay away", async () => {
    await run("install --skip-cni", installer, { registry });
    const gone = [...PLUGINS, CONFLIST];
    assert.deepEqual(changed(installer).sort(), [...gone, MANIFEST].sort());
    await run("install", installer, { registry });
    assert.deepEqual(changed(installer), []);
    await run("install --plugin-dir /usr/lib/cni", installer, { registry });
    assert.deepEqual(changed(installer).sort(), [...gone, MANIFEST].sort());
  });
});

Deno.test("install --dry-run says what would be done, and does nothing", async () => {
  const installer = createFakeInstaller({ hasSystemd: true });
  const before = new Map(installer.files.nodes);
  const dry = await run("install --dry-run", installer, { registry });
  assert.equal(dry.stderr, "Nothing was changed: --dry-run\n");
  assert.deepEqual(installer.files.nodes, before);
  assert.deepEqual(installer.commands, []);
  const real = await run("install", installer, { registry });
  assert.equal(dry.stdout, real.stdout);
  const { operations, commands, dryRun } = JSON.parse(
    (await run("install --json --dry-run", installer)).stdout,
  );
  assert.deepEqual([dryRun, commands], [true, []]);
  // The agent does not answer any more: one family is a guess.
  assert.deepEqual(operations, [{ kind: "text", path: CONFLIST }]);
});

Deno.test("install from the sources is refused, except to see what it would do", async () => {
  const installer = createFakeInstaller({ program: null });
  const refused = await run("install", installer);
  assert.equal(refused.code, 1);
  assert.match(refused.stderr, /run "deno task build"/);
  assert.deepEqual(installer.files.done, []);
  const { code, stdout } = await run("install --dry-run", installer);
  assert.equal(code, 0);
  assert.match(stdout, /^Copy dist\/stellar-net to /);
});

Deno.test("install without systemd says how the agent is started", async () => {
  const installer = createFakeInstaller();
  const { stderr } = await run("install", installer, { registry });
  assert.match(
    stderr,
    /does not run systemd[^\n]+"set -a; \. \/etc\/stellar-n/,
  );
  assert.equal(installer.files.nodes.has(UNIT), false);
  assert.deepEqual(installer.commands, []);
});

Deno.test("install starts a service that has failed too often", async () => {
  const installer = createFakeInstaller({ hasSystemd: true, state: "failed" });
  await run("install", installer, { registry });
  assert.deepEqual(installer.commands, [
    "daemon-reload",
    "reset-failed stellar-net.service",
    "restart stellar-net.service",
  ]);
});

Deno.test("install --root leaves this host alone", async () => {
  const installer = createFakeInstaller({ hasSystemd: true });
  const { code, stderr, targets } = await run(
    "install --root /mnt/image/ --network fd00::/48",
    installer,
  );
  assert.deepEqual([code, stderr], [0, ""]);
  const [{ ipam }] = JSON.parse(contentOf(installer, CONFLIST)).plugins;
  assert.deepEqual(ipam.routes, [{ dst: "::/0" }]);
  assert.deepEqual([installer.commands, targets], [[], []]);
  assert.deepEqual(installer.roots, ["/mnt/image"]);
  assert.ok(installer.files.nodes.has(WANTED));
});

Deno.test("install that joins says where it does not know the cluster's families", async () => {
  const { stderr } = await run(
    "install --root /mnt --join https://h:9000",
    createFakeInstaller(),
  );
  assert.match(
    stderr,
    /^"\S+conflist" routes IPv4 only: if the cluster has/,
  );
});

Deno.test("install checks the flags as the agent does, with what was installed before", async (t) => {
  const installer = createFakeInstaller();
  await run("install --network 10.0.0.0/8", installer, { registry });
  const before = new Map(installer.files.nodes);
  const rows: readonly [flags: string, said: string][] = [
    ["--join http://h:1", "STELLAR_NET_NETWORK does not go with STELLAR_NET_J"],
    ["--tls-cert /c", "STELLAR_NET_TLS_CERT goes with --tls-key and --tls-ca"],
    ["--cool-down 1", '--cool-down: "1" is not a duration'],
    ["--state .state", '".state" is not an absolute path'],
    ["--socket a.sock", '"a.sock" is not an absolute path'],
  ];
  for (const [flags, said] of rows) {
    await t.step(flags, async () => {
      const { code, stderr } = await run(`install ${flags}`, installer);
      assert.equal(code, 2);
      assert.ok(stderr.includes(said), stderr);
      assert.deepEqual(installer.files.nodes, before);
    });
  }
});

Deno.test("install leaves a plugin of Stellar's own, and takes a copy of ours for a link", async () => {
  const installer = createFakeInstaller();
  installer.files.write(PLUGINS[0]!, "v0");
  installer.files.write(PLUGINS[1]!, "stellar's");
  const kept = await run("install", installer, { registry });
  assert.match(
    kept.stderr,
    /Kept "\S+ipam": it exists, and this program did not install it/,
  );
  assert.equal(contentOf(installer, PLUGINS[1]!), "stellar's");
  const other = createFakeInstaller();
  for (const path of PLUGINS) other.files.write(path, "v0");
  await run("install", other, { registry });
  for (const path of PLUGINS) {
    assert.equal(other.files.nodes.get(path)?.kind, "link");
  }
});

Deno.test("install --socket-group puts the agent of the unit into the group", async () => {
  const installer = createFakeInstaller({ hasSystemd: true });
  const { code } = await run("install --socket-group adm", installer, {
    registry,
  });
  assert.equal(code, 0);
  assert.match(contentOf(installer, UNIT), /^SupplementaryGroups=adm$/m);
  assert.match(contentOf(installer, ENV), /^STELLAR_NET_SOCKET_GROUP=adm$/m);
});
