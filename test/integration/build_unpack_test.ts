import assert from "node:assert/strict";
import { selfExtractingProgram } from "../support/built_program.ts";
import { run, type RunResult } from "../support/run.ts";
import { withTempDir } from "../support/temp_dir.ts";

/** What a start that works prints. */
const VERSION = /^stellar-net \d+\.\d+\.\d+\n$/;

/** Starts the executable, which unpacks into a folder. */
async function start(
  dir: string,
  env: Readonly<Record<string, string>> = {},
): Promise<RunResult> {
  const { path } = await selfExtractingProgram();
  return await run(path, ["--version"], {
    env: { STELLAR_NET_UNPACK: dir, ...env },
  });
}

async function assertStarts(dir: string): Promise<void> {
  const { code, stdout, stderr } = await start(dir);
  assert.deepEqual([code, stderr], [0, ""]);
  assert.match(stdout, VERSION);
}

/** The folder with the unpacked files, and all names beside it. */
function listUnpacked(dir: string): { program: string; names: string[] } {
  const names = [...Deno.readDirSync(dir)].map(({ name }) => name).sort();
  const program = names.find((name) => /^[0-9a-f]{32}$/.test(name));
  return { program: `${dir}/${program}`, names };
}

/** Runs lines of shell as root of a mount namespace of its own; `$0` is the executable, `$1` a folder. */
async function inMounts(dir: string, lines: string): Promise<RunResult> {
  const { path } = await selfExtractingProgram();
  return await run("unshare", [
    ...Deno.uid() === 0 ? [] : ["--map-root-user"],
    ...["--mount", "--propagation", "private"],
    ...["sh", "-c", lines, path, dir],
  ]);
}

Deno.test("four first starts at once all work, and leave one program", () =>
  withTempDir(async (dir) => {
    await selfExtractingProgram();
    const into = `${dir}/made/by/it`;
    await Promise.all(Array.from({ length: 4 }, () => assertStarts(into)));
    const { program, names } = listUnpacked(into);
    assert.equal(names.length, 2, names.join());
    assert.equal(Deno.statSync(into).mode! & 0o777, 0o700);
    assert.equal(Deno.statSync(program).mode! & 0o777, 0o700);
    const before = Deno.statSync(program).ino;
    await assertStarts(into);
    assert.equal(Deno.statSync(program).ino, before);
  }));

Deno.test("a first start works with a library in LD_PRELOAD that cannot be loaded", () =>
  withTempDir(async (dir) => {
    const env = { LD_PRELOAD: "/nonexistent.so" };
    const { code, stdout, stderr } = await start(`${dir}/u`, env);
    assert.equal(code, 0, stderr);
    assert.match(stdout, VERSION);
  }));

Deno.test("a start does not use unpacked files that were changed", async (t) => {
  const rows: readonly [name: string, change: (path: string) => unknown][] = [
    [
      "a module is longer",
      (path) =>
        Deno.writeTextFile(`${path}/app/main.js`, "//", { append: true }),
    ],
    ["a module says something else", async (path) => {
      const text = await Deno.readTextFile(`${path}/app/main.js`);
      const changed = text.replace("CNI_COMMAND", "CNI_COMMANG");
      await Deno.writeTextFile(`${path}/app/main.js`, changed);
      // Of the same size, and as old as it was.
      await Deno.utime(`${path}/app/main.js`, 0, 0);
    }],
    ["a module is gone", (path) => Deno.remove(`${path}/app/main.js`)],
    [
      "the runtime is cut off",
      (path) => Deno.truncate(`${path}/bin/stellar-net`, 1000),
    ],
    ["the runtime is a link", async (path) => {
      await Deno.remove(`${path}/bin/stellar-net`);
      await Deno.symlink("/bin/false", `${path}/bin/stellar-net`);
    }],
    ["others can write", (path) => Deno.chmod(`${path}/app`, 0o777)],
    ["all of it is a link", async (path) => {
      await Deno.rename(path, `${path}.moved`);
      await Deno.symlink(`${path}.moved`, path);
    }],
    ["the stamp is empty", (path) => Deno.truncate(`${path}.stamp`)],
    ["the stamp is gone", (path) => Deno.remove(`${path}.stamp`)],
  ];
  await withTempDir(async (dir) => {
    await assertStarts(dir);
    for (const [name, change] of rows) {
      await t.step(name, async () => {
        const { program } = listUnpacked(dir);
        await change(program);
        await assertStarts(dir);
        const { code } = await run("sha256sum", ["-c", "SHA256SUMS"], {
          cwd: program,
        });
        assert.equal(code, 0);
        assert.ok(Deno.lstatSync(program).isDirectory);
        assert.equal(Deno.statSync(`${program}/app`).mode! & 0o077, 0);
        assert.ok(Deno.statSync(`${program}.stamp`).size > 0);
      });
    }
  });
});

