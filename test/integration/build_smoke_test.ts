import assert from "node:assert/strict";
import { PAGE } from "../../src/gen/page.ts";
import { ROOT } from "../generate.ts";
import { builtProgram } from "../support/built_program.ts";
import { callPlugin } from "../support/cni_plugin.ts";
import { freePort } from "../support/free_port.ts";
import { ProgramAgent } from "../support/program_agent.ts";
import { run } from "../support/run.ts";
import { RunningProcess } from "../support/running_process.ts";
import { withTempDir } from "../support/temp_dir.ts";

// Whichever kind the build has made: both have to pass this.

/** What a container runtime hands a plugin, and nothing else: no HOME. */
const PLUGIN_ENV = {
  PATH: "/usr/sbin:/usr/bin:/sbin:/bin",
  CNI_CONTAINERID: "c1",
  CNI_IFNAME: "eth0",
  CNI_NETNS: "/run/netns/c1",
  CNI_PATH: "/usr/lib/cni",
};

/** An empty message of gRPC: not compressed, of no bytes. */
const EMPTY_MESSAGE = "printf '\\0\\0\\0\\0\\0'";

Deno.test("the executable names itself, and refuses unknown commands", async (t) => {
  const { path, info } = await builtProgram();
  const { version } = JSON.parse(await Deno.readTextFile(`${ROOT}/deno.json`));
  await t.step("version", async () => {
    const { stdout } = await run(path, ["version", "--json"]);
    const said = JSON.parse(stdout);
    assert.equal(said.version, version);
    assert.equal(said.runtime.deno, Deno.version.deno);
    assert.notEqual(info.kind, "sources");
    assert.equal(info.target, Deno.build.target);
    // There may be another on top by now.
    const { code, stderr } = await run("git", [
      ...["-c", `safe.directory=${ROOT}`, "-C", ROOT],
      ...["merge-base", "--is-ancestor", info.commit!, "HEAD"],
    ]);
    assert.equal(code, 0, stderr);
  });
  const rows: readonly [args: string, code: number, says: RegExp][] = [
    ["--version", 0, /^stellar-net \d/],
    ["--help", 0, /Usage: stellar-net/],
    ["agent --help", 0, /--join/],
    ["agent --no-such-flag", 2, /unknown option "--no-such-flag"/],
    ["bogus", 2, /unknown command "bogus"/],
    ["--socket /nonexistent/s status", 1, /there is no such socket/],
  ];
  for (const [args, code, says] of rows) {
    await t.step(args, async () => {
      const result = await run(path, args.split(" "));
      assert.equal(result.code, code);
      assert.match(result.stdout + result.stderr, says);
      assert.equal(result.stdout === "", code !== 0);
    });
  }
});

