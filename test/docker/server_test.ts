import assert from "node:assert/strict";
import { connect } from "node:net";
import {
  bindSocketFile,
  isSocketGone,
  removeSocketFile,
} from "../../src/api/server/unix_socket.ts";
import { NetError } from "../../src/base/error.ts";
import { DockerEngine } from "../../src/docker/engine.ts";
import type { DriverAnswer } from "../../src/docker/driver.ts";
import { MEDIA_TYPE } from "../../src/docker/plan/call.ts";
import { PluginServer } from "../../src/docker/server.ts";
import { run } from "../support/run.ts";
import { withTempDir } from "../support/temp_dir.ts";
import { waitFor } from "../support/wait_for.ts";

async function serve(
  dir: string,
  answer: (path: string, body: string) => Promise<DriverAnswer>,
) {
  const path = `${dir}/plugin.sock`;
  const server = new PluginServer({
    path,
    driver: { answer },
    bind: async (path, listen) => {
      const file = await bindSocketFile(path, listen);
      return {
        isGone: () => isSocketGone(file),
        remove: () => removeSocketFile(file),
      };
    },
  });
  await server.start();
  return { path, server, [Symbol.dispose]: () => server.stop() };
}

async function post(socket: string, path: string, body: string) {
  const { stdout } = await run("curl", [
    ...["-sS", "-i", "--unix-socket", socket, "-d", body],
    `http://docker${path}`,
  ]);
  return stdout.replaceAll("\r", "");
}

Deno.test("PluginServer answers Docker on a socket for its owner alone", () =>
  withTempDir(async (dir) => {
    using t = await serve(
      dir,
      (path, body) => Promise.resolve({ body: { path, body } }),
    );
    assert.equal(Deno.statSync(t.path).mode! & 0o777, 0o600);
    const text = await post(t.path, "/IpamDriver.RequestPool", "{}");
    assert.match(text, /^HTTP\/1\.1 200 OK\n/);
    assert.ok(text.toLowerCase().includes(`content-type: ${MEDIA_TYPE}`), text);
    assert.match(text, /\{"path":"\/IpamDriver\.RequestPool","body":"\{\}"\}/);
  }));

Deno.test("PluginServer tells Docker why, and nothing of a defect", () =>
  withTempDir(async (dir) => {
    using t = await serve(dir, (path) =>
      Promise.reject(
        path === "/known"
          ? new NetError("exhausted", "IP allocation exhausted")
          : new Error("secret"),
      ));
    assert.match(
      await post(t.path, "/known", "{}"),
      /200 OK[^]*\n\{"Error":"IP allocation exhausted"\}\n$/,
    );
    const text = await post(t.path, "/other", "{}");
    assert.match(
      text,
      /\{"Error":"Cannot carry out Docker's request: the agent failed/,
    );
    assert.ok(!text.includes("secret"));
    const { stdout } = await run("curl", [
      ...["-sS", "--unix-socket", t.path, "http://docker/known"],
    ]);
    assert.match(stdout, /Cannot answer GET \\"\/known\\": send POST/);
  }));

Deno.test("PluginServer refuses a request that is too large", () =>
  withTempDir(async (dir) => {
    using t = await serve(dir, () => Promise.resolve({ body: {} }));
    const text = await post(t.path, "/x", "x".repeat(64 * 1024 + 1));
    assert.match(text, /it has more than 65536 bytes/);
    assert.match(await post(t.path, "/x", "x".repeat(64 * 1024)), /\n\{\}\n$/);
  }));

Deno.test("PluginServer takes an answer back that Docker does not wait for", () =>
  withTempDir(async (dir) => {
    let undone = 0;
    const { promise: asked, resolve: onAsked } = Promise.withResolvers<void>();
    const { promise: gone, resolve: onGone } = Promise.withResolvers<void>();
    using t = await serve(dir, async () => {
      onAsked();
      await gone;
      return {
        body: {},
        undo: () => Promise.resolve(void undone++),
      };
    });
    const socket = connect(t.path);
    socket.write("POST /x HTTP/1.1\r\nhost: d\r\ncontent-length: 0\r\n\r\n");
    await asked;
    socket.destroy();
    await new Promise((resolve) => socket.once("close", resolve));
    onGone();
    await waitFor("the answer to be taken back", () => undone === 1);
  }));

Deno.test("PluginServer makes its socket's file again", () =>
  withTempDir(async (dir) => {
    using t = await serve(dir, () => Promise.resolve({ body: {} }));
    await t.server.restore();
    await Deno.remove(t.path);
    await t.server.restore();
    assert.match(await post(t.path, "/x", ""), /\n\{\}\n$/);
    t.server.stop();
    assert.throws(() => Deno.lstatSync(t.path), Deno.errors.NotFound);
  }));

Deno.test("DockerEngine names the socket that does not answer", () =>
  withTempDir(async (dir) => {
    const engine = new DockerEngine(`${dir}/docker.sock`, "stellar-net");
    await assert.rejects(engine.networks(), {
      code: "unavailable",
      message: /^Cannot call Docker on ".*docker\.sock": .*ENOENT/,
    });
  }));