Deno.test("a start refuses a folder that another user prepared", async (t) => {
  const rows: readonly [name: string, prepare: string, says: RegExp][] = [
    ["another's", 'chown 65534 "$1"', /not a folder that this user alone/],
    ["open to others", 'chmod 777 "$1"', /not a folder that this user alone/],
    ["open to a group", 'chmod 770 "$1"', /not a folder that this user alone/],
    ["a link", 'mv "$1" "$1.to"; ln -s "$1.to" "$1"', /not a folder that this/],
    ["a file", 'rmdir "$1"; : >"$1"', /File exists/],
  ];
  for (const [name, prepare, says] of rows) {
    await t.step(name, () =>
      withTempDir(async (outer) => {
        const dir = `${outer}/unpacked`;
        Deno.mkdirSync(dir, { mode: 0o700 });
        const line = `set -e; ${prepare}
          STELLAR_NET_UNPACK="$1" "$0" --version`;
        // Not by a user's own namespace: it could not give a folder away.
        const { code, stdout, stderr } = await run("sh", [
          ...["-c", line, (await selfExtractingProgram()).path, dir],
        ]);
        assert.deepEqual([code, stdout], [1, ""]);
        assert.match(stderr, /^stellar-net: Cannot unpack this program: "/);
        assert.match(stderr, says);
        await run("chown", ["-R", String(Deno.uid()), outer]);
      }));
  }
});

Deno.test("a start says why it cannot unpack, and leaves nothing", async (t) => {
  const rows: readonly [name: string, mount: string, says: RegExp][] = [
    ["no space", "size=30m", /no space is left, and 100 MB are needed/],
    ["no programs", "noexec", /bin\/stellar-net: Permission denied/],
    ["read-only", "ro", /Read-only file system/],
  ];
  for (const [name, options, says] of rows) {
    await t.step(name, () =>
      withTempDir(async (dir) => {
        const { code, stdout, stderr } = await inMounts(
          dir,
          `mount -t tmpfs -o mode=700,${options} none "$1"
          STELLAR_NET_UNPACK="$1" "$0" --version; code=$?
          ls -A "$1"; exit $code`,
        );
        assert.deepEqual([code, stdout], [1, ""]);
        assert.match(stderr, says);
        assert.match(stderr, /name another folder with STELLAR_NET_UNPACK\n$/);
      }));
  }
  await t.step("to a container runtime, as JSON", async () => {
    const { code, stdout, stderr } = await start("/proc/no", {
      CNI_COMMAND: "ADD",
    });
    assert.deepEqual([code, stderr], [1, ""]);
    const { code: cniCode, msg } = JSON.parse(stdout);
    assert.equal(cniCode, 5);
    assert.match(msg, /^Cannot unpack this program: \/proc\/no: /);
  });
});

Deno.test("a start finds the usual folders", async (t) => {
  const fresh = `mount -t tmpfs -o mode=755 none /var/cache
    mount -t tmpfs -o mode=755 none /var/lib; unset STELLAR_NET_UNPACK HOME`;
  const rows: readonly [name: string, lines: string, folder: string][] = [
    [
      "of root",
      `"$0" --version; cd /var; ls -d cache/* lib/*`,
      "cache/stellar-net\nlib/*",
    ],
    [
      "of root, where one cannot be written",
      `mount -o remount,ro /var/cache; "$0" --version
       cd /var; ls -d cache/* lib/*/*`,
      "cache/*\nlib/stellar-net/unpacked",
    ],
    [
      "unpacked before, and read-only now",
      `"$0" --version >"$1/out"; mount -o remount,ro /var/cache
       "$0" --version; cd /var; ls -d cache/*`,
      "cache/stellar-net",
    ],
    [
      "of a user",
      `chown 65534 "$1"; chmod 755 "$1"; cp "$0" /var/lib/program
       HOME="$1" setpriv --reuid 65534 --regid 65534 --clear-groups \\
         /var/lib/program --version; cd "$1"; ls -d .cache/*`,
      ".cache/stellar-net",
    ],
    [
      "of a user without a group",
      `cp "$0" /var/lib/program; mount -t tmpfs -o mode=1777 none /tmp
       setpriv --reuid 65534 --regid 65534 --clear-groups \\
         /var/lib/program --version; cd /tmp; ls`,
      "stellar-net-65534",
    ],
  ];
  for (const [name, lines, folder] of rows) {
    await t.step(name, () =>
      withTempDir(async (dir) => {
        const { stdout, stderr } = await inMounts(dir, `${fresh}\n${lines}`);
        const [first, ...rest] = stdout.split("\n");
        assert.match(`${first}\n`, VERSION, stderr);
        const shown = rest.join("\n").trim();
        const missing = folder.split("\n").filter((path) => path.includes("*"));
        const there = folder.split("\n").filter((path) => !path.includes("*"));
        assert.equal(shown, there.join("\n"));
        for (const path of missing) assert.ok(stderr.includes(path), stderr);
        await run("chown", ["-R", String(Deno.uid()), dir]);
      }));
  }
});

Deno.test("an executable that was cut off, or is for another machine, says so", async (t) => {
  const { path } = await selfExtractingProgram();
  const whole = await Deno.readFile(path);
  const other = whole.slice();
  const machine = new TextEncoder().encode("machine=x86_64");
  const at = new TextDecoder("latin1").decode(whole.subarray(0, 4000))
    .indexOf("machine=");
  other.set(machine.fill(0x78, 8), at);
  const rows: readonly [name: string, bytes: Uint8Array, says: RegExp][] = [
    ["cut off", whole.subarray(0, 20_000_000), /the archive is damaged/],
    ["another machine", other, /this file is for x+.*, and the host is /],
  ];
  for (const [name, bytes, says] of rows) {
    await t.step(name, () =>
      withTempDir(async (dir) => {
        await Deno.writeFile(`${dir}/program`, bytes, { mode: 0o755 });
        const { code, stdout, stderr } = await run(`${dir}/program`, [], {
          env: { STELLAR_NET_UNPACK: `${dir}/unpacked` },
        });
        assert.deepEqual([code, stdout], [1, ""]);
        assert.match(stderr, says);
        assert.deepEqual([...Deno.readDirSync(`${dir}/unpacked`)], []);
      }));
  }
});

Deno.test("an executable starts by whatever name and shell", async (t) => {
  const { path } = await selfExtractingProgram();
  await withTempDir(async (dir) => {
    await Deno.symlink(path, `${dir}/linked`);
    await Deno.mkdir(`${dir}/bin`);
    const { stdout } = await run("busybox", ["--list"]);
    for (const applet of stdout.trim().split("\n")) {
      await Deno.symlink("/usr/bin/busybox", `${dir}/bin/${applet}`);
    }
    const rows: readonly [name: string, line: string][] = [
      ["a link", '"$1/linked" --version'],
      ["a path from here", 'cd "$1"; ./linked --version'],
      ["found in the PATH", 'PATH="$1:$PATH"; linked --version'],
      ["given to sh", 'cd "$1"; sh linked --version'],
      ["given to bash", 'cd "$1"; bash linked --version'],
      [
        "on a host that has busybox for everything",
        'PATH="$1/bin"; STELLAR_NET_UNPACK="$1/unpacked"; "$1/bin/sh" "$0" --version',
      ],
    ];
    for (const [name, line] of rows) {
      await t.step(name, async () => {
        const { stdout, stderr } = await run("sh", ["-c", line, path, dir]);
        assert.match(stdout, VERSION, stderr);
      });
    }
  });
});