Deno.test("the executable has a checksum beside it that sha256sum agrees with", async () => {
  const { path } = await builtProgram();
  const [dir, name] = [path.replace(/\/[^/]+$/, ""), path.replace(/.*\//, "")];
  const { code, stdout } = await run("sha256sum", ["-c", `${name}.sha256`], {
    cwd: dir,
  });
  assert.deepEqual([code, stdout], [0, `${name}: OK\n`]);
});

Deno.test("the executable serves, answers runtimes, installs itself and stops", async (t) => {
  const { path } = await builtProgram();
  await withTempDir(async (dir) => {
    const env = { STELLAR_NET_SOCKET: `${dir}/agent.sock` };
    const port = freePort();
    await using agent = await ProgramAgent.start({
      ...{ program: path, dir, port, env },
    });
    await t.step("the agent is the process that was started", async () => {
      const comm = await Deno.readTextFile(`/proc/${agent.pid}/comm`);
      assert.equal(comm, "stellar-net\n");
      const { stdout } = await run(path, ["status", "--json"], { env });
      assert.equal(JSON.parse(stdout).node, "node1");
    });
    const url = `http://127.0.0.1:${port}/stellar.services.network.v1.Network`;
    await t.step("Connect, with curl", async () => {
      const { stdout } = await run("curl", [
        ...["--silent", "--json", '{"node":"node1","id":"web1"}'],
        `${url}/AllocateIP`,
      ]);
      assert.equal(JSON.parse(stdout).ip, "172.16.0.2");
    });
    await t.step("gRPC, with curl", async () => {
      const line = `${EMPTY_MESSAGE} | curl --silent --http2-prior-knowledge ` +
        "--header 'content-type: application/grpc' --header 'te: trailers' " +
        `--data-binary @- --dump-header /dev/stderr ${url}/Info`;
      const { stdout, stderr } = await run("sh", ["-c", line]);
      assert.match(stderr, /^grpc-status: 0\r$/m);
      assert.match(stdout, /stellar\.services\.network\.v1/);
    });
    const config = {
      cniVersion: "1.0.0",
      name: "net",
      ipam: { type: "stellar-net", socket: agent.socketPath },
    };
    const call = (plugin: string, command: string) =>
      callPlugin(plugin, {
        env: {
          ...PLUGIN_ENV,
          CNI_COMMAND: command,
          STELLAR_NET_UNPACK: Deno.env.get("STELLAR_NET_UNPACK")!,
        },
        config,
      });
    await t.step("the CNI plugin", async () => {
      const added = await call(path, "ADD");
      assert.deepEqual([added.code, added.stderr], [0, ""]);
      assert.equal(JSON.parse(added.stdout).ips[0].address, "172.16.0.3/22");
      assert.deepEqual(await call(path, "DEL"), {
        ...{ code: 0, stdout: "", stderr: "" },
      });
    });
    await t.step("cni install installs the native plugin", async () => {
      for (const [name, flags] of [["copied", []], ["linked", ["--link"]]]) {
        const plugins = `${dir}/${name}`;
        const args = ["cni", "install", "--plugin-dir", plugins, ...flags!];
        assert.equal((await run(path, args)).code, 0);
        const copy = await Deno.stat(`${plugins}/.stellar-net`)
          .catch(() => undefined);
        const { size } = await Deno.stat(path);
        assert.equal(copy?.size, name === "copied" ? size : undefined);
        for (const file of ["stellar-net", "stellar-cni-ipam"]) {
          const plugin = `${plugins}/${file}`;
          assert.ok((await Deno.lstat(plugin)).size < 2 ** 20);
          assert.equal((await call(plugin, "ADD")).code, 0);
          assert.equal((await call(plugin, "DEL")).code, 0);
          const { stdout } = await run(plugin, ["version"]);
          assert.match(stdout, /^stellar-net /);
        }
      }
    });
    await t.step("what it loads when a token is made", async () => {
      const args = ["token", "create"];
      const { code, stdout, stderr } = await run(path, args, { env });
      assert.equal(code, 0, stderr);
      assert.match(stdout, /^stn1\./);
    });
    await t.step("the page of the live map", async () => {
      await using map = new RunningProcess([path, "ui"], env);
      const link = await map.find(/^http:\S+(?=\n)/);
      assert.match(await (await fetch(link)).text(), /Opening the map/);
      const script = await fetch(new URL("/page.js", link));
      assert.equal(await script.text(), PAGE.script);
    });
    await t.step("its kept rights are enough to start again", async () => {
      assert.equal(await agent.stop(), 0);
      await using again = await ProgramAgent.start({
        ...{ program: path, dir, port, env },
      });
      const { stdout } = await run(path, ["ip", "list", "--json"], { env });
      assert.equal(JSON.parse(stdout).allocations.length, 1);
      assert.equal(await again.stop(), 0);
    });
    await t.step("DEL without an agent waits for the next", async () => {
      assert.equal((await call(path, "DEL")).code, 0);
      assert.equal([...Deno.readDirSync(`${dir}/state/queue`)].length, 1);
    });
  });
});
