import assert from "node:assert/strict";
import { join } from "node:path";
import { settled } from "../lab/cluster.ts";
import { clusterFlags, Lab } from "../lab/lab.ts";
import type { LabHost } from "../lab/lab_host.ts";
import { execArgs } from "../lab/netns.ts";
import { ROOT } from "../generate.ts";
import { Installation } from "../support/installation.ts";
import { run } from "../support/run.ts";
import { isServing } from "../support/spawn_agent.ts";
import { withTempDir } from "../support/temp_dir.ts";
import { waitFor } from "../support/wait_for.ts";

/** Above which exposure, as systemd reckons it, something has been forgotten. */
const MAX_EXPOSURE = 3.0;

/** A host as the unit leaves it to the service: files can be read alone, but for a folder. */
const READ_ONLY =
  'mount --bind "$0" "$0" && mount -o remount,bind,ro / && exec "$@"';

Deno.test("the unit is valid, and systemd counts it as protected", async () => {
  await withTempDir(async (dir) => {
    const image = new Installation(dir);
    await image.install({
      version: "v1",
      flags: ["--state", "/srv/my state", "--listen", "127.0.0.1:443"],
    });
    const path = join(dir, "stellar-net.service");
    await Deno.writeTextFile(path, await image.unit());
    const verified = await run("systemd-analyze", ["--man=no", "verify", path]);
    assert.deepEqual([verified.code, verified.stdout, verified.stderr], [
      0,
      "",
      "",
    ]);
    const args = ["--no-pager", "security", "--offline=true", path];
    const { stdout } = await run("systemd-analyze", args);
    const exposure = /exposure level for \S+: ([\d.]+)/.exec(stdout)?.[1];
    console.log(`systemd-analyze security: ${exposure}`);
    assert.ok(Number(exposure) <= MAX_EXPOSURE, stdout);
  });
});

Deno.test("the sources say what installing would do, and refuse to do it", async () => {
  await withTempDir(async (root) => {
    const args = ["run", "-A", "main.ts", "install", "--root", root];
    const options = { cwd: ROOT };
    const refused = await run(Deno.execPath(), args, options);
    assert.equal(refused.code, 1);
    assert.match(
      refused.stderr,
      /it runs from its sources; run "deno task build"/,
    );
    const told = await run(Deno.execPath(), [...args, "--dry-run"], options);
    assert.deepEqual([told.code, told.stderr], [
      ...[0, "Nothing was changed: --dry-run\n"],
    ]);
    assert.match(told.stdout, /\nWrite \/etc\/systemd\/system\/stellar-net\.s/);
    assert.deepEqual([...Deno.readDirSync(root)], []);
  });
});

/** A host of a lab that runs what is installed on it, as its unit says. */
class InstalledHost implements AsyncDisposable {
  readonly host: LabHost;
  readonly image: Installation;
  #child: Deno.ChildProcess | undefined;

  constructor(host: LabHost) {
    this.host = host;
    this.image = new Installation(host.dir);
  }

  /** Installs a version of the program. Flags are given the first time alone. */
  async install(version: string, flags: readonly string[] = []): Promise<void> {
    await this.image.install({ version, flags });
  }

  flags(): string[] {
    const { agent, name } = this.host;
    return ["--node", name, "--state", agent.stateDir].concat(
      ...["--socket", agent.socketPath, "--bridge", "stellar0"],
      ...["--masquerade", ...clusterFlags(this.host)],
    );
  }

