import assert from "node:assert/strict";
import { DenoCommandRunner } from "../../src/system/deno_command.ts";
import type { CommandRunner } from "../../src/system/command.ts";
import { FileCniSetup } from "../../src/cni/file_setup.ts";
import { run } from "../support/run.ts";
import { withTempDir } from "../support/temp_dir.ts";

const NAMES = ["stellar-net", "stellar-cni-ipam"];
const SOCKET = "/run/x.sock";

/** An executable whose build has no native plugin. */
function executable(path: string) {
  const nativePlugin = () => Promise.resolve(undefined);
  return { kind: "executable", path, nativePlugin } as const;
}

/** A host whose `ip` prints what is given, by its arguments. */
function ip(answers: Readonly<Record<string, string>>): CommandRunner {
  return {
    run: ({ args }) => {
      const stdout = answers[args.join(" ")];
      return Promise.resolve({
        code: stdout === undefined ? 1 : 0,
        stdout: stdout ?? "",
        stderr: "",
      });
    },
  };
}

Deno.test("FileCniSetup.install() copies an executable, over an older one too", async () => {
  await withTempDir(async (dir) => {
    const path = `${dir}/program`;
    await Deno.writeTextFile(path, "#!/bin/sh\necho new\n");
    const setup = new FileCniSetup(executable(path), ip({}));
    const plugins = `${dir}/not/there/yet`;
    await setup.install({
      dir: plugins,
      names: NAMES,
      link: false,
      socketPath: SOCKET,
    });
    await Deno.writeTextFile(path, "#!/bin/sh\necho newer\n");
    await setup.install({
      dir: plugins,
      names: NAMES,
      link: false,
      socketPath: SOCKET,
    });
    for (const name of NAMES) {
      assert.equal((await run(`${plugins}/${name}`, [])).stdout, "newer\n");
    }
    const names = [...Deno.readDirSync(plugins)].map((entry) => entry.name);
    assert.deepEqual(names.sort(), [...NAMES].sort());
  });
});

for (const link of [false, true]) {
  Deno.test(
    `FileCniSetup.install() writes the native plugin, which knows the ${
      link ? "executable" : "copy beside it"
    }`,
    () =>
      withTempDir(async (dir) => {
        const path = `${dir}/program`;
        await Deno.writeTextFile(path, "#!/bin/sh\n");
        const mark = "stellar-net paths:\n\0";
        const native = new TextEncoder().encode(mark + " ".repeat(4204));
        const setup = new FileCniSetup({
          ...executable(path),
          nativePlugin: () => Promise.resolve(native.toBase64()),
        }, ip({}));
        const plugins = `${dir}/plugins`;
        const options = {
          dir: plugins,
          names: NAMES,
          link,
          socketPath: SOCKET,
        };
        await setup.install(options);
        const program = link ? path : `${plugins}/.stellar-net`;
        for (const name of NAMES) {
          const text = await Deno.readTextFile(`${plugins}/${name}`);
          assert.equal(
            text,
            mark + SOCKET.padEnd(108, "\0") + program.padEnd(4096, "\0"),
          );
          const { mode } = await Deno.stat(`${plugins}/${name}`);
          assert.equal(mode! & 0o777, 0o755);
        }
        assert.equal((await Deno.stat(program)).isFile, true);
        assert.equal([...Deno.readDirSync(plugins)].length, link ? 2 : 3);
      }),
  );
}

Deno.test("FileCniSetup.install() links to an executable", async () => {
  await withTempDir(async (dir) => {
    const path = `${dir}/program`;
    await Deno.writeTextFile(path, "#!/bin/sh\n");
    const setup = new FileCniSetup(executable(path), ip({}));
    await setup.install({ dir, names: NAMES, link: true, socketPath: SOCKET });
    assert.equal(await Deno.readLink(`${dir}/stellar-net`), path);
  });
});

Deno.test("FileCniSetup.install() bundles sources, of which it needs nothing then", async () => {
  await withTempDir(async (dir) => {
    const sources = `${dir}/it's`;
    await Deno.mkdir(sources);
    await Deno.writeTextFile(`${sources}/deno.json`, "{}");
    const lazy = "export const text = Deno.args.join('.');\n";
    await Deno.writeTextFile(`${sources}/lazy.ts`, lazy);
    const main = "console.log((await import('./lazy.ts')).text);\n";
    await Deno.writeTextFile(`${sources}/main.ts`, main);
    const setup = new FileCniSetup({
      kind: "sources",
      main: `${sources}/main.ts`,
      deno: Deno.execPath(),
      config: `${sources}/deno.json`,
    }, new DenoCommandRunner());
    const plugins = `${dir}/plugins`;
    const options = {
      dir: plugins,
      names: NAMES,
      link: false,
      socketPath: SOCKET,
    };
    await setup.install(options);
    await setup.install(options);
    await assert.rejects(
      setup.install({ ...options, link: true, socketPath: SOCKET }),
      {
        code: "failed_precondition",
      },
    );
    await Deno.remove(sources, { recursive: true });
    const { stdout } = await run(`${plugins}/stellar-cni-ipam`, ["a b", "$c"]);
    assert.equal(stdout, "a b.$c\n");
    assert.equal([...Deno.readDirSync(plugins)].length, 3);
    await assert.rejects(setup.install(options), {
      code: "unavailable",
      message: /^Cannot bundle ".*main\.ts" with "/,
    });
    assert.equal([...Deno.readDirSync(plugins)].length, 3);
  });
});

Deno.test("FileCniSetup.install() names a folder that it cannot write, and leaves nothing", async () => {
  await withTempDir(async (dir) => {
    await Deno.writeTextFile(`${dir}/file`, "");
    const setup = new FileCniSetup(
      executable("/bin/sh"),
      ip({}),
    );
    await assert.rejects(
      setup.install({
        dir: `${dir}/file`,
        names: NAMES,
        link: false,
        socketPath: SOCKET,
      }),
      { code: "unavailable", message: /^Cannot use the folder ".*\/file": / },
    );
    await Deno.mkdir(`${dir}/plugins/stellar-cni-ipam/x`, { recursive: true });
    await assert.rejects(
      setup.install({
        dir: `${dir}/plugins`,
        names: NAMES,
        link: false,
        socketPath: SOCKET,
      }),
      { code: "unavailable" },
    );
    const names = [...Deno.readDirSync(`${dir}/plugins`)].map((e) => e.name);
    assert.deepEqual(names.sort(), ["stellar-cni-ipam", "stellar-net"]);
  });
});

Deno.test("FileCniSetup.uplinkMtu() is that of the default route's interface", async () => {
  const program = executable("/bin/sh");
  const answers = {
    "-json route show default": '[{"dst":"default","dev":"eth0"}]',
    "-json link show dev eth0": '[{"ifname":"eth0","mtu":1400}]',
  };
  assert.equal(await new FileCniSetup(program, ip(answers)).uplinkMtu(), 1400);
  const none = { "-json route show default": "[]" };
  assert.equal(
    await new FileCniSetup(program, ip(none)).uplinkMtu(),
    undefined,
  );
});
