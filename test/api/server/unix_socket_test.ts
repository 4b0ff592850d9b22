import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type Server } from "node:net";
import { NetError } from "../../../src/base/error.ts";
import {
  bindSocketFile,
  removeSocketFile,
} from "../../../src/api/server/unix_socket.ts";
import { withTempDir } from "../../support/temp_dir.ts";

/** Binds a socket file for a new server. */
async function bind(path: string) {
  const server = createServer();
  const file = await bindSocketFile(path, async (path) => {
    server.listen(path);
    await once(server, "listening");
  });
  return { server, file };
}

async function close(server: Server): Promise<void> {
  server.close();
  await once(server, "close");
}

function exists(path: string): Promise<boolean> {
  return Deno.lstat(path).then(() => true, () => false);
}

/** Leaves a socket file behind on which nothing listens. */
async function makeStale(path: string): Promise<void> {
  const { server } = await bind(path);
  await close(server);
  assert.ok(await exists(path));
}

function listenFails(code: string, message: string) {
  return (error: unknown) => {
    assert.ok(error instanceof NetError, String(error));
    assert.equal(error.code, code);
    assert.equal(error.message, message);
    return true;
  };
}

Deno.test("bindSocketFile() makes a socket of mode 0600 and leaves nothing else", () =>
  withTempDir(async (dir) => {
    const path = `${dir}/a.sock`;
    const mask = Deno.umask(0);
    try {
      const { server } = await bind(path);
      const { mode, isSocket } = await Deno.lstat(path);
      assert.ok(isSocket);
      assert.equal(mode! & 0o777, 0o600);
      assert.deepEqual([...Deno.readDirSync(dir)].map(({ name }) => name), [
        "a.sock",
      ]);
      await close(server);
    } finally {
      assert.equal(Deno.umask(mask), 0, "the umask is as it was");
    }
  }));

Deno.test("bindSocketFile() has the file at mode 0600 when it is bound", () =>
  withTempDir(async (dir) => {
    const modes: number[] = [];
    const mask = Deno.umask(0);
    try {
      const server = createServer();
      await bindSocketFile(`${dir}/a.sock`, async (path) => {
        server.listen(path);
        modes.push(Deno.lstatSync(path).mode! & 0o777);
        await once(server, "listening");
      });
      await close(server);
    } finally {
      Deno.umask(mask);
    }
    assert.deepEqual(modes, [0o600]);
  }));

Deno.test("bindSocketFile() makes missing folders", () =>
  withTempDir(async (dir) => {
    const { server } = await bind(`${dir}/b/c/a.sock`);
    assert.equal((await Deno.stat(`${dir}/b`)).mode! & 0o777, 0o755);
    await close(server);
  }));

Deno.test("bindSocketFile() replaces a socket on which nothing listens", () =>
  withTempDir(async (dir) => {
    const path = `${dir}/a.sock`;
    await makeStale(path);
    const { server } = await bind(path);
    const served = once(server, "connection");
    (await Deno.connect({ transport: "unix", path })).close();
    (await served)[0].destroy();
    await close(server);
  }));

Deno.test("bindSocketFile() waits for the listener of an agent that was killed to end", () =>
  withTempDir(async (dir) => {
    const path = `${dir}/a.sock`;
    const former = await bind(path);
    // It ends once it was seen to listen.
    former.server.once("connection", (socket) => {
      socket.destroy();
      former.server.close();
    });
    const { server } = await bind(path);
    assert.ok(await exists(path));
    await close(server);
  }));

Deno.test("bindSocketFile() refuses a socket on which another agent listens, and leaves it", () =>
  withTempDir(async (dir) => {
    const path = `${dir}/a.sock`;
    const { server, file } = await bind(path);
    await assert.rejects(
      bind(path),
      listenFails(
        "failed_precondition",
        `Cannot listen: another agent listens on "${path}"; stop it, or name another path with --socket`,
      ),
    );
    assert.equal((await Deno.lstat(path)).ino, file.inode);
    await close(server);
  }));