  /** Starts the agent with the unit's rights, and waits until it serves. */
  async start(): Promise<void> {
    const { line, env } = await this.image.command();
    const granted = (await this.image.setting("CapabilityBoundingSet"))
      .split(" ").map((name) => `+${name.replace("CAP_", "").toLowerCase()}`);
    const { host } = this;
    const log = `exec "$@" >>'${host.agent.logPath}' 2>&1`;
    this.#child = new Deno.Command("ip", {
      args: execArgs(host.netns, [
        ...["sh", "-c", READ_ONLY, host.dir, "sh", "-c", log, "sh"],
        ...["setpriv", "--no-new-privs", "--inh-caps=-all"],
        ...[`--bounding-set=-all,${granted}`, ...line],
      ]),
      env,
      stdin: "null",
    }).spawn();
    let hasEnded = false;
    this.#child.status.then(() => hasEnded = true);
    await waitFor(
      "an agent that serves, or ends",
      () => hasEnded || isServing(host.agent.socketPath),
    );
    assert.equal(hasEnded, false, await host.agent.log());
  }

  async stop(): Promise<void> {
    this.#child?.kill("SIGTERM");
    await this.#child?.status;
    this.#child = undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}

Deno.test("an installed program is upgraded without a packet lost, with no rights but its unit's", async (t) => {
  await using lab = await Lab.create({ hosts: 2, startAgents: false });
  await using first = new InstalledHost(lab.host(1));
  await using second = new InstalledHost(lab.host(2));
  const both = [first, second];
  const members = new Map<LabHost, readonly string[]>();
  for (const installed of both) {
    await installed.install("v1", installed.flags());
    await installed.start();
    members.set(installed.host, await installed.host.joined());
  }
  await settled(members);
  const from = await first.host.addContainer("a");
  const to = await second.host.addContainer("b");

  await t.step("with these rights everything works", async () => {
    const { checks } = await first.host.ask<Checks>("doctor host2");
    assert.deepEqual(checks.filter(({ status }) => status !== "ok"), []);
    assert.ok(
      checks.some(({ name }) => name === "mtu"),
      JSON.stringify(checks),
    );
    const table = await first.host.must("nft", [
      "list",
      "table",
      "inet",
      "stellar-net",
    ]);
    assert.match(table, /masquerade/);
  });
  await t.step(
    "a new version: no packet is lost, and nothing given back",
    async () => {
      const held = await Promise.all(
        both.map(({ host }) => host.ask("ip list")),
      );
      await using pinger = from.startPing(to.address);
      await lab.waitFor("the first answers", () => pinger.received > 50);
      for (const installed of both) {
        await installed.install("v2");
        const program = await Deno.readTextFile(
          installed.image.at("/usr/local/bin/stellar-net"),
        );
        assert.match(program, /\n# v2\n$/);
        await installed.stop();
        await installed.start();
        assert.deepEqual(
          await installed.host.joined(),
          members.get(installed.host),
        );
      }
      const sofar = pinger.received;
      await lab.waitFor("more answers", () => pinger.received > sofar + 100);
      const { lost, received } = await pinger.stop();
      assert.equal(lost, 0);
      assert.ok(received > 150);
      assert.deepEqual(
        await Promise.all(both.map(({ host }) => host.ask("ip list"))),
        held,
      );
      await settled(members);
    },
  );
  await t.step(
    "what it has left in the kernel is taken down, once asked",
    async () => {
      const { host } = first;
      await first.stop();
      const takeDown = ["uninstall", "--take-down"];
      const kept = await host.exec("stellar-net", takeDown);
      assert.equal(kept.code, 0, kept.stderr);
      assert.match(
        kept.stderr,
        /the bridge "stellar0" has veth\S+: remove the co/,
      );
      assert.deepEqual(await host.routes(), []);
      assert.equal(await host.must("nft", ["list", "tables"]), "");
      await second.stop();
      const dry = await second.host.must("stellar-net", [
        ...takeDown,
        "--dry-run",
      ]);
      assert.notDeepEqual(await second.host.routes(), []);
      assert.match(dry, /^Network: remove 172\.16\.0\.0\/22 [^\n]*\n/);
    },
  );
  await t.step("uninstalling leaves an empty image", async () => {
    await first.image.run(["uninstall", "--purge"]);
    assert.deepEqual([...Deno.readDirSync(first.image.root)], []);
  });
});

/** What `doctor` tells, as far as it is used. */
interface Checks {
  readonly checks: readonly {
    readonly name: string;
    readonly status: string;
  }[];
}