Deno.test("bindSocketFile() lets one of many take over a stale socket", () =>
  withTempDir(async (dir) => {
    const path = `${dir}/a.sock`;
    await makeStale(path);
    const results = await Promise.allSettled(
      Array.from({ length: 8 }, () => bind(path)),
    );
    const bound = results.filter((result) => result.status === "fulfilled");
    assert.equal(bound.length, 1);
    assert.equal((await Deno.lstat(path)).ino, bound[0]!.value.file.inode);
    for (const { value } of bound) await close(value.server);
  }));

Deno.test("bindSocketFile() names the obstacle", async (t) => {
  const way = "or name another path with --socket";
  await withTempDir(async (dir) => {
    await Deno.writeTextFile(`${dir}/file`, "precious");
    await Deno.mkdir(`${dir}/folder`);
    const long = `${dir}/${"x".repeat(108 - dir.length - 1)}`;
    const rows: readonly [
      name: string,
      path: string,
      code: string,
      message: string,
    ][] = [
      [
        "a file",
        `${dir}/file`,
        "failed_precondition",
        `Cannot listen on "${dir}/file": it exists and is not a socket; move it away, ${way}`,
      ],
      [
        "a folder",
        `${dir}/folder`,
        "failed_precondition",
        `Cannot listen on "${dir}/folder": it exists and is not a socket; move it away, ${way}`,
      ],
      [
        "a path of 108 bytes",
        long,
        "invalid_argument",
        `Cannot listen on "${long}": the path has 108 bytes, ` +
        "a socket's has at most 107; name a shorter one with --socket",
      ],
      [
        "a file in place of a folder",
        `${dir}/file/a.sock`,
        "failed_precondition",
        `Cannot listen on "${dir}/file/a.sock": its folder is a file; name another path with --socket`,
      ],
    ];
    for (const [name, path, code, message] of rows) {
      await t.step(
        name,
        () => assert.rejects(bind(path), listenFails(code, message)),
      );
    }
    assert.equal(await Deno.readTextFile(`${dir}/file`), "precious");
  });
});

Deno.test("bindSocketFile() takes a path of 107 bytes", () =>
  withTempDir(async (dir) => {
    const path = `${dir}/${"x".repeat(107 - dir.length - 1)}`;
    const { server } = await bind(path);
    (await Deno.connect({ transport: "unix", path })).close();
    await close(server);
  }));

Deno.test("removeSocketFile() removes its own file and no other", () =>
  withTempDir(async (dir) => {
    const path = `${dir}/a.sock`;
    const { server, file } = await bind(path);
    await Deno.rename(path, `${dir}/b.sock`);
    await Deno.writeTextFile(path, "another's");
    removeSocketFile(file);
    await close(server);
    assert.equal(await Deno.readTextFile(path), "another's");
    await Deno.rename(`${dir}/b.sock`, path);
    removeSocketFile(file);
    assert.equal(await exists(path), false);
    removeSocketFile(file);
  }));

Deno.test("bindSocketFile() gives a socket to a group, which never sees it wider", () =>
  withTempDir(async (dir) => {
    const path = `${dir}/a.sock`;
    const seen: number[] = [];
    const mask = Deno.umask(0);
    const groupId = Deno.gid()! === 0 ? 54_321 : Deno.gid()!;
    try {
      const server = createServer();
      await bindSocketFile(path, async (path) => {
        server.listen(path);
        seen.push(Deno.lstatSync(path).mode! & 0o777);
        await once(server, "listening");
      }, { groupId });
      const { mode, gid } = await Deno.lstat(path);
      assert.deepEqual([seen, mode! & 0o777, gid], [[0o600], 0o660, groupId]);
      await close(server);
    } finally {
      Deno.umask(mask);
    }
  }));
